/**
 * Lives one job: starts its `run`, parks it at pause points, wakes it, and reports its end.
 *
 * - Everything that a driver is told comes from durable state; `onDurable` is called with each
 *   durable change before anybody else acts on it.
 * - A parked job is woken by `enter` alone: by resume, cancel, complete, a raised speed, a timer.
 *   A pause ends any sleep, and what was left of the sleep is dropped.
 * - A force-cancelled job neither sleeps nor pauses; its `run` is expected to return.
 * - When the process closes, a resumable job's next waiting call rejects with `JobParked`; a `run`
 *   that was told so has not ended well, whatever the driver makes of it.
 * - A callback that throws is recorded and changes nothing else.
 * - Nothing that a driver does after its `run` has ended reaches the log.
 *
 * Source: QEMU 7.2 job.c job_co_entry, job_pause_point, job_do_yield, job_enter_cond.
 */
import {
  type FaultedCallback,
  type JobError,
  jobErrorOf,
  type JobState,
} from "../../events/job/mod.ts";
import { isPauseWanted } from "../core/signals.ts";
import { Throttle, wakesSleeper } from "../core/throttle.ts";
import { type DriverContext, type DriverJob, JobParked } from "../drivers/driver.ts";
import type { Ports, Timer } from "./ports.ts";
import type { RunnerHost } from "./host.ts";
import { type LiveJob, RunContext } from "./run_context.ts";
import { StepRecorder } from "./steps.ts";

/** How long a job may compute between two turns of the event loop, in nanoseconds. */
const TURN_NS = 4_000_000;

/** The live half of a job. */
export class Runner implements LiveJob {
  /** Steps and progress of this `run`. */
  readonly steps: StepRecorder;
  /** The job's limiter. */
  readonly throttle = new Throttle();
  readonly #host: RunnerHost;
  readonly #driver: DriverJob;
  readonly #ports: Ports;
  #ended: Promise<void> | undefined;
  #waiting: (() => void) | undefined;
  #timer: Timer | undefined;
  #controller: AbortController | undefined;
  #isAborted = false;
  #isAtPausePoint = false;
  #wasEntered = false;
  #isParking = false;
  #wasTold = false;
  #isParked = false;
  #hurryCount = 0;
  #lastTurnNs = 0;

  /**
   * @param host the engine, for this job
   * @param driver the opened driver
   * @param ports time and turns
   */
  constructor(host: RunnerHost, driver: DriverJob, ports: Ports) {
    this.#host = host;
    this.#driver = driver;
    this.#ports = ports;
    const job = host.job();
    this.steps = new StepRecorder(host, job.progress);
    this.throttle.setSpeed(job.speed);
    if (job.isForceCancelled) this.#abort();
  }

  /** The job's durable state. */
  get job(): JobState {
    return this.#host.job();
  }

  /** The engine, for this job. */
  get host(): RunnerHost {
    return this.#host;
  }

  /** Time and turns. */
  get ports(): Ports {
    return this.#ports;
  }

  /** False while the job sleeps, waits or is paused, and once it has ended. */
  get isBusy(): boolean {
    return this.#ended !== undefined && this.#waiting === undefined && !this.job.hasRunReturned;
  }

  /** True once `run` was unwound because the process closes: it will not end any more. */
  get isParked(): boolean {
    return this.#isParked;
  }

  /** Aborted at a force cancel; made for the driver that asks for it. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#isAborted) this.#controller.abort();
    return this.#controller.signal;
  }

  #abort(): void {
    this.#isAborted = true;
    this.#controller?.abort();
  }

  /** Starts `run`. Resolves when it has ended and that is durable, or when it is parked. */
  start(): Promise<void> {
    this.#ended ??= this.#live();
    return this.#ended;
  }

