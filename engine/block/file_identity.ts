import type { BigIntStats } from "node:fs";

/** The same text for the same file or block device, whatever it is called. */
export function fileIdentity(stats: BigIntStats): string {
  return stats.isBlockDevice() ? `device ${stats.rdev}` : `file ${stats.dev}:${stats.ino}`;
}
