/**
 * A running engine for fronts that keep connections: what is asked is answered in the same turn,
 * and nothing beside the answer is looked up.
 *
 * Everything that is read here is durable and of the moment that `position` names.
 */
import { BLOCK_JOB_TYPES, type JobState } from "../../events/job/mod.ts";
import type { EventReader } from "../../events/log/store.ts";
import { at } from "../../events/replay/at.ts";
import type {
  CommandContext,
  CompletionMode,
  Joblog,
  JobRequest,
  TransactionMember,
  Verb,
  VerbArguments,
} from "../../engine/run/mod.ts";
import { LiveNodes } from "./live_nodes.ts";
import { type WireItem, wireItems } from "./wire.ts";

export { wireErrorText } from "../../events/views/mod.ts";
export type { Milestone, WireItem } from "./wire.ts";
export type { BitmapTarget, LiveNode, LiveNodes } from "./live_nodes.ts";

/** A job to start. */
export type JobStart = JobRequest;

/** One member of a transaction: a job to start, or a change of a bitmap. */
export type TransactionPart = TransactionMember;

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
  /** The open nodes. */
  readonly nodes: LiveNodes;

  /** @param joblog the engine of this process */
  constructor(joblog: Joblog) {
    this.nodes = new LiveNodes(joblog);
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

  /** The job that holds an id. */
  job(id: string): LiveJob | undefined {
    return this.#joblog.job(id)?.state;
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

  /** Starts a job; resolves with its state. @throws {JoblogError} the refusal */
  async start(job: JobStart, context: CommandContext): Promise<LiveJob> {
    return (await this.#joblog.start(job, context)).state;
  }

  /** Starts jobs and changes bitmaps, all of it or nothing. @throws {JoblogError} the refusal */
  async transaction(
    parts: readonly TransactionPart[],
    completionMode: CompletionMode,
    context: CommandContext,
  ): Promise<void> {
    await this.#joblog.transaction(parts, { completionMode }, context);
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
