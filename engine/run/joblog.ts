/**
 * Jobs as objects: the engine's public face in TypeScript.
 *
 * Everything that can be read here is durable. A refused command rejects with a `JoblogError` whose
 * `code` is a `RefusalCode`, and stands in the log.
 */
import type { EventReader, SubscribeOptions, Subscription } from "../../events/log/store.ts";
import type { JobState, TxnState } from "../../events/job/mod.ts";
import { isInternal, memberOf } from "../../events/job/mod.ts";
import { closeEngine, type CloseMode } from "./close.ts";
import { Commands } from "./commands.ts";
import type {
  CommandContext,
  CompletionMode,
  JobRequest,
  Target,
  TransactionMember,
  Verb,
  VerbArguments,
} from "./requests.ts";
import { Engine } from "./engine.ts";
import type { EngineOptions } from "./engine_options.ts";
import { Job } from "./job.ts";
import { Nodes } from "./nodes.ts";
import { recover } from "./recovery.ts";

/** What an engine is opened with. */
export interface JoblogOptions extends EngineOptions {
  /** Who asks when a command does not say. @default "local" */
  readonly actor?: string;
}

/** Several jobs that were made together. */
export interface Transaction {
  /** The group that they end in; null when each ends on its own. */
  readonly txnId: string | null;
  /** The jobs, in the order of the requests. */
  readonly jobs: readonly Job[];
}

/** A running engine over one log. */
export class Joblog {
  readonly #engine: Engine;
  readonly #commands: Commands;
  /** Open nodes of disk images, their bitmaps, and the ways in for guests. */
  readonly nodes: Nodes;
  readonly #objects = new Map<string, Job>();
  #closed: Promise<void> | undefined;

