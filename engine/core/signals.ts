/**
 * What a job's runner and driver report, and what follows from it.
 *
 * Signals are commands of the engine to itself: they are never refused; one that no longer applies
 * (a pause point reached after the pause was withdrawn, a callback that is not due) simply has no
 * effect.
 *
 * Source: QEMU 7.2 job.c job_pause_point, job_transition_to_ready, job_exit; blockjob.c
 * block_job_error_action.
 */
import {
  acceptsVerb,
  errnoError,
  type ErrorAction,
  errorActionOf,
  type ErrorPolicy,
  internalPauses,
  type IoOperation,
  ioStatusAfterStop,
  isCompletedStatus,
  isOverStatus,
  type JobError,
  type JobState,
  type PauseCause,
  type TxnState,
} from "../../events/job/mod.ts";
import type { CallbackName, FaultedCallback } from "../../events/job/mod.ts";
import {
  abortTxn,
  advance,
  cancelAsync,
  complete,
  dueWork,
  isClosing,
  updateResult,
} from "./converge.ts";
import { ACCEPTED, type Decision, Draft } from "./draft.ts";

/** A report about one job. */
export type Signal =
  /** The job stands at a pause point and its driver is quiet. */
  | { readonly kind: "pausePointReached" }
  /** The job was entered and leaves its pause point. */
  | { readonly kind: "pausePointLeft" }
  /** The driver says that source and target are in step. */
  | { readonly kind: "ready" }
  /** The driver says whether each write reaches its target at once. */
  | { readonly kind: "syncChanged"; readonly isActivelySynced: boolean }
  /** The driver consults its error policy. */
  | {
    readonly kind: "errorRaised";
    readonly policy: ErrorPolicy;
    readonly operation: IoOperation;
    readonly error: JobError;
  }
  /** `run` has ended. */
  | { readonly kind: "runReturned"; readonly error?: JobError }
  /** A closing callback has ended; `error` fails a prepare and is a fault in the others. */
  | {
    readonly kind: "callbackReturned";
    readonly callback: CallbackName;
    readonly error?: JobError;
  }
  /** A callback that cannot fail threw. */
  | { readonly kind: "faulted"; readonly callback: FaultedCallback; readonly error: JobError }
  /** Somebody inside needs the job to hold still. */
  | { readonly kind: "pauseRequested"; readonly by: PauseCause }
  /** The reason of an internal pause is gone. */
  | { readonly kind: "resumeRequested" }
  /** The process closes and the job goes on later. */
  | { readonly kind: "parked" }
  /** The engine itself stops the job, wherever it stands. */
  | { readonly kind: "cancelled" }
  /** The engine itself dismisses a concluded job. */
  | { readonly kind: "dismissed" };

/** What a driver is told after `errorRaised`. */
export function actionOf(signal: Signal & { readonly kind: "errorRaised" }): ErrorAction {
  return errorActionOf(signal.policy, signal.error.errno);
}

/**
 * Decides a signal.
 *
 * @param txn the transaction at the head
 * @param runId the job that reports
 * @param signal what it reports
 * @param position last position of the head
 */
export function decideSignal(
  txn: TxnState,
  runId: string,
  signal: Signal,
  position: number,
): Decision {
  const draft = new Draft(txn, position);
  apply(draft, draft.job(runId), signal);
  return { events: draft.events, answer: ACCEPTED };
}

function apply(draft: Draft, job: JobState, signal: Signal): void {
  const { runId } = job;
  switch (signal.kind) {
    case "pausePointReached":
      if (isPauseWanted(job)) draft.onJob(runId, "JobPaused", {}, job.setBy.pause);
      return;
    case "pausePointLeft":
      return leavePausePoint(draft, job);
    case "ready":
      if (job.status === "running") draft.onJob(runId, "JobReady", {});
      return;
    case "syncChanged":
      return changeSync(draft, job, signal.isActivelySynced);
    case "errorRaised":
      return raiseError(draft, job, signal);
    case "runReturned":
      if (job.isStarted && !isCompletedStatus(job.status)) endRun(draft, runId, signal.error);
      return;
    case "callbackReturned":
      return endCallback(draft, job, signal.callback, signal.error);
    case "faulted":
      // A driver is closed after its job's end, and may fail in that when the job is dismissed.
      if (job.status === "null" && signal.callback !== "close") return;
      return draft.onJob(runId, "DriverFaulted", {
        callback: signal.callback,
        error: signal.error,
      });
    case "pauseRequested":
      return requestPause(draft, job, signal.by);
    case "resumeRequested":
      if (internalPauses(job) > 0) draft.onJob(runId, "JobResumeRequested", { by: "internal" });
      return;
    case "parked":
      if (!isCompletedStatus(job.status)) draft.onJob(runId, "JobParked", {});
      return;
    case "cancelled":
      return cancel(draft, job);
    case "dismissed":
      if (job.status === "concluded") draft.onJob(runId, "JobDismissed", {});
      return;
  }
}

