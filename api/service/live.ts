/**
 * A running engine for fronts that keep connections: what is asked is answered in the same turn,
 * and nothing beside the answer is looked up.
 *
 * Everything that is read here is durable and of the moment that `position` names.
 */
import { BLOCK_JOB_TYPES, type JobState } from "../../events/job/mod.ts";
import type { EventReader } from "../../events/log/store.ts";
import { at } from "../../events/replay/at.ts";
import type { CommandContext, Joblog, Verb, VerbArguments } from "../../engine/run/mod.ts";
import { type WireItem, wireItems } from "./wire.ts";

export type { WireItem } from "./wire.ts";

/** A job as it stands: its whole folded state. */
export type LiveJob = JobState;

/** Which job is meant: any that holds the id, or only a block job that does. */
export type VerbTarget =
  | { readonly family: "job"; readonly id: string }
  | { readonly family: "block-job"; readonly id: string };

/** See the head of this file. */
export class LiveJobs {
  readonly #reader: EventReader;
  readonly #joblog: Joblog;

  /** @param joblog the engine of this process */
  constructor(joblog: Joblog) {
    this.#joblog = joblog;
    this.#reader = joblog.reader;
  }

  /** Position of the last event in what can be read here. */
  get position(): number {
    return this.#joblog.position;
  }

  /** Jobs that are not dismissed, newest first; internal ones are left out. */
  jobs(): readonly LiveJob[] {
    return this.#joblog.jobs();
  }

  /** The same without jobs of types that the block layer does not have. */
  blockJobs(): readonly LiveJob[] {
    return this.#joblog.jobs().filter((job) => BLOCK_JOB_TYPES.has(job.type));
  }

  /**
   * Sends a verb. Resolves when its answer is durable.
   *
   * @throws {JoblogError} the refusal; code "unknownBlockJob" for an id that no block job has
   */
  async verb(
    target: VerbTarget,
    verb: Verb,
    args: VerbArguments,
    context: CommandContext,
  ): Promise<void> {
    const of = target.family === "job" ? target.id : { blockJobId: target.id };
    await this.#joblog.verb(of, verb, args, context);
  }

  /** Follows the log from now on. */
  follow(signal: AbortSignal): AsyncIterable<WireItem> {
    return wireItems(this.#reader, { after: this.position, jobs: this.jobs(), signal });
  }

  /** Follows the log from behind a position on; the jobs of that moment are folded first. */
  async followAfter(after: number, signal: AbortSignal): Promise<AsyncIterable<WireItem>> {
    const { jobs } = await at(this.#reader, { position: after });
    return wireItems(this.#reader, { after, jobs, signal });
  }
}
