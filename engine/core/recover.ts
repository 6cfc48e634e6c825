/**
 * What an opening does with the transactions that an earlier process left unfinished.
 *
 * - With a recorded decision, every member is driven to its side.
 * - Without one, after finalization had begun, the group aborts.
 * - A resumable member that was running, paused or ready goes on; its status stays as it was, and
 *   so does a user's pause. Internal pauses end: who asked for them died with the process.
 * - Any other member that was still to run takes the legal path to aborting: paused -> running,
 *   standby -> ready, then aborting; created -> aborting. The group follows its rules: its other
 *   members end with it and are not taken up first.
 * - A second recovery, after a crash during the first, comes to the same.
 *
 * Source: DESIGN.md, The job machine, Group decision and Recovery.
 */
import {
  internalPauses,
  isCompletedStatus,
  type JobError,
  type JobState,
  type TxnState,
} from "../../events/job/mod.ts";
import { abortTxn, advance, complete, updateResult } from "./converge.ts";
import { ACCEPTED, type Decision, Draft } from "./draft.ts";
import { endRun, ENGINE_STOPPED, FINALIZE_INTERRUPTED } from "./signals.ts";

/**
 * Decides how an unfinished transaction is taken up again.
 *
 * @param txn the transaction as the log has it
 * @param canResume false for members whose driver is gone or cannot be opened
 * @param position last position of the log
 */
export function decideRecovery(
  txn: TxnState,
  canResume: (job: JobState) => JobError | undefined,
  position: number,
): Decision {
  const draft = new Draft(txn, position);
  // Members that end come first: their group aborts, and then no other is taken up in vain.
  for (const isEnding of [true, false]) {
    for (const { runId } of draft.newestFirst) {
      const job = draft.job(runId);
      if (isCompletedStatus(job.status)) continue;
      const cannot = canResume(job);
      if (!isEnding || !canGoOn(draft, job, cannot)) recoverMember(draft, job, cannot);
    }
  }
  if (draft.txn.isFinalizing && draft.txn.decision === null) abortFinalization(draft);
  else advance(draft);
  return { events: draft.events, answer: ACCEPTED };
}

/** A force-cancelled member, or one of a group that was decided to abort, only has to end. */
function isAborted(draft: Draft, job: JobState): boolean {
  return job.isForceCancelled || draft.txn.decision !== null;
}

function canGoOn(draft: Draft, job: JobState, cannot: JobError | undefined): boolean {
  const isAble = job.isStarted && job.isResumable && cannot === undefined;
  return isAble && !isAborted(draft, job);
}

function recoverMember(draft: Draft, job: JobState, cannot: JobError | undefined): void {
  const { runId } = job;
  if (canGoOn(draft, job, cannot)) {
    const current = job.checkpoint?.current ?? 0;
    draft.onJob(runId, "JobRecovered", { action: "resumed", current });
    return dropInternalPauses(draft, runId);
  }
  draft.onJob(runId, "JobRecovered", { action: "failed", current: job.progress.current });
  if (isAborted(draft, job) && job.isStarted) endRun(draft, runId, undefined);
  else if (job.isStarted) endRun(draft, runId, cannot ?? ENGINE_STOPPED);
  else failUnstarted(draft, runId, cannot ?? ENGINE_STOPPED);
}

/** Who asked for an internal pause died with the process; nobody else would ever end it. */
function dropInternalPauses(draft: Draft, runId: string): void {
  const cause = draft.txn.position;
  while (internalPauses(draft.job(runId)) > 0) {
    draft.onJob(runId, "JobResumeRequested", { by: "internal" }, cause);
  }
}

function failUnstarted(draft: Draft, runId: string, error: JobError): void {
  const job = draft.job(runId);
  if (job.isForceCancelled) return complete(draft, runId);
  draft.onJob(runId, "JobAborting", { ret: -error.number, error });
  abortTxn(draft, runId);
}

function abortFinalization(draft: Draft): void {
  const newest = draft.newestFirst[0]!;
  const error = FINALIZE_INTERRUPTED;
  draft.onJob(newest.runId, "JobAborting", { ret: -error.number, error });
  updateResult(draft, newest.runId);
  abortTxn(draft, newest.runId);
  advance(draft);
}

/**
 * Decides for a force-cancelled job that no process runs: its `run` will never return by itself.
 */
export function decideStopped(txn: TxnState, runId: string, position: number): Decision {
  const draft = new Draft(txn, position);
  if (!isCompletedStatus(draft.job(runId).status)) endRun(draft, runId, undefined);
  return { events: draft.events, answer: ACCEPTED };
}
