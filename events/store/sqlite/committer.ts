/**
 * The append path: prepared statements between BEGIN IMMEDIATE and COMMIT, nothing else.
 *
 * Invariants:
 *
 * - the fencing token, the last position and each stream's last version are checked inside the
 *   very transaction that appends;
 * - a batch that fails leaves no trace, neither in the file nor in the caches of names;
 * - `commit` is synchronous, so nothing can come between its statements.
 *
 * Called by the backend only.
 */
import type { StatementSync } from "node:sqlite";
import type { CommitBatch, EncodedRecord } from "../../log/backend.ts";
import { JoblogError } from "../../log/errors.ts";
import type { LogQueries } from "../sql/mod.ts";
import type { SqliteConnection } from "./connection.ts";
import { commitFailure, textOf } from "./failures.ts";
import { NameKeys, StreamKeys } from "./name_keys.ts";

/** Stores batches through the writer's connection. */
export class Committer {
  readonly #path: string;
  readonly #connection: SqliteConnection;
  readonly #streams: StreamKeys;
  readonly #types: NameKeys;
  readonly #fence: StatementSync;
  readonly #insertEvent: StatementSync;
  readonly #insertSubtree: StatementSync;
  readonly #insertCommand: StatementSync;

  /** @param connection the writer's own */
  constructor(path: string, connection: SqliteConnection, queries: LogQueries) {
    this.#path = path;
    this.#connection = connection;
    const prepare = (query: { readonly sql: string }) => connection.prepare(query.sql);
    this.#streams = new StreamKeys(
      new NameKeys(
        prepare(queries.streamKey),
        prepare(queries.highestStreamKey),
        prepare(queries.insertStream),
      ),
      prepare(queries.streamVersion),
    );
    this.#types = new NameKeys(
      prepare(queries.typeKey),
      prepare(queries.highestTypeKey),
      prepare(queries.insertType),
    );
    this.#fence = prepare(queries.fence);
    this.#insertEvent = prepare(queries.insertEvent);
    this.#insertSubtree = prepare(queries.insertSubtree);
    this.#insertCommand = prepare(queries.insertCommand);
  }

  /**
   * Stores a batch atomically; durable when it returns.
   *
   * @throws {JoblogError} code "fenced" when a newer writer took over
   * @throws {JoblogError} code "versionConflict" when the records do not go on where the log, or
   *   their stream, ends
   * @throws {JoblogError} code "commandReused" when a command id is known
   * @throws {JoblogError} code "commitFailed" for everything else, after a rollback
   */
  commit(batch: CommitBatch): void {
    try {
      this.#connection.transaction(() => {
        this.#insertRecords(batch.records, this.#check(batch.token) + 1);
        for (const { level, index, hash } of batch.subtrees) {
          this.#insertSubtree.run(level, index, hash);
        }
        for (const { id, firstPosition, lastPosition } of batch.commands) {
          this.#insertCommand.run(id, firstPosition, lastPosition);
        }
      });
    } catch (error) {
      this.#streams.forget();
      this.#types.forget();
      throw this.#conflict(error) ?? commitFailure(this.#path, error);
    }
  }

  /** Runs one statement if the token is still the newest one. */
  put(token: number, text: string, parameters: readonly (string | number | null)[]): void {
    try {
      this.#connection.transaction(() => {
        this.#check(token);
        this.#connection.run(text, parameters);
      });
    } catch (error) {
      throw commitFailure(this.#path, error);
    }
  }

  /** Checks the token and gives the last position. */
  #check(token: number): number {
    const row = this.#fence.get() as { readonly token: string; readonly last: number | null };
    const newest = Number(row.token);
    if (token < newest) {
      throw new JoblogError("fenced", `Cannot commit to log "${this.#path}": a newer writer`, {
        subject: this.#path,
        expected: newest,
        actual: token,
        hint: "Open the log again; another process has opened it for writing meanwhile.",
      });
    }
    return row.last ?? 0;
  }

  #insertRecords(records: readonly EncodedRecord[], first: number): void {
    let expected = first;
    for (const { position, stream, version, type, time, text, leaf } of records) {
      if (position !== expected) throw this.#outOfPlace("the log", expected, position);
      const head = this.#streams.head(stream);
      head.version += 1;
      if (version !== head.version) {
        throw this.#outOfPlace(`stream "${stream}"`, head.version, version);
      }
      // Not `run`: its report of changes, an object for each row, costs a tenth of the insert on
      // Bun and a fifth on Deno.
      this.#insertEvent.get(
        position,
        head.key,
        version,
        this.#types.keyOf(type),
        time,
        text,
        leaf,
      );
      expected += 1;
    }
  }

  #outOfPlace(what: string, expected: number, actual: number): JoblogError {
    return new JoblogError(
      "versionConflict",
      `Cannot commit ${actual} to ${what} in "${this.#path}": the next one is ${expected}`,
      { subject: what, expected, actual, hint: "Open the log again." },
    );
  }

  #conflict(error: unknown): JoblogError | undefined {
    const text = textOf(error);
    if (/UNIQUE constraint failed: commands\./.test(text)) {
      return new JoblogError(
        "commandReused",
        `Cannot commit to log "${this.#path}": a command id is known`,
        { subject: this.#path, hint: "Use a new command id for another command.", cause: error },
      );
    }
    if (!/UNIQUE constraint failed: events\./.test(text)) return undefined;
    return new JoblogError(
      "versionConflict",
      `Cannot commit to log "${this.#path}": another writer has appended`,
      { subject: this.#path, hint: "Open the log again.", cause: error },
    );
  }
}
