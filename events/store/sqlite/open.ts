/**
 * Opening a log: find it, take the writer's token, create it if it is missing, check it.
 *
 * Invariants:
 *
 * - the writer's token is taken before anything is created or changed, and freed if opening fails;
 * - beside a file that is not a log nothing is left, not even the token's file;
 * - the fencing token is raised durably before the backend exists;
 * - a reader creates and changes nothing that it can avoid (see `read_source.ts`).
 */
import { randomBytes } from "node:crypto";
import { accessSync, constants, realpathSync, type Stats, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import process from "node:process";
import type { StoreBackend } from "../../log/backend.ts";
import { JoblogError } from "../../log/errors.ts";
import { compileQueries, LOG_FORMAT, type LogQueries, migrate } from "../sql/mod.ts";
import { ReaderBackend, WriterBackend } from "./backend.ts";
import { SqliteConnection } from "./connection.ts";
import { createLogFile, PAGE_BYTES } from "./create.ts";
import { readFailure, textOf } from "./failures.ts";
import { SQLITE_FLAVOUR } from "./flavour.ts";
import { checkHeader, inspect } from "./inspect.ts";
import { kyselyOver } from "./kysely_database.ts";
import { takeWriterLock, type WriterLock } from "./lock.ts";
import { ReadSource } from "./read_source.ts";
import { makeReserve } from "./reserve.ts";
import { type Repeat, repeatByTimer } from "./watch.ts";

/** WAL pages after which a commit also writes back into the main file; 16 MiB. */
export const CHECKPOINT_PAGES: number = 16 * 1024 * 1024 / PAGE_BYTES;

/** How a log is opened. */
export interface OpenSqliteOptions {
  /** True: reads only, beside a live writer or without one. @default false */
  readonly readOnly?: boolean;
  /** Create the log if there is none; ignored when reading only. @default true */
  readonly create?: boolean;
  /** Keep a reserve for a full disk. @default true */
  readonly reserve?: boolean;
  /** Makes the name of a new log: 32 lower-case hex digits. @default random */
  readonly createLogId?: () => string;
  /** Repeats a look at the log for `watch`. @default timers, while somebody watches */
  readonly repeat?: Repeat;
}

function unreadable(path: string, state: string, actual: string, hint: string): JoblogError {
  return new JoblogError("logUnreadable", `Cannot open log "${path}": ${state}`, {
    subject: path,
    actual,
    hint,
  });
}

/** Follows links, so that every name of a log leads to the same side files. */
function locate(path: string): string {
  const full = resolve(path);
  try {
    return realpathSync(full);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
      throw readFailure("open log", path, error);
    }
  }
  try {
    return join(realpathSync(dirname(full)), basename(full));
  } catch {
    throw unreadable(path, "its folder does not exist", "ENOENT", "Create the folder first.");
  }
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw readFailure("open log", path, error);
  }
}

/** Checks what can be seen from outside. Returns false if there is nothing. */
function exists(path: string, mode: number): boolean {
  const stat = statOf(path);
  if (stat === undefined) return false;
  if (stat.isDirectory()) {
    throw unreadable(path, "it is a folder", "EISDIR", "Name a file in the folder.");
  }
  if (!stat.isFile()) {
    throw unreadable(path, "it is not a regular file", "EINVAL", "Name a regular file.");
  }
  try {
    accessSync(path, mode);
  } catch (error) {
    throw readFailure("open log", path, error);
  }
  if (stat.size === 0) {
    throw new JoblogError("logForeign", `Cannot open log "${path}": the file is empty`, {
      subject: path,
      actual: 0,
      hint: "Delete the empty file, so that a log can be created, or name another path.",
    });
  }
  return true;
}

function missing(path: string): JoblogError {
  return unreadable(path, "it does not exist", "ENOENT", "Check the path, or create the log.");
}

/** Who holds the log, in words for a message; empty if nobody can tell. */
function holderOf(path: string): string {
  const source = new ReadSource(path);
  try {
    const row = source.all("select value from meta where name = 'holder'")[0];
    const holder = JSON.parse(String(row?.["value"])) as { pid: number; startedAt: number };
    return ` (process ${holder.pid}, started ${new Date(holder.startedAt).toISOString()})`;
  } catch {
    return "";
  } finally {
    source.close();
  }
}

/** Before the token is taken, whose file would stay beside a file that is no log. */
function refuseForeign(path: string): void {
  const source = new ReadSource(path);
  try {
    checkHeader(path, source);
  } catch (error) {
    // All else is looked at again under the token, when nobody changes it.
    if (error instanceof JoblogError && error.code === "logForeign") throw error;
  } finally {
    source.close();
  }
}

