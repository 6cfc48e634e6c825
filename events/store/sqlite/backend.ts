/**
 * The two faces of a log in an SQLite file: a reader and the writer.
 *
 * Invariants:
 *
 * - reads have a connection of their own; the writer never waits on one;
 * - closing goes readers first, then the writer's connection (which writes the WAL back and
 *   removes it), then the writer's token, so that the next writer finds a quiet file.
 *
 * Made by `open.ts` only.
 */
import { statSync } from "node:fs";
import type {
  BackendFlags,
  CommandRow,
  CommitBatch,
  LogEnd,
  PageQuery,
  SnapshotRow,
  StoreBackend,
  StoredRecord,
  StreamPageQuery,
  SubtreeRow,
} from "../../log/backend.ts";
import { JoblogError } from "../../log/errors.ts";
import type { JsonValue } from "../../log/event.ts";
import { type LogQueries, SqlReads, type StoredCursor } from "../sql/mod.ts";
import { Committer } from "./committer.ts";
import type { SqliteConnection } from "./connection.ts";
import { kyselyOver } from "./kysely_database.ts";
import { type WriterLock, writerLockPath } from "./lock.ts";
import { ReadSource } from "./read_source.ts";
import { freeReserve, makeReserve, reservePath } from "./reserve.ts";
import { type Repeat, watchMark } from "./watch.ts";

const FLAGS: BackendFlags = { name: "sqlite", durable: true, sharedReaders: true };

/** Findings of the database about itself that are kept. */
const SELF_CHECK_MAX = 10;

/** What opening found out. */
interface BackendParts {
  readonly path: string;
  readonly logId: string;
  readonly token: number;
  readonly queries: LogQueries;
  readonly repeat: Repeat;
}

/** A log that is open for reading only. */
export class ReaderBackend implements StoreBackend {
  readonly flags: BackendFlags = FLAGS;
  readonly logId: string;
  readonly token: number;
  readonly readOnly: boolean = true;
  /** The resolved path. */
  readonly path: string;
  readonly #repeat: Repeat;
  readonly #source: ReadSource;
  readonly #reads: SqlReads;
  readonly #watchers = new Set<() => void>();

  /** @param parts what opening found out, with an open source of rows */
  constructor(parts: BackendParts & { readonly source: ReadSource }) {
    this.path = parts.path;
    this.logId = parts.logId;
    this.token = parts.token;
    this.#repeat = parts.repeat;
    this.#source = parts.source;
    this.#reads = new SqlReads(kyselyOver(parts.source), parts.queries);
  }

  end(): Promise<LogEnd> {
    return this.#reads.end();
  }

