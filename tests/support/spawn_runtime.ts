/**
 * Runs a script in a second process of the runtime that runs this one, and talks with it in lines.
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";

const DENO_FLAGS = [
  "run",
  "--allow-read",
  "--allow-write",
  "--allow-env",
  "--allow-sys",
  "--allow-net",
  "--allow-run",
];

/** A script that is running or has ended. */
export class SpawnedScript {
  /** How it ended: the exit status, or the name of the signal. */
  readonly ended: Promise<number | string>;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.ended = new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) => resolve(signal ?? code ?? -1));
    });
    if (child.stdout === null) throw new Error("Cannot read from the script: it has no output");
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** The id of its process. */
  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** The next line that it prints; undefined at the end of its output. */
  async line(): Promise<string | undefined> {
    const next = await this.#lines.next();
    return next.done === true ? undefined : next.value;
  }

  /** Sends it one line. */
  send(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Ends its input, which asks it to finish, and waits until it has. */
  async finish(): Promise<number | string> {
    this.#child.stdin?.end();
    return await this.ended;
  }

  /** Kills it without a chance to clean up, and waits until it is gone. */
  async kill(): Promise<number | string> {
    this.#child.kill("SIGKILL");
    return await this.ended;
  }
}

/**
 * The program and arguments that run a script with the runtime that runs this file.
 *
 * @param path absolute path of the script
 */
export function runtimeCommand(
  path: string,
  args: readonly string[] = [],
): readonly [string, ...string[]] {
  const flags = "deno" in process.versions ? DENO_FLAGS : [];
  return [process.execPath, ...flags, path, ...args];
}

/**
 * Starts a script with the runtime that runs this file; its error output is shown.
 *
 * @param path absolute path of the script
 */
export function spawnRuntime(path: string, args: readonly string[] = []): SpawnedScript {
  const [program, ...rest] = runtimeCommand(path, args);
  const child = spawn(program, rest, { stdio: ["pipe", "pipe", "inherit"] });
  return new SpawnedScript(child);
}
