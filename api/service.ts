/**
 * The one facade behind all ways in: queries and commands as plain data.
 *
 * - Over a live engine it answers from durable state and takes commands; over a reader alone it
 *   answers from the log, and commands are refused with "logReadOnly".
 * - Each reply says which process stands behind it: no status is told without its writer.
 * - What a reply tells and the position that it names are of one moment: who follows the log from
 *   there on misses nothing and sees nothing twice.
 * - Input is checked against the contract here, so that all ways in refuse the same things in the
 *   same words.
 *
 * Called by the fronts and by whoever joins them.
 */
import { type JobState, jobStream } from "../events/job/mod.ts";
import { JoblogError } from "../events/log/errors.ts";
import type { EventReader, Subscription } from "../events/log/store.ts";
import { at } from "../events/replay/at.ts";
import {
  jobs,
  type JobsState,
  listJobs,
  readTimeline,
  statistics,
  type StatisticsState,
  txns,
  type TxnsState,
  txnView,
} from "../events/views/mod.ts";
import type { CommandContext, Joblog } from "../engine/run/mod.ts";
import type * as contract from "./contract.ts";
import { createJobs, sendVerb } from "./service/commands.ts";
import { Follower } from "./service/follower.ts";
import { followLog, type FollowOptions } from "./service/following.ts";
import { whyField } from "./service/history.ts";
import { viewsOf } from "./service/job_view.ts";
import { LiveJobs } from "./service/live.ts";
import { isRunId, jobOf, positionOf, runOf, unknownTxn } from "./service/lookup.ts";
import { eventsPage } from "./service/page.ts";
import { momentFrom } from "./service/request.ts";
import { verifyLog } from "./service/verify.ts";
import { writerOf } from "./service/writer.ts";

export type { CommandContext } from "../engine/run/mod.ts";
export type { RecordedEvent } from "../events/log/event.ts";
export type { Subscription } from "../events/log/store.ts";
export type { FollowOptions } from "./service/following.ts";
export { type ErrorDetails, JoblogError } from "../events/log/errors.ts";
export { invalidRequest } from "./service/request.ts";
export type * from "./service/live.ts";

/** What a service stands on. */
export interface ServiceOptions {
  /** The log, for reading. */
  readonly reader: EventReader;
  /** The engine of this process; absent = queries only. */
  readonly joblog?: Joblog;
  /** Says whether a live process holds the log for writing. @default whether `joblog` is there */
  readonly isWriterAlive?: () => boolean;
}

/** The facade. Safe to call concurrently; whoever opened the log closes it. */
export class Service {
  readonly #options: ServiceOptions;
  readonly #jobs: Follower<JobsState>;
  readonly #txns: Follower<TxnsState>;
  readonly #statistics: Follower<StatisticsState>;
  /** The engine without detours, for fronts that keep connections; undefined = queries only. */
  readonly live: LiveJobs | undefined;

  /** Nothing is read before it is asked for. */
  constructor(options: ServiceOptions) {
    this.#options = options;
    this.#jobs = new Follower(options.reader, jobs);
    this.#txns = new Follower(options.reader, txns);
    this.#statistics = new Follower(options.reader, statistics);
    this.live = options.joblog === undefined ? undefined : new LiveJobs(options.joblog);
  }

  /** True if commands are taken. */
  get takesCommands(): boolean {
    return this.#options.joblog !== undefined;
  }

  /** Kinds of jobs that can be created here. */
  get jobTypes(): readonly { readonly type: string; readonly summary: string }[] {
    return this.#options.joblog?.driverTypes ?? [];
  }

  /**
   * Records that commands of an actor were stopped before the door. Only a writer can.
   *
   * @throws {JoblogError} code "logClosed" when the log is closed
   */
  async recordThrottled(actor: string, count: number, windowMs: number): Promise<void> {
    await this.#options.joblog?.recordThrottled(actor, count, windowMs);
  }

  /** The process behind the log. */
  writer(): Promise<contract.WriterViewValue> {
    const { reader, joblog, isWriterAlive } = this.#options;
    const isAlive = joblog === undefined
      ? isWriterAlive?.() ?? false
      : joblog.failure === undefined;
    return writerOf(reader, isAlive);
  }

  /**
   * Jobs, newest first; internal ones are left out.
   *
   * @throws {JoblogError} codes "invalidRequest" and "unknownPosition" for `at`
   */
  async jobs(
    options: { readonly all?: boolean; readonly at?: string } = {},
  ): Promise<contract.JobsReplyValue> {
    const all = options.all === true;
    if (options.at !== undefined) {
      const position = await this.#position(options.at);
      const world = await at(this.#options.reader, { position });
      const list = world.jobs.filter((job) => job.id !== null && (all || job.status !== "null"));
      return await this.#around({ jobs: await this.#views(list) }, position);
    }
    const { joblog } = this.#options;
    if (joblog !== undefined && !all) {
      const { position } = joblog;
      return await this.#around({ jobs: await this.#views(joblog.jobs()) }, position);
    }
    const [list, position] = await this.#jobs.current((state, position) =>
      [listJobs(state, { all }), position] as const
    );
    return await this.#around({ jobs: await this.#views(list) }, position);
  }

  /**
   * One job by id (its newest life) or run id, now or at a moment; dismissed ones too.
   *
   * @throws {JoblogError} codes "unknownJob", "invalidRequest" and "unknownPosition"
   */
  async job(id: string, options: { readonly at?: string } = {}): Promise<contract.JobReplyValue> {
    const { reader, joblog } = this.#options;
    const live = options.at !== undefined
      ? undefined
      : isRunId(id)
      ? joblog?.jobs().find((job) => job.runId === id)
      : joblog?.job(id)?.state;
    if (live !== undefined) {
      const { position } = joblog!;
      return await this.#around({ job: await this.#view(live) }, position);
    }
    const upTo = options.at === undefined ? undefined : await this.#position(options.at);
    const { job, position } = await jobOf(reader, id, upTo);
    return await this.#around({ job: await this.#view(job) }, position);
  }

