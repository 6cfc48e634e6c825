/**
 * A job of your own: the SHA-256 of every file below a folder, and one of them all.
 *
 * It shows what a driver looks like that has nothing to do with disk images:
 *
 * - `parameters` is pure: it checks what was asked for and returns what is recorded.
 * - `open` refuses what cannot work, so that the creation fails and not the job.
 * - `run` reports a total, honours the speed limit, passes a pause point for every MiB, records one
 *   step for every file, and says from time to time where it could go on.
 * - A file is digested again from its beginning after a stop, since a half-finished hash cannot be
 *   written down; the digests of finished files are in the checkpoint.
 *
 * The result, one line for each file as `sha256sum` prints it, is written next to the name that was
 * given and put in place by `commit`, so that nobody ever sees half of it.
 */
import { createHash } from "node:crypto";
import { open, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { JoblogError } from "../../events/log/errors.ts";
import {
  defineDriver,
  type DriverContext,
  type DriverJob,
  type JsonObject,
  type JsonValue,
} from "../../engine/drivers/driver.ts";

/** Bytes that are read at once; also how often the job can be paused. */
const READ_BYTES = 1_048_576;

/** What the job is asked to do. */
export type DigestTreeParameters = {
  /** The folder. */
  readonly folder: string;
  /** File that gets the list of digests; it must not lie in the folder. */
  readonly output: string;
};

/** A file that is to be read. */
interface TreeFile {
  readonly path: string;
  readonly size: number;
}

function textOf(input: JsonObject, name: string): string {
  const value = input[name];
  if (typeof value === "string" && value !== "") return value;
  const problem = value === undefined ? "it is missing" : `found ${JSON.stringify(value)}`;
  throw new JoblogError("invalidParameter", `Parameter "${name}" must be a path: ${problem}`, {
    subject: name,
  });
}

/** All files below a folder, in an order that does not depend on the file system. */
async function filesBelow(root: string): Promise<TreeFile[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
  paths.sort((a, b) => a < b ? -1 : a > b ? 1 : 0);
  return await Promise.all(
    paths.map(async (path) => ({ path, size: (await stat(join(root, path))).size })),
  );
}

function bytesOf(files: readonly TreeFile[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** What is known of the files that are finished: path to digest, in order. */
function finishedOf(checkpoint: JsonValue | undefined): Map<string, string> {
  const pairs = checkpoint as { readonly digests: readonly (readonly [string, string])[] };
  return new Map(checkpoint === undefined ? [] : pairs.digests);
}

class DigestTreeJob implements DriverJob {
  readonly #root: string;
  readonly #output: string;

  constructor(root: string, output: string) {
    this.#root = root;
    this.#output = output;
  }

  async run(context: DriverContext): Promise<void> {
    const files = await filesBelow(this.#root);
    const digests = finishedOf(context.resumeFrom);
    const left = files.filter(({ path }) => !digests.has(path));
    context.progress.setRemaining(bytesOf(left));
    let offset = bytesOf(files) - bytesOf(left);
    for (const file of left) {
      const digest = await this.#digest(context, file);
      if (digest === undefined) return;
      digests.set(file.path, digest);
      const step = { kind: "digested", offset, length: file.size, detail: { path: file.path } };
      await context.step(step);
      offset += file.size;
      if (context.isCheckpointDue()) await context.checkpoint({ digests: [...digests] });
    }
    const lines = files.map(({ path }) => `${digests.get(path)}  ${path}\n`);
    await writeFile(`${this.#output}.part`, lines.join(""), { flush: true });
  }

  /** The digest of one file; undefined after a cancel. */
  async #digest(context: DriverContext, { path, size }: TreeFile): Promise<string | undefined> {
    const hash = createHash("sha256");
    const handle = await open(join(this.#root, path));
    try {
      const buffer = new Uint8Array(READ_BYTES);
      for (let done = 0; done < size;) {
        await context.pausePoint();
        if (context.isCancelled) return undefined;
        const delayMs = context.speed.account(0);
        if (delayMs > 0) {
          await context.sleep(delayMs);
          continue;
        }
        const { bytesRead } = await handle.read(buffer, 0, Math.min(READ_BYTES, size - done), done);
        if (bytesRead === 0) throw new Error(`Cannot digest "${path}": it became shorter`);
        context.speed.account(bytesRead);
        hash.update(buffer.subarray(0, bytesRead));
        done += bytesRead;
      }
      return hash.digest("hex");
    } finally {
      await handle.close();
    }
  }

  /** Puts the list in place. After a crash it may already be there. */
  async commit(): Promise<void> {
    await rename(`${this.#output}.part`, this.#output).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
  }

  async abort(): Promise<void> {
    await rm(`${this.#output}.part`, { force: true });
  }
}

/** The driver: hand it to `openJoblog({ drivers: [digestTree] })`. */
export const digestTree = defineDriver<DigestTreeParameters>({
  type: "digest-tree",
  summary: "digests every file below a folder (SHA-256)",
  isResumable: true,
  parameters(input) {
    for (const name of Object.keys(input)) {
      if (name === "folder" || name === "output") continue;
      throw new JoblogError("invalidParameter", `Parameter "${name}" is not known`, {
        subject: name,
        hint: "Known: folder, output.",
      });
    }
    return { folder: textOf(input, "folder"), output: textOf(input, "output") };
  },
  async open({ folder, output }, { baseFolder }) {
    const root = resolve(baseFolder, folder);
    const target = resolve(baseFolder, output);
    if (!(await stat(root)).isDirectory()) {
      throw new JoblogError("invalidParameter", `Cannot digest "${root}": it is not a folder`);
    }
    if (!/^\.\.(\/|$)/.test(relative(root, target))) {
      throw new JoblogError("invalidParameter", `Cannot write "${target}": it lies in the folder`);
    }
    return new DigestTreeJob(root, target);
  },
});
