/**
 * Jobs and transactions as plain data for replies.
 *
 * `jobInfo` has the names of QEMU's query-jobs; `jobView` and `txnView` are the fuller ones of HTTP
 * and TypeScript. Both are pure functions of the folded state and share nothing with it that could
 * change.
 */
import {
  type Checkpoint,
  type ExplainedField,
  type IoStatus,
  isCompletedStatus,
  type JobError,
  type JobState,
  type JobStatus,
  nameOf,
  type TxnState,
} from "../job/mod.ts";
import type { JsonObject } from "../log/event.ts";
import { type Convergence, convergenceOf } from "./convergence.ts";
import { percentOf } from "./progress.ts";
import type { PauseNote } from "./txns.ts";

/**
 * One element of QEMU's query-jobs.
 *
 * Source: QEMU 7.2 qapi/job.json JobInfo.
 */
export interface JobInfo {
  /** The id. */
  readonly id: string;
  /** The type. */
  readonly type: string;
  /** The status. */
  readonly status: JobStatus;
  /** Work done. */
  readonly "current-progress": number;
  /** Work in all. */
  readonly "total-progress": number;
  /** Text of the error, present iff there is one. */
  readonly error?: string;
}

/** A job as query-jobs shows it. */
export function jobInfo(job: JobState): JobInfo {
  const info = {
    id: nameOf(job),
    type: job.type,
    status: job.status,
    "current-progress": job.progress.current,
    "total-progress": job.progress.total,
  };
  return job.error === null ? info : { ...info, error: job.error.text };
}

/** A job as HTTP and TypeScript show it. */
export interface JobView {
  /** The id; null = internal job. */
  readonly id: string | null;
  /** UUIDv7 of this life of the id. */
  readonly runId: string;
  /** The type. */
  readonly type: string;
  /** The transaction; equals `runId` for a lone job. */
  readonly txnId: string;
  /** The status. */
  readonly status: JobStatus;
  /** Milliseconds since 1970 since when. */
  readonly statusSince: number;
  /** Work done, work in all, and 0 to 100 with one decimal. */
  readonly progress: { readonly current: number; readonly total: number; readonly percent: number };
  /** Bytes per second; 0 = unlimited. */
  readonly speed: number;
  /** True while every write to the source of a mirror reaches its target at once. */
  readonly isActivelySynced: boolean;
  /** Where it stands with its errors. */
  readonly ioStatus: IoStatus;
  /** The error behind `ret`; null = none. */
  readonly error: JobError | null;
  /** Reasons to be paused. */
  readonly pauseCount: number;
  /** True if one of these is the user's or the error policy's. */
  readonly isUserPaused: boolean;
  /** True once a cancel was accepted. */
  readonly isCancelRequested: boolean;
  /** False = waits in pending for `finalize`. */
  readonly autoFinalize: boolean;
  /** False = stays in concluded until `dismiss`. */
  readonly autoDismiss: boolean;
  /** The final event; null before the job has concluded. */
  readonly outcome: "completed" | "cancelled" | null;
  /** 0, or -errno. */
  readonly ret: number;
  /** The last checkpoint; null = none. */
  readonly checkpoint: Checkpoint | null;
  /** Milliseconds since 1970 of the creation. */
  readonly createdAt: number;
  /** The driver's checked parameters, with what was changed of them since. */
  readonly parameters: JsonObject;
  /** Number of step events. */
  readonly stepCount: number;
  /** Global position of the last event in it. */
  readonly position: number;
  /** Positions of the events that set the explained fields. */
  readonly setBy: { readonly [F in ExplainedField]?: number };
}

/** A job with all that its readers may want to know. */
export function jobView(job: JobState): JobView {
  const { current, total } = job.progress;
  const hasEnded = job.hasRunReturned || isCompletedStatus(job.status);
  return {
    id: job.id,
    runId: job.runId,
    type: job.type,
    txnId: job.txnId,
    status: job.status,
    statusSince: job.statusAt,
    progress: { current, total, percent: percentOf(job.progress, hasEnded) },
    speed: job.speed,
    isActivelySynced: job.isActivelySynced === true,
    ioStatus: job.ioStatus,
    error: job.error,
    pauseCount: job.pauseCount,
    isUserPaused: job.isUserPaused,
    isCancelRequested: job.isCancelRequested,
    autoFinalize: job.autoFinalize,
    autoDismiss: job.autoDismiss,
    outcome: job.outcome,
    ret: job.ret,
    checkpoint: job.checkpoint,
    createdAt: job.createdAt,
    parameters: job.parameters,
    stepCount: job.stepCount,
    position: job.position,
    setBy: job.setBy,
  };
}

/** A transaction as HTTP and TypeScript show it. */
export interface TxnView {
  /** A group's own id, or the run id of a lone job. */
  readonly id: string;
  /** True for a group of jobs that end together. */
  readonly isGroup: boolean;
  /** Members, oldest first. */
  readonly members: readonly JobView[];
  /** How far they have come and who is in the way. */
  readonly convergence: Convergence;
  /** Commands that are answered when the transaction is over. */
  readonly awaitedCommands: readonly string[];
  /** Global position of the last event in it. */
  readonly position: number;
}

/**
 * A transaction with its members and what it waits for.
 *
 * @param pauses the last request to pause per run id, as the view `txns` keeps it
 */
export function txnView(txn: TxnState, pauses?: ReadonlyMap<string, PauseNote>): TxnView {
  return {
    id: txn.txnId,
    isGroup: txn.isGroup,
    members: txn.jobs.map(jobView),
    convergence: convergenceOf(txn, pauses),
    awaitedCommands: txn.awaited.map((answer) => answer.commandId),
    position: txn.position,
  };
}
