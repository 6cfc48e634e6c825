/**
 * joblog: long background jobs with QEMU's job semantics, and a log that says what happened.
 *
 * @example Back up a disk image, and read afterwards what happened
 * ```ts
 * import { mkdtemp, rm, writeFile } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 * import { openJoblog } from "./mod.ts";
 *
 * const folder = await mkdtemp(join(tmpdir(), "joblog-"));
 * await writeFile(join(folder, "disk.raw"), new Uint8Array(1 << 20).fill(7));
 *
 * const joblog = await openJoblog({ path: join(folder, "jobs.db"), baseFolder: folder });
 * const job = await joblog.start({
 *   type: "backup",
 *   id: "nightly",
 *   parameters: { source: "disk.raw", target: "copy.raw", sync: "full" },
 * });
 * const end = await job.done;
 * await joblog.close();
 *
 * if (end.ret !== 0) throw new Error(end.error?.text);
 * await rm(folder, { recursive: true });
 * ```
 *
 * @module
 */
import process from "node:process";
import { openEventStore, PATIENCE_MS } from "./events/log/mod.ts";
import { openSqliteLog } from "./events/store/sqlite/mod.ts";
import type { Driver } from "./engine/drivers/driver.ts";
import { builtInDrivers, DriverRegistry } from "./engine/drivers/registry.ts";
import { Joblog } from "./engine/run/joblog.ts";
import { processIdentity, systemPorts } from "./engine/run/system_ports.ts";

/** How a log is opened for running jobs. */
export interface OpenJoblogOptions {
  /** File of the log; it is created if it does not exist. */
  readonly path: string;
  /** Drivers beside the built-in ones. @default none */
  readonly drivers?: readonly Driver[];
  /** Folder against which relative file names resolve. @default the current folder */
  readonly baseFolder?: string;
  /** Who asks when a command does not say. @default "local" */
  readonly actor?: string;
  /** False = takes verbs and finishes closing sequences, but runs no job. @default true */
  readonly run?: boolean;
}

/**
 * Opens a log in a SQLite file and runs the jobs in it: unfinished ones go on, new ones can start.
 *
 * @param options the file, and what differs from the defaults
 * @returns the running engine; close it, so that resumable jobs are parked and nothing is left
 * @throws {JoblogError} code "logLocked" when another process has the log open for writing
 * @throws {JoblogError} code "logForeign", "logNewer", "logDamaged" or "logUnreadable" when the
 * file is not a log that this program can go on with
 */
export async function openJoblog(options: OpenJoblogOptions): Promise<Joblog> {
  const ports = systemPorts();
  const drivers = new DriverRegistry([...builtInDrivers(), ...options.drivers ?? []]);
  const backend = await openSqliteLog(options.path);
  try {
    const scheduleLater = (flush: () => void) => void ports.setTimer(PATIENCE_MS, flush);
    const store = await openEventStore(backend, { clock: ports, scheduleLater });
    return await Joblog.open({
      store,
      ports,
      drivers,
      identity: processIdentity(),
      baseFolder: options.baseFolder ?? process.cwd(),
      ...(options.actor === undefined ? {} : { actor: options.actor }),
      ...(options.run === undefined ? {} : { isRunning: options.run }),
    });
  } catch (error) {
    await backend.close();
    throw error;
  }
}

export * from "./engine/drivers/driver.ts";
export * from "./engine/run/mod.ts";
export * from "./events/job/mod.ts";
export * from "./events/log/mod.ts";
