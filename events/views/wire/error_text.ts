import { ERRNOS, type JobError } from "../../job/mod.ts";

/** How an error of an image begins that says no more than its errno, the operation and the path. */
const FAILED_ACCESS = /^Cannot (?:open|read|write|discard|flush|resize|close) "/;

/**
 * The text of an error as QEMU would have it: for a failed access that of its errno, for anything
 * else the error's own. The path stays in the record.
 *
 * Source: QEMU 7.2 job.c job_update_rc_locked, blockjob.c block_job_event_completed.
 */
export function wireErrorText({ errno, text }: JobError): string {
  return FAILED_ACCESS.test(text) ? ERRNOS[errno]?.[1] ?? text : text;
}
