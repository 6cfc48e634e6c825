/**
 * The reference backend: a log in arrays, for tests, simulations and logs that need not last.
 *
 * Invariants are those of `StoreBackend`; this file shows them in their plainest form:
 *
 * - a commit checks everything before it changes anything, so it is all or nothing;
 * - opening a writer raises the fencing token, and an older writer is refused from then on;
 * - rows are frozen, and states are kept as JSON text, so that nobody can change what is stored.
 *
 * Called by `mod.ts`, tests and examples, through `openEventStore` and `openEventReader`.
 */
// deno-lint-ignore-file require-await -- the interface is asynchronous, this backend is not
import {
  type CommitBatch,
  JoblogError,
  type SnapshotRow,
  type StoredRecord,
} from "../../log/mod.ts";
import type { BackendFlags, CommandRow, JsonValue, LogEnd, PageQuery } from "../../log/mod.ts";
import type { StoreBackend, StreamPageQuery, SubtreeRow } from "../../log/mod.ts";

const FLAGS: BackendFlags = { name: "memory", durable: false, sharedReaders: false };

/** A log that lives in this process and outlives its writers and readers. */
export interface MemoryLog {
  /** Random name of the log: 32 lower-case hex digits. */
  readonly logId: string;
  /** Opens a writer; every writer before it is fenced off. */
  open(): StoreBackend;
  /** Opens a reader that sees every commit at once. */
  openReadOnly(): StoreBackend;
}

/** What all backends of one log share. */
interface Rows {
  readonly logId: string;
  token: number;
  readonly records: StoredRecord[];
  readonly streams: Map<string, StoredRecord[]>;
  readonly subtrees: Map<number, SubtreeRow[]>;
  readonly commands: Map<string, CommandRow>;
  readonly snapshots: Map<string, string[]>;
  readonly cursors: Map<string, string>;
  readonly watchers: Set<() => void>;
}

/**
 * Makes an empty log in memory.
 *
 * @param options `logId` fixes the log's name, for runs that must be repeatable
 *
 * @example A writer and a reader of the same log
 * ```ts
 * import { createMemoryLog } from "./memory_backend.ts";
 * const log = createMemoryLog();
 * const writer = log.open();
 * const reader = log.openReadOnly();
 * if (writer.token !== 1 || reader.token !== 0) throw new Error("unexpected token");
 * ```
 */
export function createMemoryLog(options: { readonly logId?: string } = {}): MemoryLog {
  const rows: Rows = {
    logId: options.logId ?? crypto.randomUUID().replaceAll("-", ""),
    token: 0,
    records: [],
    streams: new Map(),
    subtrees: new Map(),
    commands: new Map(),
    snapshots: new Map(),
    cursors: new Map(),
    watchers: new Set(),
  };
  return {
    logId: rows.logId,
    open: () => new MemoryBackend(rows, ++rows.token),
    openReadOnly: () => new MemoryBackend(rows, 0),
  };
}

/** First index whose row is not below, by bisection; rows must be ascending. */
function firstIndex(rows: readonly StoredRecord[], below: (row: StoredRecord) => boolean): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (below(rows[middle]!)) low = middle + 1;
    else high = middle;
  }
  return low;
}

class MemoryBackend implements StoreBackend {
  readonly flags = FLAGS;
  readonly logId: string;
  readonly readOnly: boolean;
  readonly token: number;
  readonly #rows: Rows;
  readonly #watches = new Set<() => void>();
  #closed = false;

  constructor(rows: Rows, token: number) {
    this.#rows = rows;
    this.logId = rows.logId;
    this.token = token;
    this.readOnly = token === 0;
  }

  #open(): Rows {
    if (!this.#closed) return this.#rows;
    throw new JoblogError("logClosed", "Cannot use the log: it is closed");
  }

