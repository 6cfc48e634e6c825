/**
 * The eleven statuses of a job and the transitions between them, as data.
 *
 * Source: QEMU 7.2 job.c JobSTT; qapi/job.json JobStatus.
 */
import { JoblogError } from "../log/errors.ts";

/** All statuses in QEMU's order. */
export const JOB_STATUSES = [
  "undefined",
  "created",
  "running",
  "paused",
  "ready",
  "standby",
  "waiting",
  "pending",
  "aborting",
  "concluded",
  "null",
] as const;

/**
 * Where a job stands. `undefined` is the state before the first event and never seen; `null` is
 * that of a dismissed job, the last one.
 */
export type JobStatus = typeof JOB_STATUSES[number];

/** From each status, the statuses that may follow it. Everything else is a bug and throws. */
export const TRANSITIONS: { readonly [S in JobStatus]: readonly JobStatus[] } = {
  undefined: ["created"],
  created: ["running", "aborting", "null"],
  running: ["paused", "ready", "waiting", "aborting"],
  paused: ["running"],
  ready: ["standby", "waiting", "aborting"],
  standby: ["ready"],
  waiting: ["pending", "aborting"],
  pending: ["aborting", "concluded"],
  aborting: ["aborting", "concluded"],
  concluded: ["null"],
  null: [],
};

/**
 * Says whether a job may go from one status to another.
 *
 * @example
 * ```ts
 * import { isAllowedTransition } from "./status.ts";
 * if (isAllowedTransition("paused", "waiting")) throw new Error("paused has one exit");
 * ```
 */
export function isAllowedTransition(from: JobStatus, to: JobStatus): boolean {
  return TRANSITIONS[from].includes(to);
}

/**
 * Checks a transition.
 *
 * @throws {JoblogError} code "forbiddenTransition" when the table does not allow it
 */
export function assertTransition(jobId: string, from: JobStatus, to: JobStatus): void {
  if (isAllowedTransition(from, to)) return;
  throw new JoblogError(
    "forbiddenTransition",
    `Cannot move job "${jobId}" to status "${to}": it is "${from}"`,
    { subject: jobId, expected: TRANSITIONS[from].join(" or ") || "nothing", actual: to },
  );
}

/** Statuses in which a job's `run` has ended, well or not. */
const COMPLETED: ReadonlySet<JobStatus> = new Set<JobStatus>([
  "waiting",
  "pending",
  "aborting",
  "concluded",
  "null",
]);

/**
 * Says whether `run` has ended. It does not say that it ended well.
 *
 * Source: QEMU 7.2 job.c job_is_completed_locked.
 */
export function isCompletedStatus(status: JobStatus): boolean {
  return COMPLETED.has(status);
}

/** Says whether nothing more can happen to a job but its dismissal. */
export function isOverStatus(status: JobStatus): boolean {
  return status === "concluded" || status === "null";
}
