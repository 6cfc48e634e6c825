/**
 * The contract between the engine and a kind of job.
 *
 * A driver opens what a job works on and hands back one object whose callbacks the engine calls in
 * QEMU's order and with QEMU's exclusions:
 *
 * ```text
 * success            run -> [prepare] -> commit -> clean -> close
 * run fails          run ->             abort  -> clean -> close
 * prepare fails      run -> prepare  -> abort  -> clean -> close
 * group abort        run -> [prepare] -> (cancel) -> abort -> clean -> close
 * cancel, unstarted  abort -> clean -> close            (run and prepare are never called)
 * early failure                                  close   (no abort, no clean)
 * process ends       run is unwound at a pause point -> close; later: open -> run again
 * ```
 *
 * Exactly one of commit and abort is called for a job that gets that far; clean always follows.
 * After a crash prepare, commit, abort and clean may be called again: they must be idempotent. The
 * log records each completion once. An exception in commit, abort or clean is recorded as
 * `DriverFaulted` and the sequence goes on; one in prepare or run is the job's error.
 *
 * Source: QEMU 7.2 include/qemu/job.h struct JobDriver; DESIGN.md, The job machine.
 */
import type { JsonObject, JsonValue } from "../../events/log/event.ts";
import type { ErrorAction, ErrorPolicy, IoOperation } from "../../events/job/error_policy.ts";
import type { JobState } from "../../events/job/state.ts";
import type { JobNodes, RecordChanges, Use } from "./nodes.ts";
import type { DriverStep, ProgressMeter, SpeedLimit, StepTicket } from "./work.ts";

export type { JsonObject, JsonValue } from "../../events/log/event.ts";
export { DEBUG_EVENTS, type DebugEvent } from "../block/debug_events.ts";
export type { DirtyBitmap, DirtyBitmapOptions } from "../block/dirty_bitmap.ts";
export type { DirtyArea } from "../block/dirty_map.ts";
export type { DrainedEdge, Edge, EdgeOptions } from "../block/edge.ts";
export type { BlockNode, Extent, ExtentKind, LentRange, Loan } from "../block/node.ts";
export type {
  JobBitmap,
  JobNodes,
  NodeChange,
  NodeFilter,
  NodeOperation,
  RecordChanges,
} from "./nodes.ts";
export type { DriverStep, ProgressMeter, SpeedLimit, StepTicket } from "./work.ts";

/** An act that cannot be taken back, announced before and confirmed after it. */
export interface IrreversibleAct {
  /** `truncate`, `unlink`, `rename`, `header-rewrite`, `pivot`, or a driver's own word. */
  readonly kind: string;
  /** What it is done to, such as a resolved path. */
  readonly subject: string;
  /** What can be seen before. */
  readonly before: JsonValue;
  /** What can be seen after. */
  readonly after: JsonValue;
}

/** What the closing callbacks get. */
export interface ClosingContext {
  /** The job as the log has it, durably, at this moment. */
  readonly job: JobState;
  /**
   * Announces an act durably, does it, and confirms it. After a crash between the two, the same
   * call is made again: `perform` must look at the subject and finish or skip. A `perform` that
   * changes the graph of nodes records that with `confirm`, in one append with the confirmation.
   */
  act(act: IrreversibleAct, perform: (confirm: RecordChanges) => Promise<void>): Promise<void>;
}