  #writable(token: number): Rows {
    const rows = this.#open();
    if (this.readOnly) {
      throw new JoblogError("logReadOnly", "Cannot write to the log: it is open for reading only");
    }
    if (token >= rows.token) return rows;
    throw new JoblogError("fenced", `Cannot write with token ${token}: a newer writer took over`, {
      expected: token,
      actual: rows.token,
    });
  }

  async end(): Promise<LogEnd> {
    const last = this.#open().records.at(-1);
    return { position: last?.position ?? 0, time: last?.time ?? 0 };
  }

  async commit(batch: CommitBatch): Promise<void> {
    const rows = this.#writable(batch.token);
    const versions = new Map<string, number>();
    let position = rows.records.length;
    for (const record of batch.records) {
      position++;
      const version = (versions.get(record.stream) ??
        rows.streams.get(record.stream)?.length ?? 0) + 1;
      versions.set(record.stream, version);
      if (record.position !== position) {
        throw conflict("the log", record.position, position);
      }
      if (record.version !== version) {
        throw conflict(`stream "${record.stream}"`, record.version, version);
      }
    }
    const reused = batch.commands.find((command) => rows.commands.has(command.id));
    if (reused !== undefined) {
      throw new JoblogError("commandReused", `Cannot record command "${reused.id}": it is known`, {
        subject: reused.id,
      });
    }
    for (const record of batch.records) {
      const row = Object.freeze({ ...record });
      rows.records.push(row);
      const stream = rows.streams.get(record.stream);
      if (stream === undefined) rows.streams.set(record.stream, [row]);
      else stream.push(row);
    }
    for (const subtree of batch.subtrees) {
      const level = rows.subtrees.get(subtree.level);
      if (level === undefined) rows.subtrees.set(subtree.level, [{ ...subtree }]);
      else level.push({ ...subtree });
    }
    for (const command of batch.commands) rows.commands.set(command.id, { ...command });
    for (const changed of [...rows.watchers]) changed();
  }

  async readPage(query: PageQuery): Promise<readonly StoredRecord[]> {
    const all = this.#open();
    const rows = query.stream === undefined ? all.records : all.streams.get(query.stream) ?? [];
    const types = query.types === undefined ? undefined : new Set(query.types);
    const page: StoredRecord[] = [];
    const forwards = query.direction === "forwards";
    const step = forwards ? 1 : -1;
    let i = forwards
      ? firstIndex(rows, (row) => row.position < query.from)
      : firstIndex(rows, (row) => row.position <= query.from) - 1;
    for (; page.length < query.limit; i += step) {
      const row = rows[i];
      if (row === undefined) break;
      if (forwards ? row.position > query.to : row.position < query.to) break;
      if (types === undefined || types.has(row.type)) page.push(row);
    }
    return page;
  }

  async readStreamPage(query: StreamPageQuery): Promise<readonly StoredRecord[]> {
    const rows = this.#open().streams.get(query.stream) ?? [];
    const { from, limit } = query;
    if (query.direction === "forwards") return rows.slice(from - 1, from - 1 + limit);
    const end = Math.min(from, rows.length);
    return rows.slice(Math.max(0, end - limit), end).reverse();
  }

  async streamVersion(stream: string): Promise<number> {
    return this.#open().streams.get(stream)?.length ?? 0;
  }

  async streamNames(prefix: string, after: string, limit: number): Promise<readonly string[]> {
    const names = [...this.#open().streams.keys()];
    return names.filter((name) => name.startsWith(prefix) && name > after).sort().slice(0, limit);
  }

  async leaves(from: number, to: number): Promise<readonly string[]> {
    return this.#open().records.slice(from - 1, to).map((row) => row.leaf);
  }

  async subtrees(level: number, from: number, to: number): Promise<readonly SubtreeRow[]> {
    return (this.#open().subtrees.get(level) ?? []).slice(from, to + 1);
  }

  async command(id: string): Promise<CommandRow | undefined> {
    return this.#open().commands.get(id);
  }

  async positionAt(time: number): Promise<number> {
    return firstIndex(this.#open().records, (row) => row.time <= time);
  }

  async putSnapshot(row: SnapshotRow): Promise<void> {
    const { snapshots } = this.#writable(this.token);
    snapshots.set(row.name, [...(snapshots.get(row.name) ?? []), JSON.stringify(row)]);
  }

  async snapshot(
    name: string,
    foldVersion: number,
    position: number,
  ): Promise<SnapshotRow | undefined> {
    let newest: SnapshotRow | undefined;
    for (const text of this.#open().snapshots.get(name) ?? []) {
      const row: SnapshotRow = JSON.parse(text);
      if (row.foldVersion !== foldVersion || row.position > position) continue;
      if (newest === undefined || row.position >= newest.position) newest = row;
    }
    return newest;
  }

  async putCursor(name: string, position: number, state?: JsonValue): Promise<void> {
    this.#writable(this.token).cursors.set(name, JSON.stringify({ position, state }));
  }

  async cursor(
    name: string,
  ): Promise<{ position: number; state: JsonValue | undefined } | undefined> {
    const text = this.#open().cursors.get(name);
    if (text === undefined) return undefined;
    const { position, state } = JSON.parse(text);
    return { position, state };
  }

  async releaseReserve(): Promise<boolean> {
    return false;
  }

  async restoreReserve(): Promise<boolean> {
    return false;
  }

  async sizeBytes(): Promise<number> {
    return 0;
  }

  watch(changed: () => void): () => void {
    const { watchers } = this.#open();
    const call = () => changed();
    watchers.add(call);
    this.#watches.add(call);
    return () => {
      watchers.delete(call);
      this.#watches.delete(call);
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const call of this.#watches) this.#rows.watchers.delete(call);
    this.#watches.clear();
  }
}

function conflict(what: string, expected: number, actual: number): JoblogError<"versionConflict"> {
  return new JoblogError(
    "versionConflict",
    `Cannot commit at ${expected} of ${what}: its next place is ${actual}`,
    { subject: what, expected, actual },
  );
}
