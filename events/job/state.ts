/**
 * The folded state of a job and of a transaction: plain JSON, equal for equal histories.
 *
 * `JobState` does not grow with the number of steps. For each explained field it keeps the global
 * position of the event that set it, so that "why" is a look-up and not a search.
 *
 * Source: QEMU 7.2 include/qemu/job.h struct Job, struct JobTxn.
 */
import type { JsonObject, JsonValue } from "../log/event.ts";
import type { IoStatus } from "./error_policy.ts";
import type { JobError } from "./errno.ts";
import type { CallbackName } from "./events.ts";
import type { JobStatus } from "./status.ts";

/** Version of the fold; a snapshot made by another one is ignored. */
export const FOLD_VERSION = 1;

/** The fields whose last setting event is kept. */
export type ExplainedField =
  | "status"
  | "pause"
  | "resume"
  | "cancel"
  | "complete"
  | "speed"
  | "parameters"
  | "ioStatus"
  | "error"
  | "total"
  | "checkpoint";

/** Work done and work in all, in the driver's unit; 0 of 0 is a valid end. */
export type Progress = {
  /** Work done. */
  readonly current: number;
  /** Work in all, as far as known. */
  readonly total: number;
};

/** What the last checkpoint said. */
export type Checkpoint = {
  /** Global position of its event. */
  readonly position: number;
  /** What the driver needs to go on. */
  readonly resumeFrom: JsonValue;
  /** Progress at that moment. */
  readonly current: number;
  /** Where it was recorded that others have written the source since; absent = nobody has. */
  readonly writtenAt?: number;
};

/** Everything that is true of one job. */
export type JobState = {
  /** UUIDv7 of this life of the job id. */
  readonly runId: string;
  /** The id that users chose; null = internal job. */
  readonly id: string | null;
  /** Name of the driver. */
  readonly type: string;
  /** The transaction; equals `runId` for a lone job. */
  readonly txnId: string;
  /** The driver's checked parameters, with what was changed of them since. */
  readonly parameters: JsonObject;
  /** False = waits in pending for `finalize`, and holds its whole transaction there. */
  readonly autoFinalize: boolean;
  /** False = stays in concluded until `dismiss`. */
  readonly autoDismiss: boolean;
  /** Callbacks that the driver had at creation. */
  readonly callbacks: readonly CallbackName[];
  /** True if a later process can go on from the last checkpoint. */
  readonly isResumable: boolean;
  /** Behaviour number that the job was created under. */
  readonly behaviour: number;
  /** Where it stands. */
  readonly status: JobStatus;
  /** True once it has left created towards running. */
  readonly isStarted: boolean;
  /** Reasons to be paused; 1 while created. */
  readonly pauseCount: number;
  /** True if one of these reasons is the user's (or the error policy's). */
  readonly isUserPaused: boolean;
  /** A cancel was accepted, soft or by force. */
  readonly isCancelRequested: boolean;
  /** A force cancel was accepted; implies `isCancelRequested`. */
  readonly isForceCancelled: boolean;
  /** `complete` was accepted. */
  readonly isCompleteRequested: boolean;
  /** Bytes per second; 0 = unlimited. */
  readonly speed: number;
  /** True while every write reaches the target at once; absent = it was never so. */
  readonly isActivelySynced?: boolean;
  /** Where it stands with its errors. */
  readonly ioStatus: IoStatus;
  /** Its progress. */
  readonly progress: Progress;
  /** Its last checkpoint. */
  readonly checkpoint: Checkpoint | null;
  /** True once `run` has ended. */
  readonly hasRunReturned: boolean;
  /** 0, or -errno. */
  readonly ret: number;
  /** The error behind `ret`. */
  readonly error: JobError | null;
  /** Closing callbacks that have ended. */
  readonly closed: readonly CallbackName[];
  /** The final event; null before the job has concluded. */
  readonly outcome: "completed" | "cancelled" | null;
  /** Position of an announced act that was not confirmed yet. */
  readonly openAct: number | null;
  /** Milliseconds since 1970 of the creation. */
  readonly createdAt: number;
  /** Milliseconds since 1970 of the last change of status. */
  readonly statusAt: number;
  /** Number of step events. */
  readonly stepCount: number;
  /** Version of the job's stream. */
  readonly version: number;
  /** Global position of the last event folded. */
  readonly position: number;
  /** Positions of the events that set the explained fields. */
  readonly setBy: { readonly [F in ExplainedField]?: number };
};

