/**
 * The connection that reads use: its own, so that the writer never waits on a reader.
 *
 * A log that no process has open has no side files, and an SQLite reader would leave some. So:
 *
 * - side files there (a writer is alive, or one died): an ordinary read-only connection;
 * - no side files: the file is opened as immutable, and each query is checked before and after
 *   against the file's identity, size and time and against the birth of side files; if anything
 *   has moved, the connection is opened again and the query asked again;
 * - no side files, and the runtime cannot open a file as immutable (Deno, unless it was given all
 *   permissions): a connection that may write but is told not to. It makes side files while it is
 *   open and, unlike a read-only one, removes them when it closes.
 *
 * The check cannot be fooled by a writer that comes: before it changes the main file it creates
 * the side files, and after it has removed them the main file has changed.
 *
 * Called by `open.ts` and the backend.
 */
import { accessSync, constants, existsSync, statSync } from "node:fs";
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
    try {
      this.#connection = existsSync(`${this.#path}-wal`) ? this.#shared() : this.#quiet();
    } catch (error) {
      throw readFailure("open log", this.#path, error);
    }
    return this.#connection;
  }

  #shared(): SqliteConnection {
    this.#stillAs = undefined;
    return new SqliteConnection(this.#path, { readOnly: true });
  }

  #quiet(): SqliteConnection {
    this.#stillAs = this.#signature();
    try {
      return new SqliteConnection(this.#path, { readOnly: true, immutable: true });
    } catch {
      return this.#tidy();
    }
  }

  #tidy(): SqliteConnection {
    this.#stillAs = undefined;
    try {
      accessSync(this.#path, constants.W_OK);
      const connection = new SqliteConnection(this.#path);
      connection.exec("pragma query_only = on");
      return connection;
    } catch {
      return this.#shared();
    }
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
