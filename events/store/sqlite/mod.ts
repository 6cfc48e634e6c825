/**
 * A log in one SQLite file, through node:sqlite: WAL, synchronous=FULL, one writer at a time held
 * by a token that a dying process frees, readers in any process that never hold the writer up.
 *
 * @example Create a log and read its end
 * ```ts ignore
 * import { openSqliteLog } from "./events/store/sqlite/mod.ts";
 * const backend = await openSqliteLog("jobs.log");
 * console.log(await backend.end()); // { position: 0, time: 0 }
 * await backend.close();
 * ```
 *
 * @module
 */
export { APPLICATION_ID, PAGE_BYTES } from "./create.ts";
export { writerIsAlive } from "./lock.ts";
export { openSqliteLog, type OpenSqliteOptions } from "./open.ts";
export { RESERVE_BYTES } from "./reserve.ts";
export { type Repeat, WATCH_INTERVAL_MS } from "./watch.ts";
