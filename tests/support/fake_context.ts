/**
 * A stand-in for the engine around one driver job, on virtual time.
 *
 * - Nothing here waits for real time: a sleep moves the clock and goes on.
 * - Steps are recorded in issue order, neighbouring holes as one, as the engine does it.
 * - A test acts at an exact place by `on("pausePoint", ...)` and the like.
 */

import type { ErrorAction, ErrorPolicy, IoOperation } from "../../events/job/error_policy.ts";
import { ERROR_ACTIONS } from "../../events/job/error_policy.ts";
import type { JobState } from "../../events/job/state.ts";
import { Throttle } from "../../engine/core/throttle.ts";
import {
  type DriverContext,
  type DriverJob,
  type DriverStep,
  type IrreversibleAct,
  JobParked,
  type JsonValue,
  type StepTicket,
} from "../../engine/drivers/driver.ts";
import type { RecordChanges } from "../../engine/drivers/nodes.ts";

/** What a test may want to know. */
export interface FakeRecord {
  /** Steps in the order of their recording. */
  readonly steps: DriverStep[];
  /** Checkpoints with the progress and the number of steps recorded before them. */
  readonly checkpoints: {
    readonly resumeFrom: JsonValue;
    readonly current: number;
    readonly stepCount: number;
  }[];
  /** Consulted policies with their answers. */
  readonly errors: { operation: IoOperation; action: ErrorAction; code: unknown }[];
  /** `before`, `after` and acts in order. */
  readonly acts: IrreversibleAct[];
  /** Virtual instants in milliseconds at which work was accounted, with its length. */
  readonly dispatched: { readonly atMs: number; readonly length: number }[];
  /** Sleeps in milliseconds. */
  readonly sleeps: number[];
  /** How often the job was paused. */
  pauseCount: number;
}

/** Answers of a fake context that a test may change. */
export interface FakeOptions {
  /** What the last checkpoint held. */
  readonly resumeFrom?: JsonValue;
  /** Progress at that checkpoint. */
  readonly current?: number;
  /** Bytes per second; 0 = unlimited. */
  readonly speed?: number;
  /** Bytes of work between checkpoints. @default 256 MiB */
  readonly checkpointBytes?: number;
  /** Called at every pause point with its number from 1 on. */
  readonly onPausePoint?: (count: number, context: FakeContext) => Promise<void> | void;
  /** Called when the job is paused; resolving it resumes the job. */
  readonly onPaused?: (context: FakeContext) => Promise<void> | void;
}

/** Neighbouring steps of these kinds are recorded as one. */
const MERGEABLE = ["hole", "zeroed", "skipped"];

/** One job's context. `attach` the job, then give the context to its `run`. */
export class FakeContext implements DriverContext {
  readonly record: FakeRecord = {
    steps: [],
    checkpoints: [],
    errors: [],
    acts: [],
    dispatched: [],
    sleeps: [],
    pauseCount: 0,
  };
  readonly job = {} as JobState;
  readonly resumeFrom: JsonValue | undefined;
  readonly #abort = new AbortController();
  readonly #throttle = new Throttle();
  readonly #options: FakeOptions;
  readonly #queue: { state: "open" | "done" | "dropped"; step?: DriverStep }[] = [];
  #attached: DriverJob | undefined;
  #nowMs = 0;
  #current: number;
  #total: number;
  #pausePointCount = 0;
  #sinceCheckpoint = 0;
  #isPauseAsked = false;
  #isParking = false;

