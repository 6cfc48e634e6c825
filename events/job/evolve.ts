/**
 * The fold: (state, event) -> state, for jobs and transactions.
 *
 * - Pure: no clock, no chance, no I/O. Every history ever written folds; this file may only grow.
 * - Every change of status passes the transition table; a forbidden one throws, because it is a bug
 *   of the writer and not a thing to go on from.
 * - `applyToJob` changes an object that the caller owns (for folding many events fast); nested
 *   values are replaced and never changed, so that shallow copies stay apart.
 *
 * Source: QEMU 7.2 job.c for what each fact does to the state.
 */
import type { JobEvent, JobEventData, JobEventType } from "./events.ts";
import { runIdOfStream } from "./events.ts";
import type { ExplainedField, JobState, TxnState } from "./state.ts";
import { INITIAL_JOB } from "./state.ts";
import type { JobStatus } from "./status.ts";
import { assertTransition } from "./status.ts";

type Draft<T> = { -readonly [K in keyof T]: T[K] };
/** A job's state that the caller owns and may have changed in place. */
export type JobDraft = { -readonly [K in keyof JobState]: JobState[K] };
type Handler<T extends JobEventType> = (
  job: JobDraft,
  data: JobEventData[T],
  event: JobEvent,
) => void;

function enter(job: JobDraft, to: JobStatus, event: JobEvent): void {
  assertTransition(job.id ?? job.runId, job.status, to);
  job.status = to;
  job.statusAt = event.time;
  explain(job, "status", event);
}

function explain(job: JobDraft, field: ExplainedField, event: JobEvent): void {
  const setBy: { [F in ExplainedField]?: number } = { ...job.setBy };
  setBy[field] = event.position;
  job.setBy = setBy;
}

function close(job: JobDraft, callback: "prepare" | "commit" | "abort" | "clean"): void {
  if (!job.closed.includes(callback)) job.closed = [...job.closed, callback];
}

/** One handler per type that concerns a job; types that are not here leave a job as it is. */
const HANDLERS: { readonly [T in JobEventType]?: Handler<T> } = {
  JobCreated(job, data, event) {
    enter(job, "created", event);
    job.runId = data.runId;
    job.id = data.id;
    job.type = data.jobType;
    job.txnId = data.txnId;
    job.parameters = data.parameters;
    job.speed = data.speed;
    job.autoFinalize = data.autoFinalize;
    job.autoDismiss = data.autoDismiss;
    job.callbacks = data.callbacks;
    job.isResumable = data.isResumable;
    job.behaviour = data.behaviour;
    job.createdAt = event.time;
  },
  JobStarted(job, _data, event) {
    enter(job, "running", event);
    job.isStarted = true;
    job.pauseCount -= 1;
  },
  JobPauseRequested(job, data, event) {
    job.pauseCount += 1;
    if (data.by !== "internal") job.isUserPaused = true;
    explain(job, "pause", event);
  },
  JobPaused(job, _data, event) {
    enter(job, job.status === "ready" ? "standby" : "paused", event);
  },
  JobResumeRequested(job, data, event) {
    job.pauseCount -= 1;
    if (data.by === "user") job.isUserPaused = false;
    explain(job, "resume", event);
  },
  JobResumed(job, _data, event) {
    enter(job, job.status === "standby" ? "ready" : "running", event);
  },
  JobReady(job, _data, event) {
    enter(job, "ready", event);
  },
  JobSpeedChanged(job, data, event) {
    job.speed = data.after;
    explain(job, "speed", event);
  },
  JobParametersChanged(job, data, event) {
    job.parameters = { ...job.parameters, ...data.after };
    explain(job, "parameters", event);
  },
  JobSyncChanged(job, data) {
    job.isActivelySynced = data.isActivelySynced;
  },
  JobCompleteRequested(job, _data, event) {
    job.isCompleteRequested = true;
    explain(job, "complete", event);
  },
  JobCancelRequested(job, data, event) {
    if (job.isUserPaused) {
      job.isUserPaused = false;
      job.pauseCount -= 1;
    }
    job.isCancelRequested = true;
    job.isForceCancelled ||= data.force;
    explain(job, "cancel", event);
  },
  IoStatusChanged(job, data, event) {
    job.ioStatus = data.after;
    explain(job, "ioStatus", event);
  },
  StepTaken(job, data) {
    const work = data.work ?? data.length;
    job.stepCount += 1;
    if (work === 0) return;
    const current = job.progress.current + work;
    job.progress = { current, total: job.progress.total };
  },
  ProgressTotalChanged(job, data, event) {
    job.progress = { current: job.progress.current, total: data.total };
    explain(job, "total", event);
  },
  CheckpointTaken(job, data, event) {
    job.checkpoint = {
      position: event.position,
      resumeFrom: data.resumeFrom,
      current: job.progress.current,
    };
    explain(job, "checkpoint", event);
  },
  SourceWritten(job, _data, event) {
    if (job.checkpoint === null) return;
    job.checkpoint = { ...job.checkpoint, writtenAt: event.position };
  },
  ActAnnounced(job, _data, event) {
    job.openAct = event.position;
  },
  ActConfirmed(job) {
    job.openAct = null;
  },
  RunReturned(job, data, event) {
    job.hasRunReturned = true;
    setResult(job, data.ret, data.error ?? null, event);
  },
  JobWaiting(job, _data, event) {
    enter(job, "waiting", event);
  },
  JobPending(job, _data, event) {
    enter(job, "pending", event);
  },
  JobAborting(job, data, event) {
    enter(job, "aborting", event);
    setResult(job, data.ret, data.error, event);
  },
  PrepareReturned(job, data, event) {
    close(job, "prepare");
    setResult(job, data.ret, data.error ?? null, event);
  },
  CommitReturned(job) {
    close(job, "commit");
  },
  AbortReturned(job) {
    close(job, "abort");
  },
  CleanReturned(job) {
    close(job, "clean");
  },
  DriverFaulted(job, data) {
    const { callback } = data;
    if (callback === "commit" || callback === "abort" || callback === "clean") close(job, callback);
  },
  JobConcluded(job, data, event) {
    enter(job, "concluded", event);
    job.outcome = data.outcome;
  },
  JobDismissed(job, _data, event) {
    enter(job, "null", event);
  },
  JobRecovered(job, data) {
    // Who wrote through the process that is gone is gone as well.
    if (job.isActivelySynced === true) job.isActivelySynced = false;
    if (data.current !== job.progress.current) {
      job.progress = { current: data.current, total: job.progress.total };
    }
  },
};