  /**
   * One transaction; a lone job's id is its run id.
   *
   * @throws {JoblogError} code "unknownTxn"
   */
  async txn(id: string): Promise<contract.TxnReplyValue> {
    const [view, position] = await this.#txns.current((state, position) => {
      const txn = state.txns.get(id);
      const jobs = txn?.jobs.map((job) => ({ ...job }));
      return [txn && { ...txnView(txn, state.pauses), members: jobs! }, position] as const;
    });
    if (view === undefined) throw unknownTxn(id);
    const members = await this.#views(view.members);
    return await this.#around({ txn: { ...view, members } }, position);
  }

  /**
   * A page of events.
   *
   * @param query an `EventsQuery` of the contract
   * @throws {JoblogError} codes "invalidRequest" and "unknownJob"
   */
  async events(query: unknown): Promise<contract.EventsReplyValue> {
    const job = (query as { readonly job?: unknown } | null)?.job;
    return await eventsPage(this.#options.reader, query, await this.#streamOf(job));
  }

  /**
   * Follows the log.
   *
   * @throws {JoblogError} codes "unknownJob" and "invalidArgument"
   */
  async follow(options: FollowOptions = {}): Promise<Subscription> {
    return followLog(this.#options.reader, options, await this.#streamOf(options.job));
  }

  /** Each status of a job: since when, by whom and why. Errors as for `job`. */
  async timeline(id: string): Promise<contract.TimelineReplyValue> {
    const { reader } = this.#options;
    const { job: { runId }, position } = await jobOf(reader, id);
    const timeline = await readTimeline(reader, runId, { position });
    if (timeline === undefined) throw new Error(`Job ${runId} is in the log, and is not`);
    return await this.#around({ ...timeline, job: await this.#view(timeline.job) }, position);
  }

  /** Why a field has its value. Errors as for `job`, and "invalidRequest" for an unknown field. */
  async why(id: string, field: string): Promise<contract.WhyReplyValue> {
    const { reader } = this.#options;
    const { job, position } = await jobOf(reader, id);
    return await this.#around(await whyField(reader, job, field), position);
  }

  /**
   * Verifies the log; a fault is an answer and not an error.
   *
   * @param options a known root, and the number of records that it is of
   * @throws {JoblogError} code "invalidRequest" when a size comes without its root
   */
  verify(options: { size?: number; root?: string } = {}): Promise<contract.VerifyReplyValue> {
    return verifyLog(this.#options.reader, options);
  }

  /** What the log is and holds. */
  async log(): Promise<contract.LogReplyValue> {
    const { reader } = this.#options;
    const [counts, position] = await this.#statistics.current((state, position) =>
      [structuredClone(state) as unknown as Record<string, unknown>, position] as const
    );
    return await this.#around({
      logId: reader.logId,
      time: (await reader.end()).time,
      sizeBytes: await reader.sizeBytes(),
      root: await reader.root(position),
      statistics: counts,
    }, position);
  }

  /** Sign of life: the log can be read and, with an engine, no commit has failed. */
  async health(): Promise<{ readonly isHealthy: boolean; readonly position: number }> {
    const { reader, joblog } = this.#options;
    const { position } = await reader.end();
    return { isHealthy: joblog?.failure === undefined, position };
  }

  /**
   * Creates one job, or several together.
   *
   * @param body a `JobBody` or a `TransactionBody` of the contract
   * @throws {JoblogError} codes "invalidRequest", "logReadOnly", or the engine's refusal
   */
  async create(body: unknown, context: CommandContext): Promise<contract.CreatedReplyValue> {
    const { txnId, jobs, position } = await createJobs(this.#engine(), body, context);
    return await this.#around({ txnId, jobs: await this.#views(jobs) }, position);
  }

  /**
   * Sends a verb to a job, by id or run id; resolves when its answer is durable.
   *
   * @param body the verb's arguments of the contract; undefined = none
   * @throws {JoblogError} codes "invalidRequest", "logReadOnly", or the engine's refusal
   */
  async verb(
    id: string,
    verb: contract.VerbName,
    body: unknown,
    context: CommandContext,
  ): Promise<contract.VerbReplyValue> {
    const joblog = this.#engine();
    const known = await sendVerb(joblog, id, verb, body, context);
    const job = joblog.jobs().find((now) => now.runId === known?.runId);
    const { position } = joblog;
    const view = job === undefined ? null : await this.#view(job);
    return await this.#around({ verb, job: view }, position);
  }

  #views(jobs: readonly JobState[]): Promise<contract.JobViewValue[]> {
    return viewsOf(this.#options.reader, jobs);
  }

  async #view(job: JobState): Promise<contract.JobViewValue> {
    return (await this.#views([job]))[0]!;
  }

  #engine(): Joblog {
    const { joblog } = this.#options;
    if (joblog !== undefined) return joblog;
    throw new JoblogError("logReadOnly", "Cannot take commands: the log is open for reading only", {
      hint: "Send the command to the process that writes the log.",
    });
  }

  async #position(text: string): Promise<number> {
    return await positionOf(this.#options.reader, momentFrom(text));
  }

  async #streamOf(job: unknown): Promise<string | undefined> {
    if (typeof job !== "string") return undefined;
    return jobStream(await runOf(this.#options.reader, job));
  }

  async #around<T extends object>(
    body: T,
    position: number,
  ): Promise<T & { readonly position: number; readonly writer: contract.WriterViewValue }> {
    return { ...body, position, writer: await this.writer() };
  }
}
