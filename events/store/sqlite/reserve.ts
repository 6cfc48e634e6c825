/**
 * The reserve: 4 MiB beside the log, really allocated, to be freed when the disk is full so that
 * the engine can still record why it stops. It is freed in two halves: who fills the disk may take
 * the first one before the log does.
 *
 * Source: DESIGN.md, The log, Durability.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from "node:fs";

/** Size of the reserve in bytes. */
export const RESERVE_BYTES: number = 4 * 1024 * 1024;

const CHUNK_BYTES = 1024 * 1024;

/** The file that holds the reserve of a log. */
export function reservePath(path: string): string {
  return `${path}.reserve`;
}

/** Frees one half of the reserve, or what is left of it. Returns false if there is none. */
export function freeReserve(path: string): boolean {
  const reserve = reservePath(path);
  const bytes = statSync(reserve, { throwIfNoEntry: false })?.size;
  if (bytes === undefined) return false;
  if (bytes > RESERVE_BYTES / 2) truncateSync(reserve, RESERVE_BYTES / 2);
  else rmSync(reserve, { force: true });
  return true;
}

/**
 * Makes the reserve, written and synced: a sparse file would reserve nothing. Returns false if
 * there is no room; then nothing is left behind.
 */
export function makeReserve(path: string): boolean {
  const reserve = reservePath(path);
  try {
    if (existsSync(reserve) && statSync(reserve).size === RESERVE_BYTES) return true;
    const file = openSync(reserve, "w", 0o600);
    try {
      const zeros = new Uint8Array(CHUNK_BYTES);
      for (let done = 0; done < RESERVE_BYTES;) {
        done += writeSync(file, zeros, 0, Math.min(CHUNK_BYTES, RESERVE_BYTES - done));
      }
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    return true;
  } catch {
    rmSync(reserve, { force: true });
    return false;
  }
}
