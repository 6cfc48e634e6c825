import type { Refusal } from "./refusals.ts";

/**
 * No block job has this id: no job at all, or one of a type that is none.
 *
 * Source: QEMU 7.2 blockdev.c find_block_job_locked.
 */
export function unknownBlockJob(id: string): Refusal {
  return { code: "unknownBlockJob", text: `Block job '${id}' not found` };
}
