/**
 * Recorded events as the events of QMP.
 *
 * - One recorded event gives no, one or two wire events; their order is that of the list.
 * - `JOB_STATUS_CHANGE` goes out for every job with an id when its status really changed; the
 *   `BLOCK_JOB_*` events only for the four block job types.
 * - Memory is that of the jobs that are not dismissed.
 *
 * ```text
 * JobReady      JOB_STATUS_CHANGE ready, BLOCK_JOB_READY        (not when a pause ends in ready)
 * JobPending    JOB_STATUS_CHANGE pending, BLOCK_JOB_PENDING    (manual finalize only)
 * JobConcluded  BLOCK_JOB_COMPLETED | CANCELLED, JOB_STATUS_CHANGE concluded   (started jobs only)
 * IoErrorHandled BLOCK_JOB_ERROR                                (before what it causes)
 * ```
 *
 * Source: QEMU 7.2 job.c job_state_transition, blockjob.c block_job_event_*; qapi/job.json,
 * qapi/block-core.json.
 */
import {
  applyToJob,
  BLOCK_JOB_TYPES,
  INITIAL_JOB,
  isInternal,
  type JobDraft,
  type JobEvent,
  type JobState,
  runIdOfStream,
} from "../../job/mod.ts";
import type { RecordedEvent } from "../../log/event.ts";
import { wireErrorText } from "./error_text.ts";
import { type Gaps, isUnderstood, noGaps } from "../projection.ts";

/** Names of the wire events. */
export type QmpEventName =
  | "JOB_STATUS_CHANGE"
  | "BLOCK_JOB_READY"
  | "BLOCK_JOB_PENDING"
  | "BLOCK_JOB_COMPLETED"
  | "BLOCK_JOB_CANCELLED"
  | "BLOCK_JOB_ERROR";

/** One event for QMP clients; `position` and `time` stay inside. */
export interface QmpEvent {
  /** Its name. */
  readonly event: QmpEventName;
  /** Its data, members in QEMU's order. */
  readonly data: { readonly [key: string]: string | number };
  /** Global position of the recorded event behind it. */
  readonly position: number;
  /** Milliseconds since 1970 of the recorded event. */
  readonly time: number;
}

/** The fold behind the wire: the jobs that are not dismissed yet. */
export interface QmpState {
  /** State per run id. */
  readonly jobs: Map<string, JobDraft>;
  /** What could not be understood. */
  readonly gaps: Gaps;
}

/** The state before the first event. */
export function initialQmp(): QmpState {
  return { jobs: new Map(), gaps: noGaps() };
}

/** The state that goes on behind jobs which were folded elsewhere, such as a snapshot. */
export function qmpStateOf(jobs: Iterable<JobState>): QmpState {
  const state = initialQmp();
  for (const job of jobs) if (job.status !== "null") state.jobs.set(job.runId, { ...job });
  return state;
}

/**
 * Folds the next event and says what goes out on the wire.
 *
 * @param state changed in place
 * @param event the next event, in global order, from the first one of each job on
 * @returns the wire events, in order; often none
 */
export function qmpEventsOf(state: QmpState, event: RecordedEvent): readonly QmpEvent[] {
  if (!isUnderstood(event, state.gaps)) return NONE;
  const runId = runIdOfStream(event.stream);
  if (runId === undefined) return NONE;
  let job = state.jobs.get(runId);
  if (job === undefined) {
    if (event.type !== "JobCreated") return NONE;
    job = { ...INITIAL_JOB };
    state.jobs.set(runId, job);
  }
  const before = job.status;
  applyToJob(job, event);
  if (job.status === "null") state.jobs.delete(runId);
  if (isInternal(job)) return NONE;
  const out: QmpEvent[] = [];
  const send = (name: QmpEventName, data: QmpEvent["data"]) =>
    out.push({ event: name, data, position: event.position, time: event.time });
  const isBlockJob = BLOCK_JOB_TYPES.has(job.type);
  if (isBlockJob && event.type === "JobConcluded") sendFinal(job, event.data, send);
  if (job.status !== before) send("JOB_STATUS_CHANGE", { id: job.id!, status: job.status });
  if (isBlockJob) sendOther(job, event, send);
  return out;
}

const NONE: readonly QmpEvent[] = [];

type Send = (name: QmpEventName, data: QmpEvent["data"]) => void;

function sendFinal(
  job: JobState,
  result: (JobEvent & { readonly type: "JobConcluded" })["data"],
  send: Send,
): void {
  if (!result.wasStarted) return;
  const { current: offset, total: len, speed } = result;
  const data = { type: job.type, device: job.id!, len, offset, speed };
  if (result.outcome === "cancelled") send("BLOCK_JOB_CANCELLED", data);
  else if (result.ret < 0) {
    const error = result.error === undefined ? "Input/output error" : wireErrorText(result.error);
    send("BLOCK_JOB_COMPLETED", { ...data, error });
  } else send("BLOCK_JOB_COMPLETED", data);
}

function sendOther(job: JobState, event: JobEvent, send: Send): void {
  const { type, progress, speed } = job;
  const id = job.id!;
  if (event.type === "JobReady") {
    const { current: offset, total: len } = progress;
    send("BLOCK_JOB_READY", { type, device: id, len, offset, speed });
  } else if (event.type === "JobPending" && !job.autoFinalize) {
    send("BLOCK_JOB_PENDING", { type, id });
  } else if (event.type === "IoErrorHandled") {
    const { operation, action } = event.data;
    send("BLOCK_JOB_ERROR", { device: id, operation, action });
  }
}

/** The message as it goes out: timestamp, event, data. */
export interface QmpMessage {
  /** The moment of the recorded event. */
  readonly timestamp: { readonly seconds: number; readonly microseconds: number };
  /** Its name. */
  readonly event: QmpEventName;
  /** Its data. */
  readonly data: QmpEvent["data"];
}

/** A wire event with its timestamp in seconds and microseconds since 1970. */
export function qmpMessage({ event, data, time }: QmpEvent): QmpMessage {
  const seconds = Math.floor(time / 1_000);
  return { timestamp: { seconds, microseconds: (time - seconds * 1_000) * 1_000 }, event, data };
}
