/**
 * Completion, and how the members of a transaction converge or fail together.
 *
 * Every walk goes newest member first. Callbacks are work for the shell: `advance` drafts events
 * until a callback, or a member that still runs, stands in the way; `dueWork` then names it.
 *
 * - The decision is drafted before the first commit or abort callback can become due.
 * - Exactly one of commit and abort becomes due for a member, and clean always follows.
 * - A member that has concluded is never touched again.
 *
 * Differs from QEMU: a failed prepare aborts with the failing member as trigger, so that exactly
 * one member reports the real error; unstarted members are completed on the spot, without waiting.
 *
 * Source: QEMU 7.2 job.c job_completed, job_completed_txn_success, job_completed_txn_abort,
 * job_do_finalize, job_finalize_single, job_cancel_async, job_update_rc.
 */
import {
  errnoError,
  isCallbackDue,
  isCompletedStatus,
  isOverStatus,
  type JobState,
  type TxnState,
} from "../../events/job/mod.ts";
import type { CallbackName } from "../../events/job/mod.ts";
import type { Draft } from "./draft.ts";

/** Work that stands in the way of a transaction's end, to be done by the shell. */
export type DueWork =
  /** Call one closing callback and send back `callbackReturned`. */
  | { readonly kind: "callback"; readonly runId: string; readonly callback: CallbackName }
  /** Wake a force-cancelled member, so that its `run` can end. */
  | { readonly kind: "enter"; readonly runId: string };

/** A member's `run` has ended: the group goes on or aborts. */
export function complete(draft: Draft, runId: string): void {
  updateResult(draft, runId);
  if (draft.job(runId).ret !== 0) abortTxn(draft, runId);
  else succeed(draft, runId);
  advance(draft);
}

/** A return code becomes final: a force cancel counts as one, and a bad one means aborting. */
export function updateResult(draft: Draft, runId: string): void {
  const job = draft.job(runId);
  if (job.ret !== 0) {
    if (job.status === "aborting") return;
    const error = job.error ?? errnoError("EIO");
    draft.onJob(runId, "JobAborting", { ret: job.ret, error }, job.setBy.error);
  } else if (job.isForceCancelled) {
    const error = errnoError("ECANCELED");
    draft.onJob(runId, "JobAborting", { ret: -error.number, error }, job.setBy.cancel);
  }
}

function succeed(draft: Draft, runId: string): void {
  draft.onJob(runId, "JobWaiting", {});
  if (!draft.txn.jobs.every((job) => isCompletedStatus(job.status))) return;
  const cause = draft.job(runId).setBy.status;
  for (const job of draft.newestFirst) draft.onJob(job.runId, "JobPending", {}, cause);
  if (draft.txn.jobs.every((job) => job.autoFinalize)) {
    draft.onTxn("TxnFinalizing", { by: "auto" }, cause);
  }
}

/** Aborts the whole transaction, unless that was decided already. */
export function abortTxn(draft: Draft, trigger: string): void {
  if (draft.txn.decision !== null) return;
  const cause = draft.job(trigger).setBy.error ?? draft.job(trigger).setBy.cancel;
  draft.onTxn("TxnDecided", { decision: "abort", trigger }, cause);
  const decidedAt = draft.txn.decision!.position;
  for (const job of draft.newestFirst) {
    if (job.runId !== trigger && !isOverStatus(job.status)) {
      cancelAsync(draft, job.runId, { force: true, by: "group", cause: decidedAt });
    }
  }
}

/** How a cancel came about. */
interface CancelRequest {
  readonly force: boolean;
  readonly by: "user" | "group" | "engine";
  readonly cause?: number;
}

/**
 * Sets the flags of a cancel and ends a user's pause; does not wake the job.
 *
 * A soft cancel of a job whose `run` has ended changes nothing.
 */
export function cancelAsync(draft: Draft, runId: string, request: CancelRequest): void {
  const job = draft.job(runId);
  if (!request.force && job.hasRunReturned) return;
  const changes = !job.isCancelRequested || (request.force && !job.isForceCancelled);
  if (!changes && !job.isUserPaused) return;
  if (job.isUserPaused && job.ioStatus !== "ok") {
    const data = { before: job.ioStatus, after: "ok" } as const;
    draft.onJob(runId, "IoStatusChanged", data, request.cause);
  }
  const { force, by } = request;
  draft.onJob(runId, "JobCancelRequested", { force, by }, request.cause);
}

/** Goes on as far as possible without a callback and without waiting for a `run`. */
export function advance(draft: Draft): void {
  if (draft.txn.isFinalizing && draft.txn.decision === null && dueWork(draft.txn) === undefined) {
    draft.onTxn("TxnDecided", { decision: "commit", trigger: null });
  }
  while (draft.txn.decision !== null) {
    const job = draft.newestFirst.find((member) => !isOverStatus(member.status));
    if (job === undefined) return conclude(draft);
    if (!isCompletedStatus(job.status) && job.isStarted) return;
    updateResult(draft, job.runId);
    if (closingWork(draft.job(job.runId), draft.txn) !== undefined) return;
    finish(draft, job.runId);
  }
}

function finish(draft: Draft, runId: string): void {
  const job = draft.job(runId);
  const cause = draft.txn.decision?.position;
  const result = {
    outcome: job.isForceCancelled ? "cancelled" : "completed",
    ret: job.ret,
    wasStarted: job.isStarted,
    current: job.progress.current,
    total: job.progress.total,
    speed: job.speed,
  } as const;
  const data = job.error === null ? result : { ...result, error: job.error };
  draft.onJob(runId, "JobConcluded", data, cause);
  if (job.autoDismiss || !job.isStarted) {
    draft.onJob(runId, "JobDismissed", {}, draft.job(runId).setBy.status);
  }
}

function conclude(draft: Draft): void {
  const { decision, isGroup, isConcluded, awaited } = draft.txn;
  if (isGroup && !isConcluded) {
    draft.onTxn("TxnConcluded", { decision: decision!.decision }, decision!.position);
  }
  for (const answer of awaited) {
    const { commandId, rollback } = answer;
    draft.add(answer.stream, "VerbAnswered", { commandId, ...rollback });
  }
}

/**
 * Names the work that a transaction waits for, from its state alone: live, after a crash and in a
 * model alike.
 *
 * @returns undefined when the transaction waits for nothing but commands and running members
 */
export function dueWork(txn: TxnState): DueWork | undefined {
  if (txn.decision === null && !txn.isFinalizing) return undefined;
  const newestFirst = txn.jobs.toReversed();
  if (txn.decision === null) {
    const job = newestFirst.find((member) => isCallbackDue(member, "prepare"));
    return job && { kind: "callback", runId: job.runId, callback: "prepare" };
  }
  const job = newestFirst.find((member) => !isOverStatus(member.status));
  if (job === undefined) return undefined;
  if (!isCompletedStatus(job.status)) return { kind: "enter", runId: job.runId };
  return closingWork(job, txn);
}

function closingWork(job: JobState, txn: TxnState): DueWork | undefined {
  const last = txn.decision?.decision === "commit" ? "commit" : "abort";
  for (const callback of [last, "clean"] as const) {
    if (isCallbackDue(job, callback)) return { kind: "callback", runId: job.runId, callback };
  }
  return undefined;
}

/** True while a transaction is in its closing sequence: further commands wait for its end. */
export function isClosing(txn: TxnState): boolean {
  if (!txn.isFinalizing && txn.decision === null) return false;
  return txn.jobs.some((job) => !isOverStatus(job.status));
}