function lock(path: string): WriterLock {
  let held: WriterLock | undefined;
  try {
    held = takeWriterLock(path);
  } catch (error) {
    throw readFailure("take the writer's token of", path, error);
  }
  if (held !== undefined) return held;
  const holder = holderOf(path);
  throw new JoblogError(
    "logLocked",
    `Cannot open log "${path}": another writer holds it${holder}`,
    {
      subject: path,
      ...(holder === "" ? {} : { actual: holder.trim() }),
      hint: "Stop the other writer, or open the log for reading only.",
    },
  );
}

/**
 * Raises the fencing token durably and notes who holds the log.
 *
 * @internal
 */
export function raiseToken(connection: SqliteConnection, queries: LogQueries): number {
  return connection.transaction(() => {
    const row = connection.all(queries.meta.sql, ["token"])[0];
    const token = Number(row?.["value"]) + 1;
    const holder = { pid: process.pid, startedAt: Math.floor(performance.timeOrigin) };
    connection.run(queries.putMeta.sql, ["token", String(token)]);
    connection.run(queries.putMeta.sql, ["holder", JSON.stringify(holder)]);
    return token;
  });
}

async function openWriter(path: string, options: OpenSqliteOptions): Promise<StoreBackend> {
  const { create = true, reserve = true, repeat = repeatByTimer } = options;
  const createLogId = options.createLogId ?? (() => randomBytes(16).toString("hex"));
  const mode = constants.R_OK | constants.W_OK;
  if (exists(path, mode)) refuseForeign(path);
  else if (!create) throw missing(path);
  const held = lock(path);
  let connection: SqliteConnection | undefined;
  try {
    if (!exists(path, mode)) await createLogFile(path, createLogId());
    connection = new SqliteConnection(path);
    const { logId, format } = inspect(path, connection);
    connection.exec(`pragma journal_mode = wal; pragma synchronous = full;
      pragma wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    const db = kyselyOver(connection);
    if (format < LOG_FORMAT) await migrate(db, SQLITE_FLAVOUR, format);
    const queries = compileQueries(db, SQLITE_FLAVOUR);
    const token = raiseToken(connection, queries);
    if (reserve) makeReserve(path);
    return new WriterBackend({ path, logId, token, queries, repeat, connection, lock: held });
  } catch (error) {
    connection?.close();
    held.release();
    if (error instanceof JoblogError) throw error;
    if (/is full|ENOSPC/.test(textOf(error))) {
      throw unreadable(path, "the disk is full", "ENOSPC", "Make room on the disk of the log.");
    }
    throw readFailure("open log", path, error);
  }
}

function openReader(path: string, options: OpenSqliteOptions): StoreBackend {
  if (!exists(path, constants.R_OK)) throw missing(path);
  const source = new ReadSource(path);
  try {
    const { logId, format } = inspect(path, source);
    if (format < LOG_FORMAT) {
      throw unreadable(
        path,
        `its format is ${format}`,
        String(format),
        "Open the log for writing once, which brings it to the format of this program.",
      );
    }
    const queries = compileQueries(kyselyOver(source), SQLITE_FLAVOUR);
    return new ReaderBackend({
      path,
      logId,
      token: 0,
      queries,
      repeat: options.repeat ?? repeatByTimer,
      source,
    });
  } catch (error) {
    source.close();
    throw readFailure("open log", path, error);
  }
}

/**
 * Opens a log in an SQLite file, by default for writing and creating it if there is none.
 *
 * Side files stand beside the log: `-wal` and `-shm` while it is open, `.writer` (who may write)
 * and `.reserve` (4 MiB for a full disk). A log that was created is durable when the promise
 * resolves, and a crash during creation leaves no half log.
 *
 * @param path the file; links are followed
 * @throws {JoblogError} code "logLocked" when a live writer holds the log; the text names it
 * @throws {JoblogError} code "logForeign" when the file is not a log, or empty
 * @throws {JoblogError} code "logNewer" when its format is newer than this program
 * @throws {JoblogError} code "logDamaged" when the file is cut off or contradicts itself
 * @throws {JoblogError} code "logUnreadable" when it is missing, a folder, or cannot be accessed
 */
export async function openSqliteLog(
  path: string,
  options: OpenSqliteOptions = {},
): Promise<StoreBackend> {
  const located = locate(path);
  return options.readOnly === true
    ? openReader(located, options)
    : await openWriter(located, options);
}