/** A return code once set is never replaced, and neither is its error. */
function setResult(job: JobDraft, ret: number, error: JobState["error"], event: JobEvent): void {
  if (ret === 0 || job.ret !== 0) return;
  job.ret = ret;
  job.error = error;
  explain(job, "error", event);
}

/**
 * Folds one event of a job's stream into a state that the caller owns.
 *
 * @throws {JoblogError} code "forbiddenTransition" when the history breaks the transition table
 */
export function applyToJob(job: JobDraft, event: JobEvent): void {
  const handler = HANDLERS[event.type] as Handler<JobEventType> | undefined;
  handler?.(job, event.data as JobEventData[JobEventType], event);
  job.version = event.version;
  job.position = event.position;
}

/**
 * Folds one event of a job's stream.
 *
 * @param job the state before; it is not changed
 * @param event the next event of the same stream
 * @returns the state after
 * @throws {JoblogError} code "forbiddenTransition" when the history breaks the transition table
 */
export function evolveJob(job: JobState, event: JobEvent): JobState {
  const next = { ...job };
  applyToJob(next, event);
  return next;
}

/**
 * Folds one event of a transaction: of its own stream or of a member's.
 *
 * @param txn the state before; it is not changed
 * @param event the next event, in global order
 * @returns the state after
 */
export function evolveTxn(txn: TxnState, event: JobEvent): TxnState {
  const next: Draft<TxnState> = { ...txn, position: event.position };
  const runId = runIdOfStream(event.stream);
  if (runId === undefined) next.version = event.version;
  else next.jobs = evolveMember(txn, runId, event);
  applyGroupFact(next, event);
  return next;
}

function evolveMember(txn: TxnState, runId: string, event: JobEvent): readonly JobState[] {
  const jobs = txn.jobs.slice();
  for (let index = 0; index < jobs.length; index += 1) {
    if (jobs[index]!.runId !== runId) continue;
    jobs[index] = evolveJob(jobs[index]!, event);
    return jobs;
  }
  const created = { ...INITIAL_JOB, runId, txnId: txn.txnId };
  applyToJob(created, event);
  jobs.push(created);
  return jobs;
}

function applyGroupFact(txn: Draft<TxnState>, event: JobEvent): void {
  switch (event.type) {
    case "TxnFinalizing":
      txn.isFinalizing = true;
      break;
    case "TxnDecided":
      txn.decision = { ...event.data, position: event.position };
      break;
    case "TxnConcluded":
      txn.isConcluded = true;
      break;
    case "VerbAccepted":
      if (event.data.isAnsweredLater === true) {
        const { commandId, rollback } = event.data;
        const answer = { commandId, stream: event.stream };
        txn.awaited = [...txn.awaited, rollback === undefined ? answer : { ...answer, rollback }];
      }
      break;
    case "VerbAnswered": {
      const { commandId } = event.data;
      txn.awaited = txn.awaited.filter((answer) => answer.commandId !== commandId);
      break;
    }
  }
}
