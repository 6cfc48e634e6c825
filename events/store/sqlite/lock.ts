/**
 * The writer's token: a tiny SQLite file `<log>.writer` held in an exclusive transaction for life.
 *
 * Invariants:
 *
 * - the operating system frees it when its process ends, however it ends; the file itself stays
 *   and is never unlinked, as somebody may be waiting on it;
 * - nothing is ever written to it; who holds it stands in the log's own `meta` table, because
 *   reading this file past SQLite would drop the lock of a holder in the same process.
 *
 * Called by `open.ts`.
 */
import { SqliteConnection } from "./connection.ts";
import { textOf } from "./failures.ts";

/** A short wait: a look at the lock (see {@link writerIsAlive}) holds it for microseconds. */
const LOCK_WAIT_MS = 50;

/** The file that stands for the writer of a log. */
export function writerLockPath(path: string): string {
  return `${path}.writer`;
}

/** A held token. */
export interface WriterLock {
  /** Lets the next writer in. Safe to call twice. */
  release(): void;
}

/** Takes the token; undefined if a live writer, in this process or another, holds it. */
export function takeWriterLock(path: string): WriterLock | undefined {
  const connection = new SqliteConnection(writerLockPath(path), { busyTimeoutMs: LOCK_WAIT_MS });
  try {
    connection.exec("pragma journal_mode = memory; begin exclusive");
  } catch (error) {
    connection.close();
    if (/locked|busy/.test(textOf(error))) return undefined;
    throw error;
  }
  return { release: () => connection.close() };
}

/** True if a live writer, in this process or another, holds the token of a log. */
export function writerIsAlive(path: string): boolean {
  let connection: SqliteConnection | undefined;
  try {
    connection = new SqliteConnection(writerLockPath(path), { readOnly: true, busyTimeoutMs: 0 });
    connection.all("select 1 from sqlite_master");
    return false;
  } catch (error) {
    return /locked|busy/.test(textOf(error));
  } finally {
    connection?.close();
  }
}
