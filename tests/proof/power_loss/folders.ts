/** The folder in which a state of the disk is laid out, and how states are told apart. */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { DiskImage } from "./disk.ts";

/** Name of the log in its folder. */
export const LOG_NAME = "jobs.db";
/** Holds zeros only, many of them; kept as a size. */
const RESERVE = ".reserve";
/** A file system in memory, where syncing costs nothing. */
const MEMORY = "/dev/shm";
const PREFIX = "joblog-state-";

/** Makes a folder for states, in memory if there is such a place. */
export function makeStateFolder(): string {
  try {
    return mkdtempSync(join(MEMORY, PREFIX));
  } catch {
    // There is none, or the runtime does not let a program in that may not do everything.
    return mkdtempSync(join(tmpdir(), PREFIX));
  }
}

/** Makes a folder hold exactly these files, whatever their old folder was. */
export function writeImage(folder: string, image: DiskImage): void {
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
  for (const [path, bytes] of image) {
    const file = join(folder, basename(path));
    const isReserve = file.endsWith(RESERVE);
    writeFileSync(file, isReserve ? new Uint8Array(0) : bytes);
    if (isReserve) truncateSync(file, bytes.length);
  }
}

/** Equal for equal files under equal names. */
export function digestOf(image: DiskImage): string {
  const hash = createHash("sha1");
  for (const path of [...image.keys()].sort()) {
    const bytes = image.get(path)!;
    hash.update(`${basename(path)} ${bytes.length}\n`);
    if (!path.endsWith(RESERVE)) hash.update(bytes);
  }
  return hash.digest("base64");
}
