/**
 * The append path: prepared statements between BEGIN IMMEDIATE and COMMIT, nothing else.
 *
 * Invariants:
 *
 * - the fencing token and the last position are checked inside the very transaction that appends;
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

/** Names whose keys are kept in memory, per table; about 2 MiB at most. */
export const NAME_KEYS_MAX = 16_384;

/** Keys of one table of names, given out in the order of first use. */
class NameKeys {
  readonly #known = new Map<string, number>();
  readonly #find: StatementSync;
  readonly #highest: StatementSync;
  readonly #insert: StatementSync;
  #next = 0;

  constructor(find: StatementSync, highest: StatementSync, insert: StatementSync) {
    this.#find = find;
    this.#highest = highest;
    this.#insert = insert;
  }

  keyOf(name: string): number {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const found = this.#find.get(name) as { readonly key: number } | undefined;
    const key = found?.key ?? this.#create(name);
    if (this.#known.size >= NAME_KEYS_MAX) {
      const [oldest] = this.#known.keys();
      if (oldest !== undefined) this.#known.delete(oldest);
    }
    this.#known.set(name, key);
    return key;
  }

  /** After a rollback: keys that were given out in it are free again. */
  forget(): void {
    this.#known.clear();
    this.#next = 0;
  }

  #create(name: string): number {
    if (this.#next === 0) {
      const row = this.#highest.get() as { readonly key: number | null } | undefined;
      this.#next = (row?.key ?? 0) + 1;
    }
    const key = this.#next;
    this.#insert.run(key, name);
    this.#next += 1;
    return key;
  }
}

/** Stores batches through the writer's connection. */
export class Committer {
  readonly #path: string;
  readonly #connection: SqliteConnection;
  readonly #streams: NameKeys;
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
    this.#streams = new NameKeys(
      prepare(queries.streamKey),
      prepare(queries.highestStreamKey),
      prepare(queries.insertStream),
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
   * @throws {JoblogError} code "versionConflict" when the records do not go on where the log ends
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
      if (position !== expected) throw this.#outOfPlace(expected, position);
      this.#insertEvent.run(
        position,
        this.#streams.keyOf(stream),
        version,
        this.#types.keyOf(type),
        time,
        text,
        leaf,
      );
      expected += 1;
    }
  }

  #outOfPlace(expected: number, actual: number): JoblogError {
    return new JoblogError(
      "versionConflict",
      `Cannot commit event ${actual} to log "${this.#path}": the next position is ${expected}`,
      { subject: this.#path, expected, actual, hint: "Open the log again." },
    );
  }

  #conflict(error: unknown): JoblogError | undefined {
    if (!/UNIQUE constraint failed: events\./.test(textOf(error))) return undefined;
    return new JoblogError(
      "versionConflict",
      `Cannot commit to log "${this.#path}": a stream has moved on`,
      { subject: this.#path, hint: "Open the log again.", cause: error },
    );
  }
}
