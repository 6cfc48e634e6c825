/**
 * Tables of one cluster each, kept in memory by their number: L2 tables and refcount blocks.
 *
 * - A table in use is pinned, and a pinned or changed table is never dropped, so that two copies
 *   of one table cannot exist.
 * - Tables that are neither are dropped, the longest unused first, when there are too many.
 * - Changes stay in memory until somebody takes them with `takeChanges`.
 * - The bytes of a table that is dropped, and of a change that is settled, become those of another
 *   one: whoever looks at a table has it pinned, or looks at it before the next await. A walk along
 *   a large image would otherwise leave its tables to the garbage collector, a hundred MiB of them.
 *
 * May be used by the files of this folder.
 */

import { BufferPool } from "../buffers.ts";
import { viewOf } from "./words.ts";

/** What a cache is made of. */
export interface TableCacheOptions {
  /** Bytes of a table. */
  readonly tableBytes: number;
  /** How many unused tables are kept, and half as many spare buffers. */
  readonly keptMax: number;
  /** Fills `bytes` with a table. */
  readonly load: (index: number, host: number, bytes: Uint8Array) => Promise<void>;
}

/** One table in memory. */
export class CachedTable {
  /** Number of the table: which entry of the table above points to it. */
  readonly index: number;
  /** Where it lies in the file. */
  host: number;
  /** Its bytes. */
  readonly bytes: Uint8Array;
  /** The same as numbers. */
  readonly view: DataView;
  /** How many use it now. */
  pinCount = 0;
  /** First changed byte. */
  changedFrom = 0;
  /** Byte after the last changed one; 0 = nothing is changed. */
  changedTo = 0;

  /** Holds bytes that were read or are new. */
  constructor(index: number, host: number, bytes: Uint8Array) {
    this.index = index;
    this.host = host;
    this.bytes = bytes;
    this.view = viewOf(bytes);
  }
}

/** Bytes of a table that are to be written, as they were at one moment. */
export interface TableChange {
  /** The table; pinned until the change is settled. */
  readonly table: CachedTable;
  /** Where they go in the file. */
  readonly offset: number;
  /** First changed byte in the table. */
  readonly from: number;
  /** A copy of the bytes; not to be used any more once the change is settled. */
  readonly bytes: Uint8Array;
  /** What the copy lies in. */
  readonly buffer: Uint8Array;
}

/** Keeps tables. */
export class TableCache {
  readonly #tables = new Map<number, CachedTable>();
  readonly #loading = new Map<number, Promise<CachedTable>>();
  readonly #changed = new Set<CachedTable>();
  readonly #options: TableCacheOptions;
  readonly #buffers: BufferPool;

  /** An empty one. */
  constructor(options: TableCacheOptions) {
    this.#options = options;
    this.#buffers = new BufferPool(options.tableBytes, Math.ceil(options.keptMax / 2));
  }

  /** How many tables have changes that are not written. */
  get changedCount(): number {
    return this.#changed.size;
  }

  /** How many tables are in memory. */
  get count(): number {
    return this.#tables.size;
  }

  /** The table if it is in memory, for use before the next await. */
  peek(index: number): CachedTable | undefined {
    return this.#tables.get(index);
  }

  /** The table, read from `host` if need be. Pinned: give it back with `release`. */
  async acquire(index: number, host: number): Promise<CachedTable> {
    for (;;) {
      const known = this.#tables.get(index);
      if (known !== undefined) {
        this.#tables.delete(index);
        this.#tables.set(index, known);
        known.pinCount++;
        return known;
      }
      // Looks again after loading: the table may have been dropped before this caller went on.
      await (this.#loading.get(index) ?? this.#start(index, host));
    }
  }

  /** Takes in a new table of zeros, pinned and changed in all its bytes. */
  insert(index: number, host: number): CachedTable {
    const table = new CachedTable(index, host, this.#buffers.take().fill(0));
    table.pinCount = 1;
    this.#tables.set(index, table);
    this.markChanged(table, 0, this.#options.tableBytes);
    this.#drop();
    return table;
  }

  /** Gives a table back. */
  release(table: CachedTable): void {
    table.pinCount--;
    if (this.#tables.size > this.#options.keptMax) this.#drop();
  }

  /** Notes that bytes `from` to `to` of a table were changed. */
  markChanged(table: CachedTable, from: number, to: number): void {
    const isFirst = table.changedTo === 0;
    table.changedFrom = isFirst ? from : Math.min(table.changedFrom, from);
    table.changedTo = Math.max(table.changedTo, to);
    this.#changed.add(table);
  }

  /** Hands out all changes as they are now, in the order of the file. Each is to be settled. */
  takeChanges(): readonly TableChange[] {
    const changes = [...this.#changed].map((table): TableChange => {
      // Whole sectors, so that the file system need not read what is around them.
      const from = table.changedFrom - table.changedFrom % 512;
      const to = Math.min(table.bytes.byteLength, Math.ceil(table.changedTo / 512) * 512);
      table.pinCount++;
      table.changedTo = 0;
      const buffer = this.#buffers.take();
      const bytes = buffer.subarray(0, to - from);
      bytes.set(table.bytes.subarray(from, to));
      return { table, offset: table.host + from, from, bytes, buffer };
    });
    this.#changed.clear();
    return changes.sort((a, b) => a.offset - b.offset);
  }

  /** Ends a change: it was written, or it stays a change. */
  settle(change: TableChange, isWritten: boolean): void {
    const { table, from, bytes, buffer } = change;
    if (!isWritten) this.markChanged(table, from, from + bytes.byteLength);
    this.#buffers.give(buffer);
    this.release(table);
  }

  /** Forgets everything that is neither pinned nor changed. */
  clear(): void {
    for (const table of this.#tables.values()) this.#dropOne(table);
  }

  #start(index: number, host: number): Promise<CachedTable> {
    const loading = this.#take(index, host);
    this.#loading.set(index, loading);
    return loading;
  }

  async #take(index: number, host: number): Promise<CachedTable> {
    try {
      const bytes = this.#buffers.take();
      await this.#options.load(index, host, bytes);
      const table = new CachedTable(index, host, bytes);
      this.#tables.set(index, table);
      this.#drop();
      return table;
    } finally {
      this.#loading.delete(index);
    }
  }

  #drop(): void {
    // The newest stays in any case: somebody is about to use it.
    let excess = Math.min(this.#tables.size - this.#options.keptMax, this.#tables.size - 1);
    for (const table of this.#tables.values()) {
      if (excess <= 0) return;
      if (this.#dropOne(table)) excess--;
    }
  }

  #dropOne(table: CachedTable): boolean {
    if (table.pinCount > 0 || table.changedTo > 0) return false;
    this.#buffers.give(table.bytes);
    return this.#tables.delete(table.index);
  }
}
