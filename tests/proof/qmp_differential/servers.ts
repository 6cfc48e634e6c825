/** Starts the two servers, each in a folder of its own, and opens a connection to it. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runtimeCommand } from "../../support/spawn_runtime.ts";
import { Monitor } from "./monitor.ts";

const MAIN = fileURLToPath(new URL("../../../api/cli/main.ts", import.meta.url));
const START_MS = 60_000;

/** Which server. */
export type Side = "qemu" | "joblog";

/** Whether QEMU's daemon can be run. */
export const HAS_DAEMON = spawnSync("qemu-storage-daemon", ["--version"]).status === 0;
/** Why nothing is proved without it. */
export const NO_DAEMON = "qemu-storage-daemon is not installed";

/** Command of ours. Deno opens files below `/dev` for a process that may do everything, only. */
function joblogCommand(folder: string): readonly [string, ...string[]] {
  const socket = join(folder, "qmp.sock");
  const args = ["qmp", "--store", join(folder, "jobs.db"), "--socket", socket];
  return "deno" in process.versions && folder.startsWith("/dev/")
    ? [process.execPath, "run", "--allow-all", MAIN, ...args]
    : runtimeCommand(MAIN, args);
}

/** One server that runs. */
export class Server {
  readonly side: Side;
  /** Its working folder. */
  readonly folder: string;
  /** The connection to it. */
  readonly monitor: Monitor;
  readonly #child: ChildProcess;

  private constructor(side: Side, folder: string, child: ChildProcess, monitor: Monitor) {
    this.side = side;
    this.folder = folder;
    this.monitor = monitor;
    this.#child = child;
  }

  /** Starts one; its folder is made anew. */
  static async start(side: Side, folder: string): Promise<Server> {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const socket = join(folder, "qmp.sock");
    const [program, ...args] = side === "joblog" ? joblogCommand(folder) : [
      "qemu-storage-daemon",
      "--chardev",
      `socket,path=${socket},server=on,wait=off,id=m`,
      "--monitor",
      "chardev=m",
    ] as const;
    const child = spawn(program, args, { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
    const end = performance.now() + START_MS;
    for (;;) {
      try {
        return new Server(side, folder, child, await Monitor.open(socket));
      } catch (error) {
        if (performance.now() > end || child.exitCode !== null) {
          child.kill("SIGKILL");
          throw error;
        }
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
    }
  }

  /** How it has ended; undefined = it runs. */
  get ended(): string | undefined {
    const { exitCode, signalCode } = this.#child;
    return signalCode ?? (exitCode === null ? undefined : `status ${exitCode}`);
  }

  /** Ends it without a chance to clean up. */
  async stop(): Promise<void> {
    this.monitor.close();
    if (this.ended === undefined) {
      const exited = new Promise((resolve) => this.#child.once("exit", resolve));
      this.#child.kill("SIGKILL");
      await exited;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