function changeSync(draft: Draft, job: JobState, isActivelySynced: boolean): void {
  if (isActivelySynced === (job.isActivelySynced === true) || !isReadyKind(job)) return;
  draft.onJob(job.runId, "JobSyncChanged", { isActivelySynced });
}

/** Only what is in step can be kept in step. */
function isReadyKind({ status }: JobState): boolean {
  return status === "ready" || status === "standby";
}

/** A pause that sets the user's bit follows the verb's rules; an internal one ends with the job. */
function requestPause(draft: Draft, job: JobState, by: PauseCause): void {
  const applies = by === "internal"
    ? !isOverStatus(job.status)
    : acceptsVerb(job.status, "pause") && !job.isUserPaused;
  if (applies) draft.onJob(job.runId, "JobPauseRequested", { by });
}

/** A closing sequence is past cancelling: its decision stands, and an abort has cancelled all. */
function cancel(draft: Draft, job: JobState): void {
  if (isOverStatus(job.status) || isClosing(draft.txn)) return;
  cancelAsync(draft, job.runId, { force: true, by: "engine" });
  if (!job.isStarted) complete(draft, job.runId);
  else if (job.hasRunReturned) {
    abortTxn(draft, job.runId);
    advance(draft);
  }
}

/** True if a job at a pause point has to stay there. */
export function isPauseWanted(job: JobState): boolean {
  return job.pauseCount > 0 && !job.isForceCancelled &&
    (job.status === "running" || job.status === "ready");
}

/** Leaves a pause: the only way out of paused and standby. */
export function leavePausePoint(draft: Draft, job: JobState): void {
  if (job.status !== "paused" && job.status !== "standby") return;
  const cause = Math.max(job.setBy.resume ?? 0, job.setBy.cancel ?? 0);
  const isSincePause = cause > (job.setBy.status ?? 0);
  draft.onJob(job.runId, "JobResumed", {}, isSincePause ? cause : undefined);
}

function raiseError(
  draft: Draft,
  job: JobState,
  signal: Signal & { readonly kind: "errorRaised" },
): void {
  if (!job.isStarted || isCompletedStatus(job.status)) return;
  const { operation, policy, error } = signal;
  const action = actionOf(signal);
  draft.onJob(job.runId, "IoErrorHandled", { operation, policy, action, error });
  if (action !== "stop") return;
  const cause = draft.txn.position;
  if (!job.isUserPaused) draft.onJob(job.runId, "JobPauseRequested", { by: "policy" }, cause);
  const after = ioStatusAfterStop(job.ioStatus, error.errno);
  if (after !== job.ioStatus) {
    draft.onJob(job.runId, "IoStatusChanged", { before: job.ioStatus, after }, cause);
  }
}

/** `run` has ended, or is known never to go on: the job completes. */
export function endRun(draft: Draft, runId: string, error: JobError | undefined): void {
  leavePausePoint(draft, draft.job(runId));
  const ret = error === undefined ? 0 : -error.number;
  draft.onJob(runId, "RunReturned", error === undefined ? { ret } : { ret, error });
  complete(draft, runId);
}

function endCallback(
  draft: Draft,
  job: JobState,
  callback: CallbackName,
  error: JobError | undefined,
): void {
  const { runId } = job;
  const due = dueWork(draft.txn);
  if (due?.kind !== "callback" || due.runId !== runId || due.callback !== callback) return;
  if (callback === "prepare") {
    const ret = error === undefined ? 0 : -error.number;
    draft.onJob(runId, "PrepareReturned", error === undefined ? { ret } : { ret, error });
    if (error !== undefined) {
      updateResult(draft, runId);
      abortTxn(draft, runId);
    }
  } else if (error !== undefined) {
    draft.onJob(runId, "DriverFaulted", { callback, error });
  } else if (callback === "commit") draft.onJob(runId, "CommitReturned", {});
  else if (callback === "abort") draft.onJob(runId, "AbortReturned", {});
  else if (callback === "clean") draft.onJob(runId, "CleanReturned", {});
  advance(draft);
}

/** Why a job that cannot go on after a stop of its process fails. */
export const ENGINE_STOPPED: JobError = errnoError(
  "EINTR",
  "The engine stopped while the job was running, and its driver cannot go on from a checkpoint",
);

/** Why a transaction whose finalization was cut short fails. */
export const FINALIZE_INTERRUPTED: JobError = errnoError(
  "EINTR",
  "The engine stopped after finalization had begun and before it was decided",
);
