/**
 * How often each cluster of the file is in use: the refcount table and its blocks.
 *
 * - The table is in memory (8 MiB at most); blocks come and go.
 * - Changes stay in memory until a commit takes them. A commit writes blocks before the table that
 *   points to them, and the table before the header that points to it.
 *
 * May be used by `allocator.ts`, `commit.ts` and `check.ts`.
 */

import { BlockError } from "../errors.ts";
import { readPlace } from "./entries.ts";
import type { Qcow2Image } from "./image.ts";
import { tablesKept } from "./image.ts";
import { REFCOUNT_TABLE_BYTES_MAX } from "./layout.ts";
import { countMax, readCount, writeCount } from "./refcount_widths.ts";
import { type CachedTable, TableCache } from "./table_cache.ts";
import { roundUp, viewOf, writeU64 } from "./words.ts";

/** The refcount table as it is to be written. */
export interface RefcountTableChange {
  /** Where it goes in the file. */
  readonly offset: number;
  /** A copy of its bytes. */
  readonly bytes: Uint8Array;
  /** True if the header has to be told of its new place. */
  readonly isMoved: boolean;
}

/** The counts of an image. */
export class Refcounts {
  /** Clusters that one block speaks of. */
  readonly perBlock: number;
  /** Blocks by their number in the table. */
  readonly blocks: TableCache;
  /** Numbers of the clusters in which blocks lie. */
  readonly blockClusters = new Set<number>();
  /** Called with the number of a cluster whose count becomes 0. */
  onFree: ((cluster: number) => void) | undefined;
  readonly #image: Qcow2Image;
  readonly #order: number;
  #table: Uint8Array;
  #tableOffset: number;
  #isChanged = false;
  #isMoved = false;
  /** The place of the table while it is too short for the table. */
  #outgrown: readonly [offset: number, bytes: number] | undefined;

  private constructor(image: Qcow2Image, table: Uint8Array) {
    this.#image = image;
    this.#order = image.header.refcountOrder;
    this.#table = table;
    this.#tableOffset = image.header.refcountTableOffset;
    const { clusterSize } = image.geometry;
    this.perBlock = clusterSize * 8 / 2 ** this.#order;
    this.blocks = new TableCache({
      tableBytes: clusterSize,
      keptMax: tablesKept(clusterSize),
      load: (index, host, bytes) =>
        image.readTable("refblock_load", host, `refcount block ${index}`, bytes),
    });
    for (let index = 0; index < this.tableLength; index++) {
      const host = this.blockHost(index);
      if (host !== 0) this.blockClusters.add(Math.floor(host / clusterSize));
    }
  }

  /** Reads the table. */
  static async load(image: Qcow2Image): Promise<Refcounts> {
    const { refcountTableClusters, refcountTableOffset } = image.header;
    const table = new Uint8Array(refcountTableClusters * image.geometry.clusterSize);
    await image.readFile("reftable_load", refcountTableOffset, table);
    return new Refcounts(image, table);
  }

  /** Entries of the table. */
  get tableLength(): number {
    return this.#table.byteLength / 8;
  }

  /** Where the table lies, and how many bytes it may fill there. */
  get tablePlace(): readonly [offset: number, bytes: number] {
    return this.#outgrown ?? [this.#tableOffset, this.#table.byteLength];
  }

  /** Bytes that the table needs at a new place; 0 = it fits where it is. */
  get tableBytesToPlace(): number {
    return this.#outgrown === undefined ? 0 : this.#table.byteLength;
  }

  /** The largest count that fits. */
  get countMax(): number {
    return countMax(this.#order);
  }

  /** Where block `index` lies; 0 = all its counts are 0. */
  blockHost(index: number): number {
    return index < this.tableLength ? readPlace(viewOf(this.#table), index).host : 0;
  }

  /** Block `index`, pinned; undefined if all its counts are 0. */
  async acquire(index: number): Promise<CachedTable | undefined> {
    const host = this.blockHost(index);
    return host === 0 ? undefined : await this.blocks.acquire(index, host);
  }

  /** The count of cluster number `cluster`. */
  async countOf(cluster: number): Promise<number> {
    const index = Math.floor(cluster / this.perBlock);
    const block = await this.acquire(index);
    if (block === undefined) return 0;
    try {
      return this.countIn(block, cluster - index * this.perBlock);
    } finally {
      this.blocks.release(block);
    }
  }

  /** Count number `slot` of a block. */
  countIn(block: CachedTable, slot: number): number {
    return readCount(block.view, slot, this.#order);
  }

  /** Changes count number `slot` of a block. */
  setIn(block: CachedTable, slot: number, count: number): void {
    if (count === 0) this.onFree?.(block.index * this.perBlock + slot);
    this.blocks.markChanged(block, ...writeCount(block.view, slot, this.#order, count));
  }

  /** Adds block `index`, with zeros, at `host`. Pinned. The table must have room. */
  insertBlock(index: number, host: number): CachedTable {
    writeU64(viewOf(this.#table), index * 8, host);
    this.#isChanged = true;
    const { clusterSize } = this.#image.geometry;
    this.blockClusters.add(host / clusterSize);
    return this.blocks.insert(index, host);
  }

  /**
   * Makes the table long enough for block `index`, in memory; it then needs another place.
   *
   * @throws {BlockError} EFBIG when it would be too long
   */
  growTable(index: number): void {
    if (index < this.tableLength) return;
    const { clusterSize } = this.#image.geometry;
    // Half as long again, so that this is rare; room for the blocks of the table's own clusters.
    const wanted = roundUp(Math.ceil((index + 2) * 1.5) * 8 + 64, clusterSize);
    const bytes = Math.min(wanted, REFCOUNT_TABLE_BYTES_MAX);
    if (index >= bytes / 8) {
      const { name } = this.#image;
      throw new BlockError("EFBIG", `Cannot write "${name}": its refcount table is full`, {
        operation: "write",
        subject: name,
        hint: "Larger clusters let an image become larger.",
      });
    }
    const table = new Uint8Array(bytes);
    table.set(this.#table);
    this.#outgrown = this.tablePlace;
    this.#table = table;
  }

  /** Says where the grown table goes. */
  moveTable(offset: number): void {
    this.#outgrown = undefined;
    this.#tableOffset = offset;
    this.#isChanged = true;
    this.#isMoved = true;
  }

  /** Hands out the changed table, if it is changed. To be settled. */
  takeTableChange(): RefcountTableChange | undefined {
    if (!this.#isChanged) return undefined;
    this.#isChanged = false;
    const isMoved = this.#isMoved;
    this.#isMoved = false;
    return { offset: this.#tableOffset, bytes: this.#table.slice(), isMoved };
  }

  /** Ends a change of the table that was not written: it stays one. */
  keepTableChange(change: RefcountTableChange): void {
    this.#isChanged = true;
    this.#isMoved ||= change.isMoved;
  }
}