/** What `run` gets: everything it may ask of the engine. Not for use after `run` has ended. */
export interface DriverContext extends ClosingContext {
  /** Aborted as soon as a force cancel is durable. `run` should return then; nothing is lost. */
  readonly signal: AbortSignal;
  /** True after a force cancel: `run` returns as soon as it can. */
  readonly isCancelled: boolean;
  /** True after any cancel, soft ones included. */
  readonly isCancelRequested: boolean;
  /** What the last checkpoint held, when the job goes on after a stop of the process. */
  readonly resumeFrom: JsonValue | undefined;
  /** The progress meter. */
  readonly progress: ProgressMeter;
  /** The speed limiter. */
  readonly speed: SpeedLimit;
  /**
   * A place where the job may be paused, and where others get their turn. Resolves at once when
   * nothing is asked for. Rejects with `JobParked` when the process closes: let it through.
   */
  pausePoint(): Promise<void>;
  /** Sleeps, interruptible: a pause, a cancel or a raised speed ends it and the rest is dropped. */
  sleep(ms: number): Promise<void>;
  /** Waits until somebody enters the job: resume, cancel, complete. */
  yield(): Promise<void>;
  /** Records one unit of work that is done. A promise only while 1,024 steps are unsaved. */
  step(step: DriverStep): Promise<void> | undefined;
  /** Takes a place in the order of steps for work that is issued now and done later. */
  issue(): StepTicket;
  /** Waits for room when 1,024 steps are unsaved; undefined when there is room. */
  stepsSaved(): Promise<void> | undefined;
  /** True when 256 MiB of work or 2 s have gone by since the last checkpoint. */
  isCheckpointDue(): boolean;
  /**
   * Says "durable up to here". Call it after a flush of the target, with what a later `run` needs
   * to go on. Resolves when the checkpoint is durable.
   */
  checkpoint(resumeFrom: JsonValue): Promise<void>;
  /**
   * Records durably that somebody beside the job has written what it reads, since its last
   * checkpoint. Resolves before that write may go on. Absent = nobody can.
   */
  sourceWritten?(): Promise<void>;
  /**
   * Consults the error policy. `report`: throw the error from `run`; `ignore`: go on as the driver
   * defines it; `stop`: go to a pause point and try again after it.
   */
  errorAction(policy: ErrorPolicy, operation: IoOperation, error: unknown): Promise<ErrorAction>;
  /** The job is synchronised: running becomes ready. */
  ready(): Promise<void>;
  /**
   * Says whether, from now on, every write reaches the target before it is acknowledged. Recorded
   * if that is news and the job is ready. Absent = nobody asks.
   */
  syncChanged?(isActivelySynced: boolean): Promise<void>;
}

export type { Use } from "./nodes.ts";

/** What `open` gets. */
export interface OpenContext {
  /** True when the job was created by an earlier process and its target may be half written. */
  readonly isRecovery: boolean;
  /** Folder against which relative file names resolve: absolute. */
  readonly baseFolder: string;
  /**
   * Claims something outside of the log for this job, so that nobody uses it in a way that does not
   * go together with this one. Absent = there are no others.
   *
   * @param subject what tells it from all others, such as the device and inode of a file
   * @returns gives it back, and is safe to call twice; undefined when another job has claimed it
   * @throws {JoblogError} code "permissionConflict" when a node of the graph uses it otherwise
   */
  claim?(subject: string, use: Use): Promise<(() => void) | undefined>;
  /** The graph of open nodes, as this job deals with it. Absent = there is none. */
  readonly nodes?: JobNodes;
}

/** One job's life in its driver's hands. Callbacks of one job never overlap but where said. */
export interface DriverJob {
  /** Does the work. Resolves = done, rejects = failed with the error's errno, else EIO. */
  run(context: DriverContext): Promise<void>;
  /** Quiesces all I/O; called at a pause point before the job is paused. */
  pause?(context: DriverContext): Promise<void> | void;
  /** Called when a pause point is left, also when the pause was withdrawn meanwhile. */
  resume?(context: DriverContext): Promise<void> | void;
  /** Called when a user's pause is ended by resume or by a cancel. May overlap `run`. */
  userResume?(): void;
  /**
   * The verb `complete` was accepted. May overlap `run`. A driver without it cannot be completed.
   */
  complete?(): void;
  /** Says why `complete` cannot be accepted now; undefined = it can. Must not change anything. */
  completeRefusal?(job: JobState): string | undefined;
  /** True if a soft cancel may complete the job instead of stopping it. Changes nothing. */
  canCancelSoftly?(job: JobState): boolean;
  /** A cancel was accepted. May overlap `run`: the place to abandon I/O that hangs. */
  cancel?(force: boolean): void;
  /** The speed was changed; 0 = unlimited. May overlap `run`. */
  setSpeed?(bytesPerSecond: number): void;
  /**
   * Parameters were changed by the verb `change`; all of them as they are now. May overlap `run`,
   * and is not called before it: `run` looks at `context.job.parameters`.
   */
  changed?(parameters: JsonObject): void;
  /** The last step that may fail, after all members of the transaction have ended well. */
  prepare?(context: ClosingContext): Promise<void> | void;
  /** The job and its transaction succeeded. */
  commit?(context: ClosingContext): Promise<void> | void;
  /** The job or its transaction failed or was cancelled. */
  abort?(context: ClosingContext): Promise<void> | void;
  /** After commit or abort, always. */
  clean?(context: ClosingContext): Promise<void> | void;
  /** Frees everything; the last call, exactly once per `open`. */
  close?(): Promise<void> | void;
}

