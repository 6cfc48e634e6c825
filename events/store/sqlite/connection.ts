/**
 * One open SQLite connection with its prepared statements.
 *
 * Invariants:
 *
 * - while it is open a connection stands in `OPEN`: Bun collects a database that nothing refers
 *   to and silently drops its locks with it;
 * - nobody may open the file of a log through node:fs while a connection to it may be open in
 *   this process: closing that descriptor would drop all of the process's locks on the file.
 *
 * Called by the other files of this folder only.
 */
import process from "node:process";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import type { SqlParameter } from "../sql/mod.ts";

/** A row, by the names of its columns. */
export type SqliteRow = Readonly<Record<string, unknown>>;

/**
 * Deno's objects for rows are hash tables, slow to make and slow to read: a page of events takes
 * 1.6 times as long as with arrays that become plain objects here. Bun's are plain already.
 */
const ROWS_COME_AS_ARRAYS = process.versions["bun"] === undefined;

/** A statement that is asked for rows, with the names of its columns. */
interface RowStatement {
  readonly statement: StatementSync;
  readonly names: readonly string[];
}

/** Statements that a connection keeps prepared; the least recently prepared one goes first. */
export const STATEMENTS_MAX = 200;

/** How long a statement waits for another process's lock, in milliseconds. */
export const BUSY_TIMEOUT_MS = 2_000;

/** How a file is opened. */
export interface ConnectOptions {
  /** @default false */
  readonly readOnly?: boolean;
  /** True if nobody can change the file meanwhile: no side files, no locks. @default false */
  readonly immutable?: boolean;
  /** @default BUSY_TIMEOUT_MS */
  readonly busyTimeoutMs?: number;
}

const OPEN = new Set<DatabaseSync>();

/** An open connection. */
export class SqliteConnection {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #rowStatements = new Map<string, RowStatement>();
  #closed = false;

  /** Opens a file; one that does not exist is created unless `readOnly`. */
  constructor(path: string, options: ConnectOptions = {}) {
    const { readOnly = false, immutable = false, busyTimeoutMs = BUSY_TIMEOUT_MS } = options;
    const name = immutable ? `${pathToFileURL(path).href}?immutable=1` : path;
    this.#db = new DatabaseSync(name, { readOnly, enableForeignKeyConstraints: false });
    OPEN.add(this.#db);
    this.#db.exec(`pragma busy_timeout = ${busyTimeoutMs}`);
  }

  /** Runs statements that have no parameters and no rows of interest. */
  exec(text: string): void {
    this.#db.exec(text);
  }

  /** A prepared statement, kept for the next time. */
  prepare(text: string): StatementSync {
    return kept(this.#statements, text, () => this.#db.prepare(text));
  }

  /** All rows of a query. */
  all(text: string, parameters: readonly SqlParameter[] = []): readonly SqliteRow[] {
    if (!ROWS_COME_AS_ARRAYS) return this.prepare(text).all(...parameters) as SqliteRow[];
    const { statement, names } = kept(this.#rowStatements, text, () => this.#rowStatement(text));
    const rows = statement.all(...parameters) as unknown as unknown[][];
    return rows.map((values) => {
      const row: Record<string, unknown> = {};
      for (let index = 0; index < names.length; index += 1) row[names[index]!] = values[index];
      return row;
    });
  }

  #rowStatement(text: string): RowStatement {
    const statement = this.#db.prepare(text);
    statement.setReturnArrays(true);
    return { statement, names: statement.columns().map(({ name }) => name) };
  }

  /** Runs a statement without rows. */
  run(text: string, parameters: readonly SqlParameter[] = []): void {
    this.prepare(text).run(...parameters);
  }

  /** The single number that a pragma answers with. */
  pragma(name: string): number {
    const row = this.all(`pragma ${name}`)[0];
    return Number(row === undefined ? 0 : Object.values(row)[0]);
  }

  /**
   * Runs `work` between BEGIN IMMEDIATE and COMMIT. Whatever throws, COMMIT included, rolls all
   * of it back; durable when it returns.
   */
  transaction<Result>(work: () => Result): Result {
    this.#db.exec("begin immediate");
    try {
      const result = work();
      this.#db.exec("commit");
      return result;
    } catch (error) {
      this.#rollback();
      throw error;
    }
  }

  /** Closes the connection. Safe to call twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#statements.clear();
    this.#rowStatements.clear();
    try {
      this.#db.close();
    } finally {
      OPEN.delete(this.#db);
    }
  }

  #rollback(): void {
    try {
      this.#db.exec("rollback");
    } catch {
      // SQLite has rolled back by itself, as it does after some full-disk and I/O errors.
    }
  }
}

/** What was made for a text before; the least recently made one goes when there are too many. */
function kept<Made>(known: Map<string, Made>, text: string, make: () => Made): Made {
  const found = known.get(text);
  if (found !== undefined) return found;
  if (known.size >= STATEMENTS_MAX) {
    const [oldest] = known.keys();
    if (oldest !== undefined) known.delete(oldest);
  }
  const made = make();
  known.set(text, made);
  return made;
}
