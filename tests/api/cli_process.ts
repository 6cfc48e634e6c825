/** The command line as a process of its own, on the runtime that runs the tests. */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../api/cli/main.ts", import.meta.url));

const DENO_FLAGS = [
  "run",
  "--no-prompt",
  "--allow-read",
  "--allow-write",
  "--allow-env",
  "--allow-sys",
  "--allow-net",
  "--allow-run",
];

/** How a run ended. */
export interface Ended {
  readonly status: number | string;
  readonly out: string;
  readonly err: string;
}

/** A run of the command line. */
export class CliRun {
  /** How it ended. */
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #waiters = new Set<() => void>();
  #out = "";
  #err = "";
  #hasEnded = false;

  constructor(folder: string, args: readonly string[]) {
    const flags = "deno" in process.versions ? DENO_FLAGS : [];
    this.#child = spawn(process.execPath, [...flags, MAIN, ...args], {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, NO_COLOR: "1", JOBLOG_LOG: join(folder, "jobs.db") },
    });
    this.#child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.#out += text;
      this.#wake();
    });
    this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#err += text;
      this.#wake();
    });
    this.ended = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", (code, signal) => {
        this.#hasEnded = true;
        this.#wake();
        resolve({ status: signal ?? code ?? -1, out: this.#out, err: this.#err });
      });
    });
  }

  /** Waits until its output holds a text. */
  async until(text: string): Promise<void> {
    while (!this.#out.includes(text) && !this.#err.includes(text)) {
      if (this.#hasEnded) throw new Error(`It ended without "${text}":\n${this.#out}${this.#err}`);
      await new Promise<void>((resolve) => this.#waiters.add(resolve));
    }
  }

  /** Its output so far. */
  get out(): string {
    return this.#out;
  }

  /** Sends a signal, unless it has ended. Deno's own `kill` makes up how the process ended. */
  signal(name: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (this.#hasEnded || pid === undefined) return;
    try {
      process.kill(pid, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }

  #wake(): void {
    for (const waiter of this.#waiters) waiter();
    this.#waiters.clear();
  }
}

/** A folder with a log, and the command line in it. */
export class CliFolder {
  /** Absolute path. */
  readonly folder: string = mkdtempSync(join(tmpdir(), "joblog-cli-"));
  readonly #runs: CliRun[] = [];

  /** Path of a file in it. */
  path(name: string): string {
    return join(this.folder, name);
  }

  /** Starts a command. */
  start(...args: readonly string[]): CliRun {
    const run = new CliRun(this.folder, args);
    this.#runs.push(run);
    return run;
  }

  /** Runs a command to its end. */
  run(...args: readonly string[]): Promise<Ended> {
    return this.start(...args).ended;
  }

  /** Runs a command with `--json` and reads its result. */
  // deno-lint-ignore no-explicit-any
  async json(...args: readonly string[]): Promise<any> {
    const { status, out, err } = await this.run("--json", ...args);
    if (status !== 0) throw new Error(`It ended with ${status}: ${err}`);
    return JSON.parse(out);
  }

  /** Ends what still runs and removes everything. */
  async remove(): Promise<void> {
    for (const run of this.#runs) run.signal("SIGKILL");
    await Promise.all(this.#runs.map((run) => run.ended));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