/**
 * A kind of job.
 *
 * @typeParam P the parameters after `parameters()` has checked and completed them
 */
export interface Driver<P extends JsonObject = JsonObject> {
  /** Name of the job type: 1 to 32 characters of `a-z 0-9 -`. */
  readonly type: string;
  /** One line for help texts. */
  readonly summary: string;
  /** True if a job can go on from its last checkpoint after its process died. @default false */
  readonly isResumable?: boolean;
  /**
   * Refuses what is to be refused before anything else, where the order of refusals is QEMU's: it
   * asks for nodes before, between and behind the parameters. Changes nothing. Called only when a
   * request says which parameters must be names of nodes, and before those are looked for.
   *
   * @param input raw parameters
   * @param nodes of a session that ends when this returns
   * @param named parameters that must be names of nodes
   * @throws {JoblogError} as `parameters` and `open`
   */
  precheck?(input: JsonObject, nodes: JobNodes, named: readonly string[]): void;
  /**
   * Checks raw parameters and fills in defaults. Pure. What it returns is recorded in the log.
   *
   * @throws {JoblogError} code "invalidParameter" naming the parameter, what was expected and found
   */
  parameters(input: JsonObject): P;
  /**
   * Says which parameters of a living job the verb `change` makes others. Pure. They are recorded,
   * and `DriverJob.changed` is told. Absent = this kind has nothing to change.
   *
   * @param parameters those of the job as they are now
   * @param input what is to be changed, as it came
   * @returns the parameters that become others, with their new values; empty = none do
   * @throws {JoblogError} code "invalidParameter": the verb is refused with its text
   */
  change?(parameters: P, input: JsonObject): JsonObject;
  /** Opens what the job works on. A rejection refuses the creation with its text. */
  open(parameters: P, context: OpenContext): Promise<DriverJob> | DriverJob;
}

/**
 * Declares a driver with its parameter type inferred.
 *
 * @example A job that counts
 * ```ts
 * import { defineDriver } from "./driver.ts";
 *
 * export const count = defineDriver({
 *   type: "count",
 *   summary: "counts to a number",
 *   parameters: (input) => ({ to: Number(input["to"] ?? 10) }),
 *   open: ({ to }) => ({
 *     async run(context) {
 *       context.progress.setRemaining(to);
 *       for (let n = 0; n < to && !context.isCancelled; n++) {
 *         await context.step({ kind: "counted", offset: n, length: 1 });
 *         await context.pausePoint();
 *       }
 *     },
 *   }),
 * });
 * ```
 */
export function defineDriver<P extends JsonObject>(driver: Driver<P>): Driver<P> {
  return driver;
}

/**
 * Thrown out of the context's waiting calls when the process closes and the job is to go on later.
 * A driver lets it through; `close` is called next.
 */
export class JobParked extends Error {
  /** Says that this is no failure. */
  constructor() {
    super("The job is parked: its process is closing");
    this.name = "JobParked";
  }
}
