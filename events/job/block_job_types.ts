/**
 * Job types of the block layer: they have the `BLOCK_JOB_*` events and the `block-job-*` commands,
 * to which jobs of other types do not exist.
 *
 * Source: QEMU 7.2 blockdev.c find_block_job_locked, job.h JobType.
 */
export const BLOCK_JOB_TYPES: ReadonlySet<string> = new Set([
  "backup",
  "commit",
  "mirror",
  "stream",
]);
