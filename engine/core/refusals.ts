/**
 * Every way in which the job layer says no: a code for programs and QEMU's text for people.
 *
 * Source: QEMU 7.2 job.c, job-qmp.c, blockdev.c, blockjob.c; QEMU 8.2 for `change`.
 */
import { type JobState, type JobStatus, nameOf } from "../../events/job/mod.ts";
import { type JobVerb, verbRefusalText } from "../../events/job/mod.ts";

/** Codes of refusals. A code never changes its meaning. */
export type RefusalCode =
  | "unknownJob"
  | "unknownTxn"
  | "verbRefused"
  | "alreadyPaused"
  | "notPaused"
  | "currentlyPaused"
  | "notCompletable"
  | "invalidSpeed"
  | "changeUnsupported"
  | "changeRefused"
  | "invalidJobId"
  | "duplicateJobId"
  | "jobIdRequired"
  | "unknownJobType"
  | "invalidParameter"
  | "openFailed"
  | "closing"
  | "idempotencyConflict";

/** A typed "no": an answer, not an exception. */
export interface Refusal {
  /** For programs. */
  readonly code: RefusalCode | string;
  /** For people, letter for letter QEMU's where QEMU has one. */
  readonly text: string;
  /** What to do, where who refuses knows better than the code; told and not recorded. */
  readonly hint?: string;
}

/** `Job not found`: no job has this id. */
export const UNKNOWN_JOB: Refusal = { code: "unknownJob", text: "Job not found" };

/** A second pause by a user. */
export const ALREADY_PAUSED: Refusal = { code: "alreadyPaused", text: "Job is already paused" };

/** A resume of a job that no user has paused. */
export const NOT_PAUSED: Refusal = {
  code: "notPaused",
  text: "Can't resume a job that was not paused",
};

/** A negative speed, at creation or later. */
export const INVALID_SPEED: Refusal = {
  code: "invalidSpeed",
  text: "Parameter 'speed' expects a non-negative value",
};

/** A job without an id that is not internal. */
export const ID_REQUIRED: Refusal = {
  code: "jobIdRequired",
  text: "An explicit job ID is required",
};

/** The verb table says no. */
export function refusedByTable(id: string, status: JobStatus, verb: JobVerb): Refusal {
  return { code: "verbRefused", text: verbRefusalText(id, status, verb) };
}

/** A soft cancel of a job that a user has paused. */
export function currentlyPaused(job: JobState): Refusal {
  return {
    code: "currentlyPaused",
    text: `The block job for device '${nameOf(job)}' is currently paused`,
  };
}

/** `complete` of a job that has no such callback or was cancelled. */
export function notCompletable(job: JobState): Refusal {
  return {
    code: "notCompletable",
    text: `The active block job '${nameOf(job)}' cannot be completed`,
  };
}

/** A kind of job that has nothing to change. */
export const CHANGE_UNSUPPORTED: Refusal = {
  code: "changeUnsupported",
  text: "Job type does not support change",
};

/** The kind of job refuses this change. */
export function changeRefused(text: string): Refusal {
  return { code: "changeRefused", text };
}

/** An id that is not well-formed. */
export function invalidId(id: string): Refusal {
  return { code: "invalidJobId", text: `Invalid job ID '${id}'` };
}

/** An id that a job still holds, a concluded one included. */
export function duplicateId(id: string): Refusal {
  return { code: "duplicateJobId", text: `Job ID '${id}' already in use` };
}

const ID_PATTERN = /^[A-Za-z][A-Za-z0-9\-._]*$/;

/**
 * Says whether an id is well-formed: an ASCII letter, then letters, digits, `-`, `.`, `_`.
 *
 * Source: QEMU 7.2 util/id.c id_wellformed.
 */
export function isWellFormedId(id: string): boolean {
  return ID_PATTERN.test(id);
}
