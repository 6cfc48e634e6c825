/**
 * The file of a unix socket: claimed, given a safe mode before anybody can reach it, removed.
 *
 * - A socket that nobody listens on is left over from a server that was killed: it is replaced in
 *   one step. One that somebody listens on is refused, and so is anything that is no socket.
 * - The socket is made under another name, closed to all but its owner, and renamed: at its own
 *   name it never had another mode.
 *
 * Two servers that claim one path in the same instant may both find it free; the log lets only one
 * of them get this far for one log.
 */
import { chmod, lstat, rename, rm } from "node:fs/promises";
import { connect, type Server } from "node:net";
import { dirname, resolve } from "node:path";
import { JoblogError } from "../service.ts";
import { listenFault } from "../listen_fault.ts";

/** Longest path of a unix socket, in bytes. Source: Linux unix(7), sun_path. */
const PATH_BYTES_MAX = 107;

/** Milliseconds after which a socket that does not answer counts as one that is in use. */
const ANSWER_MS_MAX = 2_000;

function unusable(
  path: string,
  state: string,
  more: { readonly cause?: unknown; readonly hint?: string } = {},
): JoblogError<"socketUnusable"> {
  return new JoblogError("socketUnusable", `Cannot listen on socket "${path}": ${state}`, {
    subject: path,
    hint: "Choose another path, or end what is there.",
    ...more,
  });
}

/** True if somebody listens on a socket. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((settle) => {
    const socket = connect(path);
    const over = (isThere: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      settle(isThere);
    };
    const timer = setTimeout(() => over(true), ANSWER_MS_MAX);
    socket.once("connect", () => over(true));
    socket.once("error", ({ code }: NodeJS.ErrnoException) => {
      over(code !== "ECONNREFUSED" && code !== "ENOENT");
    });
  });
}

async function identityOf(path: string): Promise<string | undefined> {
  try {
    const { dev, ino } = await lstat(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

function fits(path: string): boolean {
  return new TextEncoder().encode(path).length <= PATH_BYTES_MAX;
}

async function claim(path: string): Promise<void> {
  if (!fits(path)) {
    const hint = "Choose a shorter path.";
    throw unusable(path, `its path has over ${PATH_BYTES_MAX} bytes`, { hint });
  }
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) {
    if (await identityOf(dirname(resolve(path))) !== undefined) return;
    const hint = "Make the folder, or choose a path in another one.";
    throw unusable(path, "its folder does not exist", { hint });
  }
  if (!found.isSocket()) throw unusable(path, "a file that is no socket is there");
  if (await isAnswered(path)) throw unusable(path, "another server listens on it");
}

/** Listens; resolves when it does. */
export function listening(server: Server, ...where: [string] | [number, string]): Promise<void> {
  return new Promise((done, fail) => {
    server.once("error", fail);
    const ready = () => {
      server.off("error", fail);
      done();
    };
    if (where.length === 1) server.listen(where[0], ready);
    else server.listen(where[0], where[1], ready);
  });
}

/** A socket that is listened on. */
export interface Place {
  /** Its absolute path. */
  readonly path: string;
  /** Removes it, if it is still this server's. */
  remove(): Promise<void>;
}

/**
 * Listens on a unix socket.
 *
 * @throws {JoblogError} code "socketUnusable" when it cannot be had
 */
export async function listenUnix(server: Server, name: string): Promise<Place> {
  const path = resolve(name);
  await claim(path);
  // A path of full length has no room for another name beside it: made in place, then closed.
  const beside = fits(`${path}~`) ? `${path}~` : path;
  const left = await lstat(beside).catch(() => undefined);
  if (left?.isSocket() === false) {
    const hint = "Move that file away, or choose another path.";
    throw unusable(path, `a file that is no socket is at "${beside}"`, { hint });
  }
  try {
    if (beside !== path || await identityOf(path) !== undefined) await rm(beside, { force: true });
    await listening(server, beside);
    await chmod(beside, 0o600);
    if (beside !== path) await rename(beside, path);
  } catch (error) {
    server.close();
    const { state, hint } = listenFault("unix", error);
    throw unusable(path, state, { cause: error, hint });
  }
  const own = await identityOf(path);
  return {
    path,
    async remove() {
      if (await identityOf(path) === own) await rm(path, { force: true });
    },
  };
}
