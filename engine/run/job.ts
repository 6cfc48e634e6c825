/**
 * One job as an object: its durable state, its verbs, and waiting for it.
 */
import type { JsonObject } from "../../events/log/event.ts";
import type { JobEvent, JobState } from "../../events/job/mod.ts";
import {
  evolveJob,
  INITIAL_JOB,
  isCompletedStatus,
  isOverStatus,
  jobStream,
  memberOf,
} from "../../events/job/mod.ts";
import type { SubscribeOptions, Subscription } from "../../events/log/store.ts";
import { JoblogError } from "../../events/log/errors.ts";
import { until } from "./close.ts";
import type { Commands } from "./commands.ts";
import type { Engine } from "./engine.ts";
import type { CommandContext, Verb, VerbArguments } from "./requests.ts";

const ECANCELED = 125;
const EBUSY = 16;

/** Codes that are no answers to a verb: nothing was decided. */
const FAILURES: ReadonlySet<string> = new Set(["commitFailed", "logClosed", "fenced"]);

/** One life of a job id. It never stands for a later job that took the same id. */
export class Job {
  readonly #engine: Engine;
  readonly #commands: Commands;
  #last: JobState;

  /** @internal Made by `Joblog`. */
  constructor(engine: Engine, commands: Commands, state: JobState, over?: () => void) {
    this.#engine = engine;
    this.#commands = commands;
    this.#last = state;
    if (state.status === "null") return;
    const follow = (now: JobState) => {
      this.#last = now;
      if (now.status !== "null") return;
      this.#engine.waits.remove(now.runId, follow);
      over?.();
    };
    engine.waits.add(state.runId, follow);
  }

  /** @internal The state of a job that is not finished. */
  static live(engine: Engine, runId: string): JobState | undefined {
    const entry = engine.ledger.entryOfRun(runId);
    return entry && memberOf(entry.durable, runId);
  }

  /** @internal The state of a job that may be finished and only in the log. */
  static async find(engine: Engine, runId: string): Promise<JobState> {
    const live = Job.live(engine, runId);
    if (live !== undefined) return live;
    let state = INITIAL_JOB;
    for await (const event of engine.options.store.readStream(jobStream(runId))) {
      state = evolveJob(state, event as JobEvent);
    }
    return state;
  }

  /** The id; null = internal job. */
  get id(): string | null {
    return this.#last.id;
  }

  /** UUIDv7 of this life of the id. */
  get runId(): string {
    return this.#last.runId;
  }

  /** The durable state. */
  get state(): JobState {
    return this.#last;
  }

  /** Resolves with the state in which the job has concluded, well or not. */
  get done(): Promise<JobState> {
    return this.until((job) => isOverStatus(job.status));
  }

  /**
   * Resolves when the durable state fulfils a condition; looks at the present state first.
   *
   * @throws {JoblogError} code "commitFailed" when the log fails meanwhile
   * @throws {JoblogError} code "logClosed" when the engine is closed meanwhile
   * @throws what the condition throws
   * @throws the signal's reason when it aborts
   */
  until(
    condition: (job: JobState) => boolean,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<JobState> {
    return until(this.#engine, this.#last, condition, options.signal);
  }

  /** The job's own events, from its creation on, then live. */
  events(options: Omit<SubscribeOptions, "stream"> = {}): Subscription {
    return this.#engine.options.store.subscribe({ ...options, stream: jobStream(this.runId) });
  }

  /** created -> running. */
  start(context?: CommandContext): Promise<void> {
    return this.#send("start", {}, context);
  }

  /** Asks the job to pause at its next pause point. */
  pause(context?: CommandContext): Promise<void> {
    return this.#send("pause", {}, context);
  }

  /** Ends the user's pause and clears the io-status. */
  resume(context?: CommandContext): Promise<void> {
    return this.#send("resume", {}, context);
  }

  /** Cancels by force, or softly: a ready job that can then completes instead. */
  cancel(options?: { readonly force?: boolean }, context?: CommandContext): Promise<void> {
    return this.#send("cancel", options ?? {}, context);
  }

  /** Asks a ready job to complete. */
  complete(context?: CommandContext): Promise<void> {
    return this.#send("complete", {}, context);
  }

  /** Finalizes the whole transaction; resolves when it is over, also when a prepare failed. */
  finalize(context?: CommandContext): Promise<void> {
    return this.#send("finalize", {}, context);
  }

  /** Frees the id of a concluded job. Its history stays. */
  dismiss(context?: CommandContext): Promise<void> {
    return this.#send("dismiss", {}, context);
  }

  /** Changes the limit; bytes per second, 0 = unlimited. */
  setSpeed(speed: number, context?: CommandContext): Promise<void> {
    return this.#send("set-speed", { speed }, context);
  }

  /**
   * Changes parameters of the running job: a mirror's `copy-mode` to `write-blocking`.
   *
   * @throws {JoblogError} code "changeUnsupported" when this kind of job has nothing to change
   * @throws {JoblogError} code "changeRefused" when the job's kind refuses this change
   */
  change(parameters: JsonObject, context?: CommandContext): Promise<void> {
    return this.#send("change", { parameters }, context);
  }

  /**
   * Cancels and waits until `run` has ended; dismisses a concluded job instead.
   *
   * @returns 0 if it completed all the same, -ECANCELED, or its own -errno
   *
   * Source: QEMU 7.2 job.c job_cancel_sync.
   */
  async cancelSync(options: { readonly force?: boolean } = {}): Promise<number> {
    if (this.state.status === "concluded") {
      await this.dismiss();
      return this.#ret();
    }
    return await this.finishSync(() => this.cancel(options));
  }

  /**
   * Completes and waits until `run` has ended.
   *
   * @returns -EBUSY if it cannot be completed; otherwise as `finishSync`
   *
   * Source: QEMU 7.2 job.c job_complete_sync.
   */
  completeSync(): Promise<number> {
    return this.finishSync(() => this.complete());
  }

  /**
   * Calls `finish`, then waits until `run` has ended: waiting or later, not concluded. A job
   * that sleeps or is paused is woken each time until then.
   *
   * @param finish asks the job to end; a refusal is answered with -EBUSY
   * @returns 0, -EBUSY, -ECANCELED after a force cancel, or the job's -errno
   *
   * Source: QEMU 7.2 job.c job_finish_sync.
   */
  async finishSync(finish?: () => Promise<void>): Promise<number> {
    try {
      await finish?.();
    } catch (error) {
      if (error instanceof JoblogError && !FAILURES.has(error.code)) return -EBUSY;
      throw error;
    }
    const runner = this.#engine.ledger.entryOfRun(this.runId)?.live.get(this.runId)?.runner;
    const stopHurrying = runner?.hurry();
    try {
      await this.until((job) => isCompletedStatus(job.status));
    } finally {
      stopHurrying?.();
    }
    return this.#ret();
  }

  #ret(): number {
    const { ret, isForceCancelled } = this.state;
    return ret === 0 && isForceCancelled ? -ECANCELED : ret;
  }

  #send(verb: Verb, args: VerbArguments, context: CommandContext = {}): Promise<void> {
    return this.#commands.verb({ id: this.id, runId: this.runId }, verb, args, context);
  }
}
