/**
 * Where the writer of a log can be reached: a unix socket in a folder of its own beside the log.
 *
 * ```text
 * <log>.api/          mode 0700: who may enter it may command the writer
 *   sock              mode 0600: the socket
 *   address           only if the path of `sock` is too long: the path of the socket elsewhere
 * ```
 *
 * Only the holder of the writer's token makes or removes anything here, so that a socket that is
 * left over from a killed writer can be replaced without asking.
 */
import { chmod, lstat, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { realpathSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import process from "node:process";
import { JoblogError } from "../service.ts";

/** Longest path of a unix socket, in bytes. Source: Linux unix(7), sun_path. */
export const SOCKET_PATH_BYTES_MAX = 107;

/** The folder of a log's socket; links are followed, so that every name of a log leads to one. */
export function socketFolder(log: string): string {
  const full = resolve(log);
  try {
    return `${realpathSync(full)}.api`;
  } catch {
    try {
      return `${join(realpathSync(dirname(full)), basename(full))}.api`;
    } catch {
      return `${full}.api`;
    }
  }
}

function fits(path: string): boolean {
  return new TextEncoder().encode(path).length <= SOCKET_PATH_BYTES_MAX;
}

function unusable(folder: string, state: string, cause?: unknown): JoblogError<"socketUnusable"> {
  return new JoblogError("socketUnusable", `Cannot use socket folder "${folder}": ${state}`, {
    subject: folder,
    hint: "Remove what stands there, or make the folder of the log writable.",
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The folder must be nobody else's: who owns it can put a socket of his own there. */
async function checkFolder(folder: string): Promise<void> {
  const found = await lstat(folder);
  if (!found.isDirectory()) throw unusable(folder, "it is no folder");
  const owner = process.getuid?.();
  if (owner !== undefined && found.uid !== owner) throw unusable(folder, "it is another user's");
  if ((found.mode & 0o077) !== 0) await chmod(folder, 0o700);
}

/**
 * Makes the folder and says where the socket is to be; removes one that is left over.
 *
 * @throws {JoblogError} code "socketUnusable"
 */
export async function claimAddress(log: string): Promise<string> {
  const folder = socketFolder(log);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await checkFolder(folder);
    const beside = join(folder, "sock");
    await releaseAddress(log);
    if (fits(beside)) return beside;
    const elsewhere = join(await mkdtemp(join(tmpdir(), "joblog-")), "sock");
    if (!fits(elsewhere)) throw unusable(folder, "the path of its socket is too long");
    await writeFile(join(folder, "address"), `${elsewhere}\n`, { mode: 0o600 });
    return elsewhere;
  } catch (error) {
    if (error instanceof JoblogError) throw error;
    throw unusable(folder, error instanceof Error ? error.message : String(error), error);
  }
}

/** Where the socket of a log's writer is, if there is one. */
export async function findAddress(log: string): Promise<string> {
  const folder = socketFolder(log);
  try {
    return (await readFile(join(folder, "address"), "utf8")).trim();
  } catch {
    return join(folder, "sock");
  }
}

/** Removes the socket; the folder stays. Safe to call twice. */
export async function releaseAddress(log: string): Promise<void> {
  const folder = socketFolder(log);
  const address = await findAddress(log);
  await rm(address, { force: true });
  if (dirname(address) === folder) return;
  await rm(join(folder, "address"), { force: true });
  await rm(dirname(address), { force: true, recursive: true });
}