  commit(_batch: CommitBatch): Promise<void> {
    return Promise.reject(this.#refusal("append to"));
  }

  readPage(query: PageQuery): Promise<readonly StoredRecord[]> {
    return this.#reads.readPage(query);
  }

  readStreamPage(query: StreamPageQuery): Promise<readonly StoredRecord[]> {
    return this.#reads.readStreamPage(query);
  }

  streamVersion(stream: string): Promise<number> {
    return this.#reads.streamVersion(stream);
  }

  streamNames(prefix: string, after: string, limit: number): Promise<readonly string[]> {
    return this.#reads.streamNames(prefix, after, limit);
  }

  leaves(from: number, to: number): Promise<readonly string[]> {
    return this.#reads.leaves(from, to);
  }

  subtrees(level: number, from: number, to: number): Promise<readonly SubtreeRow[]> {
    return this.#reads.subtrees(level, from, to);
  }

  command(id: string): Promise<CommandRow | undefined> {
    return this.#reads.command(id);
  }

  positionAt(time: number): Promise<number> {
    return this.#reads.positionAt(time);
  }

  snapshot(
    name: string,
    foldVersion: number,
    position: number,
  ): Promise<SnapshotRow | undefined> {
    return this.#reads.snapshot(name, foldVersion, position);
  }

  cursor(name: string): Promise<StoredCursor | undefined> {
    return this.#reads.cursor(name);
  }

  putSnapshot(_row: SnapshotRow): Promise<void> {
    return Promise.reject(this.#refusal("keep a snapshot in"));
  }

  putCursor(_name: string, _position: number, _state?: JsonValue): Promise<void> {
    return Promise.reject(this.#refusal("keep a cursor in"));
  }

  releaseReserve(): Promise<boolean> {
    return Promise.resolve(false);
  }

  restoreReserve(): Promise<boolean> {
    return Promise.resolve(false);
  }

  /** Compares every index with its table, and looks for pages that nothing leads to. */
  selfCheck(): Promise<readonly string[]> {
    const rows = this.#source.all(`pragma integrity_check(${SELF_CHECK_MAX})`);
    const found = rows.map((row) => String(row["integrity_check"]));
    return Promise.resolve(found[0] === "ok" ? [] : found);
  }

  sizeBytes(): Promise<number> {
    const files = [
      this.path,
      `${this.path}-wal`,
      `${this.path}-shm`,
      writerLockPath(this.path),
      reservePath(this.path),
    ];
    const sizes = files.map((file) => statSync(file, { throwIfNoEntry: false })?.size ?? 0);
    return Promise.resolve(sizes.reduce((sum, size) => sum + size, 0));
  }

  watch(changed: () => void): () => void {
    const stop = watchMark(() => this.#source.changeMark(), changed, this.#repeat);
    this.#watchers.add(stop);
    return () => {
      if (this.#watchers.delete(stop)) stop();
    };
  }

  close(): Promise<void> {
    for (const stop of this.#watchers) stop();
    this.#watchers.clear();
    this.#source.close();
    return Promise.resolve();
  }

  #refusal(action: string): JoblogError {
    return new JoblogError("logReadOnly", `Cannot ${action} log "${this.path}": it is read-only`, {
      subject: this.path,
      hint: "Open the log for writing.",
    });
  }
}

/** A log that is open for writing; one per log and machine. */
export class WriterBackend extends ReaderBackend {
  override readonly readOnly: boolean = false;
  readonly #connection: SqliteConnection;
  readonly #committer: Committer;
  readonly #queries: LogQueries;
  readonly #lock: WriterLock;
  #closed = false;

  /** @param parts what opening found out, with the writer's connection and token */
  constructor(
    parts: BackendParts & { readonly connection: SqliteConnection; readonly lock: WriterLock },
  ) {
    super({ ...parts, source: new ReadSource(parts.path) });
    this.#connection = parts.connection;
    this.#lock = parts.lock;
    this.#queries = parts.queries;
    this.#committer = new Committer(parts.path, parts.connection, parts.queries);
  }

  // deno-lint-ignore require-await -- synchronous in SQLite; a throw must become a rejection
  override async commit(batch: CommitBatch): Promise<void> {
    this.#refuseIfClosed();
    this.#committer.commit(batch);
  }

  // deno-lint-ignore require-await -- as above
  override async putSnapshot(row: SnapshotRow): Promise<void> {
    this.#refuseIfClosed();
    const { name, foldVersion, position, state } = row;
    const parameters = [name, foldVersion, position, JSON.stringify(state)];
    this.#committer.put(this.token, this.#queries.putSnapshot.sql, parameters);
  }

  // deno-lint-ignore require-await -- as above
  override async putCursor(name: string, position: number, state?: JsonValue): Promise<void> {
    this.#refuseIfClosed();
    const text = state === undefined ? null : JSON.stringify(state);
    this.#committer.put(this.token, this.#queries.putCursor.sql, [name, position, text]);
  }

  override releaseReserve(): Promise<boolean> {
    return Promise.resolve(freeReserve(this.path));
  }

  override restoreReserve(): Promise<boolean> {
    return Promise.resolve(makeReserve(this.path));
  }

  /** Nobody else appends while this writer holds the token: never calls back. */
  override watch(_changed: () => void): () => void {
    return () => {};
  }

  override async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await super.close();
    try {
      this.#connection.close();
    } finally {
      this.#lock.release();
    }
  }

  #refuseIfClosed(): void {
    if (!this.#closed) return;
    throw new JoblogError("logClosed", `Cannot write to log "${this.path}": it is closed`, {
      subject: this.path,
    });
  }
}
