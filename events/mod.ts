/**
 * What happened: the read-only entry to a log for auditors, status pages and time travellers.
 *
 * Nothing that is loaded from here can run or change a job. Opened logs are read beside a live
 * writer or without one; the file is not changed.
 *
 * @example Open a log, look at a moment, ask why, verify
 * ```ts ignore
 * import { atJob, listJobs, openLog, readTimeline, timelineLines, verify, why } from "./mod.ts";
 *
 * const log = await openLog("data/jobs.log");
 * const moment = await atJob(log, { id: "backup0" }, { position: 120 });
 * console.log(moment?.job.status, (await why(log, { id: "backup0" }, "status"))?.text);
 * const timeline = await readTimeline(log, moment!.job.runId);
 * for (const line of timelineLines(timeline!)) console.log(line.at, line.label, line.text);
 * const report = await verify(log, { head: { size: 1204, root: "9f0c..." } });
 * console.log(report.ok ? report.note : report.first?.text);
 * await log.close();
 * ```
 *
 * @example The same over a log in memory
 * ```ts
 * import { at, openEventReader, verify } from "./mod.ts";
 * import { createMemoryLog } from "./store/memory/mod.ts";
 *
 * const log = openEventReader(createMemoryLog().openReadOnly());
 * if ((await at(log)).jobs.length !== 0) throw new Error("there is no job yet");
 * if (!(await verify(log)).ok) throw new Error("an empty log has no faults");
 * await log.close();
 * ```
 *
 * @module
 */
import type { EventReader } from "./log/mod.ts";
import { openEventReader } from "./log/mod.ts";
import { openSqliteLog } from "./store/sqlite/mod.ts";

export * from "./job/mod.ts";
export * from "./log/mod.ts";
export * from "./replay/mod.ts";
export * from "./views/mod.ts";

/**
 * Opens a log file for reading only, beside its live writer or without one. Close it when done.
 *
 * @param path the file; links are followed
 * @throws {JoblogError} code "logUnreadable" when it is missing, a folder, or cannot be accessed
 * @throws {JoblogError} code "logForeign" when the file is not a log
 * @throws {JoblogError} code "logNewer" when its format is newer than this program
 * @throws {JoblogError} code "logDamaged" when the file is cut off or contradicts itself
 */
export async function openLog(path: string): Promise<EventReader> {
  return openEventReader(await openSqliteLog(path, { readOnly: true }));
}
