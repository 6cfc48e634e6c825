/**
 * Thin stand-ins for the names of `@std/fs` that the tests use, over `node:fs/promises`.
 *
 * @module
 */

import { lstat, mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";

/** Makes the folder `dir` and its parents; refuses where something else has the name. */
export async function ensureDir(dir: string): Promise<void> {
  const found = await stat(dir).catch(() => undefined);
  if (found?.isDirectory()) return;
  if (found !== undefined) {
    throw new Error(`Failed to ensure directory exists: expected 'dir', got 'file'`);
  }
  await mkdir(dir, { recursive: true });
}

/** Whether a file or folder of that name exists. */
export async function exists(
  path: string,
  options?: { readonly isFile?: boolean; readonly isDirectory?: boolean },
): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return false;
  if (options?.isFile) return found.isFile();
  if (options?.isDirectory) return found.isDirectory();
  return true;
}

/** Leaves the folder `dir` empty; makes it if it is not there. */
export async function emptyDir(dir: string): Promise<void> {
  const found = await lstat(dir).catch(() => undefined);
  if (found === undefined) {
    await mkdir(dir, { recursive: true });
    return;
  }
  for (const name of await readdir(dir)) {
    await rm(join(dir, name), { recursive: true, force: true });
  }
}
