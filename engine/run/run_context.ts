/**
 * The driver's side of a runner: what `run` may ask of the engine, and nothing else.
 */
import type { JsonValue } from "../../events/log/event.ts";
import {
  type ErrorAction,
  errorActionOf,
  type ErrorPolicy,
  type IoOperation,
  jobErrorOf,
  type JobState,
} from "../../events/job/mod.ts";
import type {
  ClosingContext,
  DriverContext,
  DriverStep,
  IrreversibleAct,
  ProgressMeter,
  SpeedLimit,
  StepTicket,
} from "../drivers/driver.ts";
import type { RecordChanges } from "../drivers/nodes.ts";
import type { Throttle } from "../core/throttle.ts";
import type { RunnerHost } from "./host.ts";
import type { Ports } from "./ports.ts";
import type { StepRecorder } from "./steps.ts";

/** The runner as its context sees it. */
export interface LiveJob {
  /** The engine, for this job. */
  readonly host: RunnerHost;
  /** The job's durable state. */
  readonly job: JobState;
  /** Time and turns. */
  readonly ports: Ports;
  /** Steps and progress. */
  readonly steps: StepRecorder;
  /** The job's limiter. */
  readonly throttle: Throttle;
  /** Aborted at a force cancel. */
  readonly signal: AbortSignal;
  /** A place where the job may be paused. */
  pausePoint(context: DriverContext): Promise<void>;
  /** Sleeps so long, or until it is entered. */
  sleep(context: DriverContext, ms: number | undefined): Promise<void>;
}

/** Work after which a checkpoint is due: 256 MiB. */
export const CHECKPOINT_WORK = 256 * 2 ** 20;

/** Time of the job's clock after which a checkpoint is due: 2 s. */
export const CHECKPOINT_NS = 2_000_000_000;

/** Announces, performs and confirms an act; does not announce one twice after a crash. */
async function performAct(
  host: RunnerHost,
  act: IrreversibleAct,
  perform: (confirm: RecordChanges) => Promise<void>,
): Promise<void> {
  const open = await host.openAct();
  const isAnnounced = open?.kind === act.kind && open.subject === act.subject;
  if (!isAnnounced) await host.writeAct("ActAnnounced", act);
  let isConfirmed = false;
  await perform(async (changes) => {
    await host.writeAct("ActConfirmed", act, changes);
    isConfirmed = true;
  });
  if (!isConfirmed) await host.writeAct("ActConfirmed", act);
}

/** What the closing callbacks get. */
export function closingContext(host: RunnerHost): ClosingContext {
  return {
    get job() {
      return host.job();
    },
    act: (act, perform) => performAct(host, act, perform),
  };
}

/** What `run`, `pause` and `resume` get. */
export class RunContext implements DriverContext {
  readonly #runner: LiveJob;
  #checkpointNs: number;

  /** @param runner the runner of the job */
  constructor(runner: LiveJob) {
    this.#runner = runner;
    this.#checkpointNs = runner.ports.monotonicNs();
  }

  get job(): JobState {
    return this.#runner.job;
  }

  get signal(): AbortSignal {
    return this.#runner.signal;
  }

  get isCancelled(): boolean {
    return this.job.isForceCancelled;
  }

  get isCancelRequested(): boolean {
    return this.job.isCancelRequested;
  }

  get resumeFrom(): JsonValue | undefined {
    return this.job.checkpoint?.resumeFrom;
  }

  get progress(): ProgressMeter {
    return this.#runner.steps;
  }

  get speed(): SpeedLimit {
    const { throttle, ports } = this.#runner;
    return {
      bytesPerSecond: throttle.speed,
      account: (length) => throttle.account(ports.monotonicNs(), length) / 1e6,
    };
  }

  pausePoint(): Promise<void> {
    return this.#runner.pausePoint(this);
  }

  sleep(ms: number): Promise<void> {
    return this.#runner.sleep(this, ms);
  }

  yield(): Promise<void> {
    return this.#runner.sleep(this, undefined);
  }

  step(step: DriverStep): Promise<void> | undefined {
    return this.#runner.steps.step(step);
  }

  issue(): StepTicket {
    return this.#runner.steps.issue();
  }

  stepsSaved(): Promise<void> | undefined {
    return this.#runner.steps.saved();
  }

  isCheckpointDue(): boolean {
    const elapsedNs = this.#runner.ports.monotonicNs() - this.#checkpointNs;
    return this.#runner.steps.workSinceMark >= CHECKPOINT_WORK || elapsedNs >= CHECKPOINT_NS;
  }

  checkpoint(resumeFrom: JsonValue): Promise<void> {
    if (this.#runner.steps.hasEnded) return hasEnded();
    this.#runner.steps.close();
    this.#runner.steps.mark();
    this.#checkpointNs = this.#runner.ports.monotonicNs();
    return this.#runner.host.writeCheckpoint(resumeFrom);
  }

  async sourceWritten(): Promise<void> {
    // What is written after the end of `run` changes nothing any more.
    if (!this.#runner.steps.hasEnded) await this.#runner.host.writeSourceWritten();
  }

  async errorAction(
    policy: ErrorPolicy,
    operation: IoOperation,
    error: unknown,
  ): Promise<ErrorAction> {
    if (this.#runner.steps.hasEnded) return await hasEnded();
    const jobError = jobErrorOf(error);
    this.#runner.steps.close();
    await this.#runner.host.signal({ kind: "errorRaised", policy, operation, error: jobError });
    return errorActionOf(policy, jobError.errno);
  }

  ready(): Promise<void> {
    if (this.#runner.steps.hasEnded) return hasEnded();
    this.#runner.steps.close();
    return this.#runner.host.signal({ kind: "ready" });
  }

  async syncChanged(isActivelySynced: boolean): Promise<void> {
    // A write may settle after the end of `run`; it changes nothing any more.
    if (this.#runner.steps.hasEnded) return;
    await this.#runner.host.signal({ kind: "syncChanged", isActivelySynced });
  }

  act(act: IrreversibleAct, perform: (confirm: RecordChanges) => Promise<void>): Promise<void> {
    if (this.#runner.steps.hasEnded) return hasEnded();
    this.#runner.steps.close();
    return performAct(this.#runner.host, act, perform);
  }
}

/** A context is not for use after `run`; what it would record may come after the job's end. */
function hasEnded(): Promise<never> {
  return Promise.reject(new Error("Cannot use the context of a job: its run has ended"));
}