  private constructor(engine: Engine, actor: string) {
    this.#engine = engine;
    this.#commands = new Commands(engine, actor);
    this.nodes = new Nodes(engine, this.#commands);
  }

  /**
   * Opens an engine over a log and takes up what an earlier process left unfinished.
   *
   * @throws {JoblogError} code "unknownEvent" when the log has events of a newer version
   */
  static async open(options: JoblogOptions): Promise<Joblog> {
    return await Joblog.over(new Engine(options), options.actor);
  }

  /** @internal As `open`, over an engine that the caller goes on using. */
  static async over(engine: Engine, actor = "local"): Promise<Joblog> {
    await recover(engine);
    return new Joblog(engine, actor);
  }

  /** The log, for reading. */
  get reader(): EventReader {
    return this.#engine.options.store;
  }

  /** True if this process runs jobs; false = it takes verbs only. */
  get isRunning(): boolean {
    return this.#engine.isRunning;
  }

  /** Why the engine stopped taking commands, if a commit failed. */
  get failure(): Error | undefined {
    return this.#engine.failure;
  }

  /** The kinds of jobs that can be created. */
  get driverTypes(): readonly { readonly type: string; readonly summary: string }[] {
    const { drivers } = this.#engine.options;
    return drivers.types.map((type) => ({ type, summary: drivers.get(type).summary }));
  }

  /**
   * Creates a job and starts it. Resolves when both are durable.
   *
   * Its driver is opened first, and creations are decided in the order in which their drivers
   * finish opening: of two that want one id, the one whose driver is ready first gets it.
   *
   * @throws {JoblogError} code "unknownJobType", "invalidParameter", "openFailed" or a driver's,
   * then "jobIdRequired", "invalidJobId", "duplicateJobId", then "invalidSpeed"
   */
  async start(request: JobRequest, context: CommandContext = {}): Promise<Job> {
    return await this.#create(request, true, context);
  }

  /** Creates a job and leaves it in created, until its `start`. Errors as for `start`. */
  async create(request: JobRequest, context: CommandContext = {}): Promise<Job> {
    return await this.#create(request, false, context);
  }

  async #create(request: JobRequest, isStarted: boolean, context: CommandContext): Promise<Job> {
    const options = { verb: "create", mode: "individual", isStarted } as const;
    const { runIds } = await this.#commands.create([request], options, context);
    const runId = runIds[0]!;
    const state = Job.live(this.#engine, runId);
    return state === undefined ? await this.#jobOf(runId) : this.#object(state);
  }

  /**
   * Creates and starts several jobs at once: all of them or none. Their drivers are opened one
   * after the other, and the creation is decided when the last one is open, as for `start`.
   *
   * `grouped`: they succeed together, or fail and are cancelled together. `individual`: they share
   * only their start. If one cannot be created, those before it are undone, and the error is its.
   *
   * Changes of bitmaps may stand among the jobs, unless they are grouped: each is done in its turn,
   * all of them are recorded with the jobs, and none is if one of all cannot be.
   */
  async transaction(
    requests: readonly TransactionMember[],
    options: { readonly completionMode?: CompletionMode; readonly isStarted?: boolean } = {},
    context: CommandContext = {},
  ): Promise<Transaction> {
    const mode = options.completionMode ?? "individual";
    const create = { verb: "transaction", mode, isStarted: options.isStarted !== false } as const;
    const { groupId, runIds } = await this.#commands.create(requests, create, context);
    const jobs = await Promise.all(runIds.map((runId) => this.#jobOf(runId)));
    return { txnId: groupId, jobs };
  }

  /**
   * Sends a verb to a job. Resolves when its answer is durable.
   *
   * @param target an id: whoever holds it when the verb's turn comes, or only if it is a block job;
   * or one run, and no other
   * @throws {JoblogError} code "unknownJob" or "unknownBlockJob", or the verb's refusal in the
   * order of its checks
   */
  verb(
    target: string | { readonly runId: string } | { readonly blockJobId: string },
    verb: Verb,
    args: VerbArguments = {},
    context: CommandContext = {},
  ): Promise<void> {
    return this.#commands.verb(targetOf(target), verb, args, context);
  }

  /** Position of the last event in what can be read here, in the turn in which it is asked. */
  get position(): number {
    return this.#engine.ledger.durablePosition;
  }

  /** Jobs that are not dismissed, newest first; internal ones are left out. */
  jobs(): readonly JobState[] {
    return this.#engine.ledger.jobs().filter((job) => !isInternal(job) && job.status !== "null");
  }

  /** The job that holds an id; undefined if none does. */
  job(id: string): Job | undefined {
    const { ledger } = this.#engine;
    const runId = ledger.runOf(id);
    const entry = runId === undefined ? undefined : ledger.entryOfRun(runId);
    const state = entry && memberOf(entry.durable, runId!);
    return state && this.#object(state);
  }

  /** An unfinished transaction; a lone job's id is its run id. Finished ones are in the log. */
  txn(txnId: string): TxnState | undefined {
    const txn = this.#engine.ledger.entry(txnId)?.durable;
    return txn === undefined || txn.position === 0 ? undefined : txn;
  }

  /** Follows the log. */
  events(options: SubscribeOptions = {}): Subscription {
    return this.#engine.options.store.subscribe(options);
  }

  /**
   * Records that a front stopped commands before they came in: one count per actor and minute.
   *
   * @param actor who sent them
   * @param count how many
   * @param windowMs over how long
   */
  recordThrottled(actor: string, count: number, windowMs: number): Promise<void> {
    return this.#engine.writeEngine("CommandsThrottled", { actor, count, windowMs });
  }

  /** Ends all jobs as `jobs` says, flushes and closes the log. Safe to call twice. */
  close(options: { readonly jobs?: CloseMode } = {}): Promise<void> {
    this.#closed ??= closeEngine(this.#engine, options.jobs ?? "park");
    return this.#closed;
  }

  /** Closes with the default mode. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #jobOf(runId: string): Promise<Job> {
    return this.#object(await Job.find(this.#engine, runId));
  }

  /** One object per life while it lasts, so that looking a job up leaves nothing behind. */
  #object(state: JobState): Job {
    const { runId } = state;
    const known = this.#objects.get(runId);
    if (known !== undefined) return known;
    const job = new Job(this.#engine, this.#commands, state, () => this.#objects.delete(runId));
    if (state.status !== "null") this.#objects.set(runId, job);
    return job;
  }
}

function targetOf(
  target: string | { readonly runId: string } | { readonly blockJobId: string },
): Target {
  const { runId, blockJobId } = (target ?? {}) as { runId?: string; blockJobId?: string };
  if (runId !== undefined) return { id: null, runId };
  if (blockJobId !== undefined) return { id: blockJobId, isBlockJob: true };
  // What is none of these is left to the checks, which refuse it.
  return { id: target as string };
}
