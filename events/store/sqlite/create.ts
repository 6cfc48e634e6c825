/**
 * Creation of a log: under a temporary name, complete, synced, then renamed.
 *
 * Invariant: a crash or an error at any moment leaves either no log or a whole empty one. The
 * caller holds the writer's token, so a temporary file that is already there belongs to a dead
 * creator.
 */
import { closeSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { compileQueries, migrate } from "../sql/mod.ts";
import { SqliteConnection } from "./connection.ts";
import { SQLITE_FLAVOUR } from "./flavour.ts";
import { kyselyOver } from "./kysely_database.ts";

/** Marks a file as a log of ours: the letters `JLOG` in the SQLite header. */
export const APPLICATION_ID = 0x4a4c4f47;

/** Bytes of a database page, chosen by measurement (see the append bench). */
export const PAGE_BYTES = 8 * 1024;

/** The name under which a log is made. */
export function temporaryPath(path: string): string {
  return `${path}.new`;
}

/** Removes what a dead creator left. */
export function removeTemporary(path: string): void {
  for (const suffix of ["", "-wal", "-shm", "-journal"]) {
    rmSync(temporaryPath(path) + suffix, { force: true });
  }
}

function syncPath(path: string): void {
  const file = openSync(path, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/**
 * Moves everything from the WAL into the main file. A close does the same, but says nothing when it
 * fails, and the WAL does not go along when the file is renamed.
 */
function writeBack(connection: SqliteConnection): void {
  const row = connection.all("pragma wal_checkpoint(truncate)")[0];
  if (row?.["busy"] !== 0) throw new Error("The WAL was not written back: it is busy");
}

/**
 * Makes an empty log at `path`, which does not exist yet. Durable when the promise resolves.
 *
 * @param logId 32 lower-case hex digits
 */
export async function createLogFile(path: string, logId: string): Promise<void> {
  const temporary = temporaryPath(path);
  removeTemporary(path);
  const connection = new SqliteConnection(temporary);
  try {
    connection.exec(`pragma page_size = ${PAGE_BYTES}; pragma journal_mode = wal;
      pragma synchronous = full; pragma application_id = ${APPLICATION_ID}`);
    const db = kyselyOver(connection);
    await migrate(db, SQLITE_FLAVOUR, 0);
    const { putMeta } = compileQueries(db, SQLITE_FLAVOUR);
    connection.run(putMeta.sql, ["log_id", logId]);
    connection.run(putMeta.sql, ["token", "0"]);
    writeBack(connection);
  } catch (error) {
    connection.close();
    removeTemporary(path);
    throw error;
  }
  connection.close();
  syncPath(temporary);
  renameSync(temporary, path);
  syncPath(dirname(path));
}