  constructor(options: FakeOptions = {}) {
    this.#options = options;
    this.resumeFrom = options.resumeFrom;
    this.#current = options.current ?? 0;
    this.#total = this.#current;
    this.#throttle.setSpeed(options.speed ?? 0);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }
  get isCancelled(): boolean {
    return this.#abort.signal.aborted;
  }
  get isCancelRequested(): boolean {
    return this.isCancelled;
  }
  get nowMs(): number {
    return this.#nowMs;
  }

  readonly progress = ((context: FakeContext) => ({
    get current(): number {
      return context.#current;
    },
    get total(): number {
      return context.#total;
    },
    setRemaining(remaining: number): void {
      context.#total = context.#current + remaining;
    },
    increaseRemaining(delta: number): void {
      context.#total += delta;
    },
  }))(this);

  readonly speed = ((context: FakeContext) => ({
    get bytesPerSecond(): number {
      return context.#throttle.speed;
    },
    account(length: number): number {
      if (length > 0) context.record.dispatched.push({ atMs: context.#nowMs, length });
      return Math.ceil(context.#throttle.account(context.#nowMs * 1e6, length) / 1e6);
    },
  }))(this);

  /** Runs a job from its first pause point to its end. */
  async drive(job: DriverJob): Promise<void> {
    this.#attached = job;
    await job.run(this);
  }

  /** Asks for a pause, which takes effect at the next pause point. */
  pause(): void {
    this.#isPauseAsked = true;
  }
  /** Force-cancels. */
  cancel(): void {
    this.#attached?.cancel?.(true);
    this.#abort.abort();
  }
  /** Closes the process: the next pause point parks the job. */
  park(): void {
    this.#isParking = true;
    this.#isPauseAsked = true;
  }
  /** Changes the speed. */
  setSpeed(bytesPerSecond: number): void {
    this.#throttle.setSpeed(bytesPerSecond);
  }

  async pausePoint(): Promise<void> {
    if (this.isCancelled) return;
    await this.#options.onPausePoint?.(++this.#pausePointCount, this);
    if (!this.#isPauseAsked || this.isCancelled) return;
    if (this.#isParking) throw new JobParked();
    await this.#attached?.pause?.(this);
    this.record.pauseCount++;
    await this.#options.onPaused?.(this);
    this.#isPauseAsked = false;
    await this.#attached?.resume?.(this);
  }

  async sleep(ms: number): Promise<void> {
    if (this.isCancelled) return;
    this.record.sleeps.push(ms);
    this.#nowMs += ms;
    await this.pausePoint();
  }

  async yield(): Promise<void> {
    await this.pausePoint();
  }

  step(step: DriverStep): undefined {
    this.issue().done(step);
  }

  issue(): StepTicket {
    const entry: { state: "open" | "done" | "dropped"; step?: DriverStep } = { state: "open" };
    this.#queue.push(entry);
    return {
      done: (step) => {
        if (entry.state !== "open") throw new Error("the ticket was used twice");
        entry.state = "done";
        entry.step = step;
        this.#drain();
      },
      drop: () => {
        if (entry.state !== "open") throw new Error("the ticket was used twice");
        entry.state = "dropped";
        this.#drain();
      },
    };
  }

  stepsSaved(): undefined {
    return undefined;
  }

  isCheckpointDue(): boolean {
    return this.#sinceCheckpoint >= (this.#options.checkpointBytes ?? 268_435_456);
  }

  checkpoint(resumeFrom: JsonValue): Promise<void> {
    this.#sinceCheckpoint = 0;
    const stepCount = this.record.steps.length;
    const { current } = this.progress;
    this.record.checkpoints.push({ resumeFrom: structuredClone(resumeFrom), current, stepCount });
    return Promise.resolve();
  }

  errorAction(policy: ErrorPolicy, operation: IoOperation, error: unknown): Promise<ErrorAction> {
    const code = (error as { code?: unknown }).code;
    const actions = ERROR_ACTIONS[policy];
    const action = code === "ENOSPC" ? actions.noSpace : actions.other;
    this.record.errors.push({ operation, action, code });
    if (action === "stop") this.#isPauseAsked = true;
    return Promise.resolve(action);
  }

  async act(
    act: IrreversibleAct,
    perform: (confirm: RecordChanges) => Promise<void>,
  ): Promise<void> {
    this.record.acts.push(act);
    await perform(() => Promise.resolve());
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  #drain(): void {
    while (this.#queue.length > 0 && this.#queue[0]!.state !== "open") {
      const { step } = this.#queue.shift()!;
      if (step !== undefined) this.#take(step);
    }
  }

  #take(step: DriverStep): void {
    const work = step.work ?? step.length;
    this.#current += work;
    this.#sinceCheckpoint += work;
    const last = this.record.steps.at(-1);
    const isClosed = this.record.checkpoints.at(-1)?.stepCount === this.record.steps.length;
    const isMergeable = !isClosed && MERGEABLE.includes(step.kind);
    if (last?.kind === step.kind && isMergeable && last.offset + last.length === step.offset) {
      const length = last.length + step.length;
      const merged = { ...last, length, work: (last.work ?? last.length) + work };
      this.record.steps[this.record.steps.length - 1] = merged;
    } else this.record.steps.push(step);
  }
}