  async #live(): Promise<void> {
    const context = new RunContext(this);
    let error: JobError | undefined;
    let isParked = false;
    this.#isAtPausePoint = this.job.status === "paused" || this.job.status === "standby";
    try {
      await this.#initialPause(context);
      if (!this.job.isForceCancelled) await this.#driver.run(context);
      isParked = this.#wasTold;
    } catch (thrown) {
      isParked = this.#wasTold;
      error = jobErrorOf(thrown);
    }
    this.steps.end();
    if (isParked && !this.job.isForceCancelled) {
      this.#isParked = true;
      return await this.#host.signal({ kind: "parked" });
    }
    if (isParked) error = undefined;
    await this.#host.signal(
      error === undefined ? { kind: "runReturned" } : { kind: "runReturned", error },
    );
  }

  /** A recovered job that was paused goes on being paused; any other passes a pause point. */
  async #initialPause(context: DriverContext): Promise<void> {
    if (!this.#isAtPausePoint) return await this.pausePoint(context);
    const job = this.job;
    if (job.pauseCount > 0 && !job.isForceCancelled) await this.#park();
    await this.#leave(context);
  }

  /** See `DriverContext.pausePoint`. */
  async pausePoint(context: DriverContext): Promise<void> {
    if (this.#isParking) await this.#throwParked();
    if (!isPauseWanted(this.job)) return await this.#takeTurn();
    await this.#driver.pause?.(context);
    this.steps.close();
    await this.#host.signal({ kind: "pausePointReached" });
    if (this.#isAtPausePoint) {
      if (!this.#wasEntered) await this.#park();
      await this.#leave(context);
    } else {
      // The pause is withdrawn, but not durably so yet: a driver that asks again at once would
      // keep the commit that says so from its turn.
      await this.#ports.turn();
      await this.#driver.resume?.(context);
    }
  }

  async #leave(context: DriverContext): Promise<void> {
    if (this.#isParking) await this.#throwParked();
    this.#isAtPausePoint = false;
    await this.#host.signal({ kind: "pausePointLeft" });
    await this.#driver.resume?.(context);
  }

  async #takeTurn(): Promise<void> {
    const nowNs = this.#ports.monotonicNs();
    if (nowNs - this.#lastTurnNs < TURN_NS) return;
    await this.#ports.turn();
    this.#lastTurnNs = this.#ports.monotonicNs();
    if (this.#isParking) await this.#throwParked();
  }

  /** See `DriverContext.sleep`. */
  async sleep(context: DriverContext, ms: number | undefined): Promise<void> {
    if (this.#isParking) await this.#throwParked();
    if (this.job.isForceCancelled) return;
    if (this.job.pauseCount === 0) await this.#park(ms);
    // Not awaited: the frame of a job that stays paused for long would be kept for nothing.
    return this.pausePoint(context);
  }

  #park(ms?: number): Promise<void> {
    // Closing may have begun since the last check: nobody would wake the job any more.
    if (this.#isParking) return Promise.resolve();
    if (this.#hurryCount > 0 && (ms !== undefined || this.#isAtPausePoint)) {
      return this.#ports.turn();
    }
    return new Promise((resolve) => {
      this.#waiting = resolve;
      if (ms !== undefined) this.#timer = this.#ports.setTimer(ms, () => this.enter());
    });
  }

  /** Wakes the job if it sleeps, waits or is paused. */
  enter(onlyIf: "always" | "noTimer" = "always"): void {
    if (onlyIf === "noTimer" && this.#timer !== undefined) return;
    this.#wasEntered = true;
    const wake = this.#waiting;
    if (wake === undefined) return;
    this.#waiting = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    wake();
  }

  /** Follows a durable change of the job: called in order, for each of its events. */
  onDurable(type: string, before: JobState, after: JobState): void {
    switch (type) {
      case "JobPaused":
        this.#isAtPausePoint = true;
        this.#wasEntered = false;
        return;
      case "JobPauseRequested":
        if (!this.#isAtPausePoint) this.enter();
        return;
      case "JobResumeRequested":
        if (before.isUserPaused && !after.isUserPaused) this.#userResume();
        if (after.pauseCount === 0) this.enter("noTimer");
        return;
      case "JobSpeedChanged":
        this.throttle.setSpeed(after.speed);
        this.#guard("setSpeed", () => this.#driver.setSpeed?.(after.speed));
        if (this.#timer !== undefined && wakesSleeper(before.speed, after.speed)) this.enter();
        return;
      case "JobParametersChanged":
        this.#guard("changed", () => this.#driver.changed?.(after.parameters));
        return;
      case "JobCompleteRequested":
        this.#guard("complete", () => this.#driver.complete?.());
        if (!this.#isAtPausePoint) this.enter();
        return;
      case "JobCancelRequested":
        if (before.isUserPaused) this.#userResume();
        this.#guard("cancel", () => this.#driver.cancel?.(after.isForceCancelled));
        if (after.isForceCancelled) this.#abort();
        return;
    }
  }

  #userResume(): void {
    this.#guard("userResume", () => this.#driver.userResume?.());
  }

  #guard(callback: FaultedCallback, call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#host.fault(callback, error);
    }
  }

  /**
   * From now on the job is entered again whenever it sleeps or is paused, until the returned
   * function is called: it is run to its end. Source: QEMU 7.2 job.c job_finish_sync.
   */
  hurry(): () => void {
    this.#hurryCount += 1;
    this.enter();
    return () => void (this.#hurryCount -= 1);
  }

  /** The log has failed: nothing that `run` does will ever be recorded. It is asked to return. */
  abandon(): void {
    this.#abort();
    void this.parkForGood();
  }

  /** The process closes: the next waiting call of the driver rejects with `JobParked`. */
  parkForGood(): Promise<void> {
    this.#isParking = true;
    this.enter();
    return this.#ended ?? Promise.resolve();
  }

  async #throwParked(): Promise<void> {
    if (this.job.isForceCancelled) return;
    // A driver that does not let it through must not keep everybody else from their turn.
    if (this.#wasTold) await this.#ports.turn();
    this.#wasTold = true;
    throw new JobParked();
  }
}
