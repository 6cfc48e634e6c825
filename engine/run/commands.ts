/**
 * Commands of users: creation and verbs, with their records, their actors and their repeats.
 *
 * Every state-changing command that arrives here leaves exactly one `VerbAccepted` or
 * `VerbRefused`. A command with an idempotency key is answered from its record when it is repeated.
 */
import { JoblogError } from "../../events/log/errors.ts";
import type { RecordedEvent } from "../../events/log/event.ts";
import {
  BLOCK_JOB_TYPES,
  ENGINE_STREAM,
  jobErrorOf,
  type JobState,
  memberOf,
} from "../../events/job/mod.ts";
import { unknownBlockJob } from "../core/block_job_refusals.ts";
import { type Refusal, UNKNOWN_JOB } from "../core/refusals.ts";
import { decideVerb, type VerbCommand } from "../core/verbs.ts";
import { argumentsOf, createdBy, Creation, isAction } from "./creation.ts";
import type { Engine } from "./engine.ts";
import { refusalError } from "./refusal_error.ts";
import { checkJobRequest, checkVerb } from "./request_checks.ts";
import { Repeats } from "./repeats.ts";
import type {
  CommandContext,
  CommandHead,
  CommandRecord,
  Created,
  CreateOptions,
  JobRequest,
  Target,
  TransactionMember,
  Verb,
  VerbArguments,
} from "./requests.ts";

/** Takes commands for one engine. */
export class Commands {
  readonly #engine: Engine;
  readonly #actor: string;
  readonly #creation: Creation;
  readonly #repeats: Repeats;

  /**
   * @param engine decides and appends
   * @param actor who asks when a command does not say
   */
  constructor(engine: Engine, actor: string) {
    this.#engine = engine;
    this.#actor = actor;
    this.#creation = new Creation(engine);
    this.#repeats = new Repeats(engine);
  }

  /** Sends a verb to the job that holds an id, or to one life of it. */
  async verb(
    target: Target,
    verb: Verb,
    args: VerbArguments,
    context: CommandContext,
  ): Promise<void> {
    checkVerb(target.id ?? target.runId ?? "", verb, args);
    const record = { verb, subject: target.id ?? target.runId ?? "", arguments: { ...args } };
    const { ledger } = this.#engine;
    const runOf = () => target.runId ?? ledger.runOf(record.subject);
    const entryOf = () => ledger.entryOfRun(runOf() ?? "");
    return await this.once(
      record,
      context,
      (head) =>
        this.#engine.whenNotClosing(
          entryOf,
          () => this.#verbNow(runOf(), record, args, head, target.isBlockJob === true),
        ),
      () => undefined,
    );
  }

  /** Rejects and never throws: it may run in the wake of somebody else's event. */
  async #verbNow(
    runId: string | undefined,
    record: CommandRecord,
    args: VerbArguments,
    head: CommandHead,
    isBlockJob: boolean,
  ): Promise<void> {
    this.#engine.assertOpen();
    const { ledger } = this.#engine;
    const entry = runId === undefined ? undefined : ledger.entryOfRun(runId);
    const job = entry && memberOf(entry.head, runId!);
    const isOne = !isBlockJob || (job !== undefined && BLOCK_JOB_TYPES.has(job.type));
    if (entry === undefined || job === undefined || job.status === "null" || !isOne) {
      const refusal = isBlockJob ? unknownBlockJob(record.subject) : UNKNOWN_JOB;
      return await this.#refuse(record, refusal, head);
    }
    const { commandId } = head;
    const { runId: of } = job;
    const asked = this.#ask(record.verb, job, args);
    const command = { ...record, ...args, commandId, runId: of, ...asked };
    const decision = decideVerb(entry.head, command as VerbCommand, ledger.position);
    return await this.#engine.answer(decision, commandId, head.metadata, head.isIdempotent);
  }

  /** What only the live driver can say, asked in the same turn as the decision. */
  #ask(verb: string, job: JobState, args: VerbArguments): Partial<VerbCommand> {
    if (verb === "change") return this.#changeOf(job, args);
    const driver = this.#engine.ledger.entryOfRun(job.runId)?.live.get(job.runId)?.driver;
    if (verb === "cancel") {
      return { canCancelSoftly: this.#isSoft(job, () => driver?.canCancelSoftly?.(job)) };
    }
    if (verb !== "complete") return {};
    try {
      const completeRefusal = driver?.completeRefusal?.(job);
      return completeRefusal === undefined ? {} : { completeRefusal };
    } catch (error) {
      return { completeRefusal: jobErrorOf(error).text };
    }
  }

  /** What the kind of the job says, which needs no live driver. */
  #changeOf(job: JobState, { type, parameters = {} }: VerbArguments): Partial<VerbCommand> {
    if (type !== undefined && type !== job.type) return {};
    try {
      const kind = this.#engine.options.drivers.get(job.type);
      const changed = kind.change?.(job.parameters, parameters);
      return changed === undefined ? {} : { changed };
    } catch (error) {
      const isUnknown = error instanceof JoblogError && error.code === "unknownJobType";
      return isUnknown ? {} : { changeRefusal: jobErrorOf(error).text };
    }
  }

  /** A driver that cannot even say is stopped and not left to complete. */
  #isSoft(job: JobState, ask: () => boolean | undefined): boolean {
    try {
      return ask() === true;
    } catch (error) {
      this.#engine.fault(job.runId, "cancel", error);
      return false;
    }
  }

  async #refuse(record: CommandRecord, refusal: Refusal, head: CommandHead): Promise<never> {
    const { commandId, metadata, isIdempotent } = head;
    const data = { ...record, commandId, code: refusal.code, text: refusal.text };
    const events = [{ stream: ENGINE_STREAM, type: "VerbRefused", data }] as const;
    await this.#engine.ledger.append(events, metadata, isIdempotent ? { commandId } : {});
    throw refusalError(refusal, record.subject);
  }

  /** Makes one job, or several in one transaction, with changes of bitmaps among them. */
  async create(
    requests: readonly TransactionMember[],
    options: CreateOptions,
    context: CommandContext,
  ): Promise<Created> {
    const jobs = requests.filter((request) => !isAction(request)) as readonly JobRequest[];
    for (const request of jobs) checkJobRequest(request);
    const record = {
      verb: options.verb,
      subject: jobs.map((request) => request.id ?? "").join(","),
      arguments: argumentsOf(requests, options),
    };
    const run = (head: CommandHead) => this.#creation.create(requests, options, record, head);
    return await this.once(record, context, run, createdBy);
  }

  /** @internal Runs a command once per idempotency key; without a key, always. */
  async once<T>(
    record: CommandRecord,
    context: CommandContext,
    run: (head: CommandHead) => Promise<T>,
    repeat: (events: readonly RecordedEvent[]) => T,
  ): Promise<T> {
    this.#engine.assertOpen();
    const head = this.#head(context);
    const key = context.idempotencyKey;
    if (key === undefined) return await run(head);
    return await this.#repeats.once(key, head, record, () => run(head), repeat);
  }

  #head(context: CommandContext): CommandHead {
    const actor = context.actor ?? this.#actor;
    const key = context.idempotencyKey;
    const commandId = key === undefined
      ? this.#engine.options.ports.newId()
      : `key:${encodeURIComponent(actor)}:${key}`;
    const metadata = { actor, via: context.via ?? "api", causationId: commandId };
    const { correlationId } = context;
    return {
      commandId,
      metadata: correlationId === undefined ? metadata : { ...metadata, correlationId },
      isIdempotent: key !== undefined,
    };
  }
}
