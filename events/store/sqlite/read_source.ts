/**
 * The connection that reads use: its own, so that the writer never waits on a reader.
 *
 * A log that no process has open has no side files, and an SQLite reader would create them. So:
 *
 * - side files there (a writer is alive, or one died): an ordinary read-only connection;
 * - no side files: the file is opened as immutable, and each query is checked before and after
 *   against the file's identity, size and time and against the birth of side files; if anything
 *   has moved, the connection is opened again and the query asked again.
 *
 * The check cannot be fooled by a writer that comes: before it changes the main file it creates
 * the side files, and after it has removed them the main file has changed.
 *
 * Called by `open.ts` and the backend.
 */
import { existsSync, statSync } from "node:fs";
import { JoblogError } from "../../log/errors.ts";
import type { SqlParameter } from "../sql/mod.ts";
import { SqliteConnection, type SqliteRow } from "./connection.ts";
import { readFailure } from "./failures.ts";

/** Opens and closes of writers that one query may meet before it gives up. */
const ATTEMPTS_MAX = 20;

/** Reads a log without hindering or changing it. */
export class ReadSource {
  readonly #path: string;
  #connection: SqliteConnection | undefined;
  /** What the file looked like when it was opened as immutable; undefined = shared. */
  #stillAs: string | undefined;
  #closed = false;

  /** @param path the resolved path of the log */
  constructor(path: string) {
    this.#path = path;
  }

  /** All rows of a query. */
  all(text: string, parameters: readonly SqlParameter[] = []): readonly SqliteRow[] {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const connection = this.#current();
      try {
        const rows = connection.all(text, parameters);
        if (this.#unchanged()) return rows;
      } catch (error) {
        if (this.#unchanged()) throw readFailure("read log", this.#path, error);
      }
    }
    throw new JoblogError("logUnreadable", `Cannot read log "${this.#path}": it keeps changing`, {
      subject: this.#path,
      hint: "Try again; writers open and close the log in quick succession.",
    });
  }

  /** The single number that a pragma answers with. */
  pragma(name: string): number {
    const row = this.all(`pragma ${name}`)[0];
    return Number(row === undefined ? 0 : Object.values(row)[0]);
  }

  /** A mark that changes when another connection may have changed the log. */
  changeMark(): string {
    if (!this.#unchanged()) return `moved ${this.#signature()}`;
    return this.#stillAs ?? `shared ${this.pragma("data_version")}`;
  }

  /** Closes the connection. Safe to call twice. */
  close(): void {
    this.#closed = true;
    this.#connection?.close();
    this.#connection = undefined;
  }

  #current(): SqliteConnection {
    if (this.#closed) {
      throw new JoblogError("logClosed", `Cannot read log "${this.#path}": it is closed`, {
        subject: this.#path,
      });
    }
    if (this.#connection !== undefined && this.#unchanged()) return this.#connection;
    this.#connection?.close();
    this.#connection = undefined;
    const shared = existsSync(`${this.#path}-wal`);
    this.#stillAs = shared ? undefined : this.#signature();
    try {
      this.#connection = new SqliteConnection(this.#path, { readOnly: true, immutable: !shared });
    } catch (error) {
      throw readFailure("open log", this.#path, error);
    }
    return this.#connection;
  }

  #unchanged(): boolean {
    if (this.#stillAs === undefined) return true;
    return !existsSync(`${this.#path}-wal`) && this.#signature() === this.#stillAs;
  }

  #signature(): string {
    const stat = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
    return stat === undefined ? "gone" : `${stat.ino} ${stat.size} ${stat.mtimeNs}`;
  }
}