/** A command whose answer follows once the transaction is over. */
export type AwaitedAnswer = {
  /** The command's id. */
  readonly commandId: string;
  /** Stream in which the answer will stand. */
  readonly stream: string;
  /** Set when what was begun is rolled back: the code and text of the answer to come. */
  readonly rollback?: { readonly code: string; readonly text: string };
};

/** What was decided about a transaction. */
export type TxnDecision = {
  /** The side that all members are driven to. */
  readonly decision: "commit" | "abort";
  /** Run id of the member that caused an abort. */
  readonly trigger: string | null;
  /** Position of the decision. */
  readonly position: number;
};

/** Everything that is true of one transaction: its facts and its members. */
export type TxnState = {
  /** A group's own id, or the run id of a lone job. */
  readonly txnId: string;
  /** True if it has a stream of its own. */
  readonly isGroup: boolean;
  /** Members, oldest first. QEMU walks them newest first. */
  readonly jobs: readonly JobState[];
  /** True once finalization has begun. */
  readonly isFinalizing: boolean;
  /** The recorded decision. */
  readonly decision: TxnDecision | null;
  /** Commands that wait for the end of the closing sequence. */
  readonly awaited: readonly AwaitedAnswer[];
  /** True once every member of a group has concluded. */
  readonly isConcluded: boolean;
  /** Version of the group's stream; 0 for a lone job. */
  readonly version: number;
  /** Global position of the last event folded. */
  readonly position: number;
};

/** The state before the first event of a job. */
export const INITIAL_JOB: JobState = {
  runId: "",
  id: null,
  type: "",
  txnId: "",
  parameters: {},
  autoFinalize: true,
  autoDismiss: true,
  callbacks: [],
  isResumable: false,
  behaviour: 0,
  status: "undefined",
  isStarted: false,
  pauseCount: 1,
  isUserPaused: false,
  isCancelRequested: false,
  isForceCancelled: false,
  isCompleteRequested: false,
  speed: 0,
  ioStatus: "ok",
  progress: { current: 0, total: 0 },
  checkpoint: null,
  hasRunReturned: false,
  ret: 0,
  error: null,
  closed: [],
  outcome: null,
  openAct: null,
  createdAt: 0,
  statusAt: 0,
  stepCount: 0,
  version: 0,
  position: 0,
  setBy: {},
};

/** The state of a transaction before its first event. */
export function initialTxn(txnId: string, isGroup: boolean): TxnState {
  return {
    txnId,
    isGroup,
    jobs: [],
    isFinalizing: false,
    decision: null,
    awaited: [],
    isConcluded: false,
    version: 0,
    position: 0,
  };
}

/** True for jobs without an id: they are in no list and send no status events. */
export function isInternal(job: JobState): boolean {
  return job.id === null;
}

/** True if a closing callback exists and has not ended yet. */
export function isCallbackDue(job: JobState, callback: CallbackName): boolean {
  return job.callbacks.includes(callback) && !job.closed.includes(callback);
}

/** Reasons to be paused that are neither the user's nor that of a job before its start. */
export function internalPauses(job: JobState): number {
  return job.pauseCount - (job.isUserPaused ? 1 : 0) - (job.isStarted ? 0 : 1);
}

/** The member with this run id. */
export function memberOf(txn: TxnState, runId: string): JobState | undefined {
  // A loop, because this is asked several times an event.
  for (const job of txn.jobs) if (job.runId === runId) return job;
  return undefined;
}

/** The name that texts use for a job: its id, or a word for an internal one. */
export function nameOf(job: JobState): string {
  return job.id ?? `(internal ${job.runId})`;
}
