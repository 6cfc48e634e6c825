/**
 * Changing an image: allocation, copy-on-write, zeros, discards.
 *
 * - Data is written before the entry that points to it is changed, even in memory, so that a commit
 *   at any moment finds only entries whose data is in the file.
 * - A cluster is written in place only if its entry says that it belongs to it alone; so internal
 *   snapshots keep what they have.
 * - Callers hold the clusters that they change (see `qcow2_node.ts`).
 *
 * May be used by the files of this folder.
 */

import { Allocator } from "./allocator.ts";
import { Beginning } from "./beginning.ts";
import { Committer } from "./commit.ts";
import { type ClusterEntry, writeEntry } from "./entries.ts";
import { corrupt } from "./failures.ts";
import { type Qcow2Image, tablesKept } from "./image.ts";
import { PackedSpace } from "./packed_space.ts";
import { RangeLock } from "./range_lock.ts";
import { readImage } from "./reader.ts";
import { Refcounts } from "./refcounts.ts";
import type { CachedTable } from "./table_cache.ts";

/** A range that one L2 table speaks of. */
interface TablePiece {
  readonly tableIndex: number;
  readonly offset: number;
  readonly length: number;
}

function isOwned(entry: ClusterEntry): boolean {
  return entry.host !== 0 && entry.isCopied && entry.kind !== "compressed";
}

/** Clusters of one kind, all in one table. */
interface ClusterRun {
  readonly first: number;
  readonly count: number;
  readonly entry: ClusterEntry;
}

/** Changes one image. */
export class Qcow2Writer {
  /** The image. */
  readonly image: Qcow2Image;
  /** Its counts. */
  readonly refcounts: Refcounts;
  /** Where clusters come from. */
  readonly allocator: Allocator;
  /** Where compressed clusters go. */
  readonly packed: PackedSpace;
  /** How changes get into the file. */
  readonly committer: Committer;
  /** What comes before the first change. */
  readonly beginning: Beginning = new Beginning();
  readonly #tableTurn = new RangeLock();
  readonly #changedMax: number;

  private constructor(image: Qcow2Image, refcounts: Refcounts, allocator: Allocator) {
    this.image = image;
    this.refcounts = refcounts;
    this.allocator = allocator;
    this.packed = new PackedSpace(image, refcounts, allocator);
    this.committer = new Committer(image, refcounts, allocator);
    this.#changedMax = tablesKept(image.geometry.clusterSize) / 2;
  }

  /** Prepares an image for changes; changes nothing yet. */
  static async open(image: Qcow2Image): Promise<Qcow2Writer> {
    const refcounts = await Refcounts.load(image);
    return new Qcow2Writer(image, refcounts, await Allocator.start(image, refcounts));
  }

  /** Writes all of `bytes` at `offset`. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    await this.begin();
    for (const piece of this.#pieces(offset, bytes.byteLength)) {
      const from = piece.offset - offset;
      await this.withTable(piece.tableIndex, async (table) => {
        await this.#writePiece(table, piece.offset, bytes.subarray(from, from + piece.length));
      });
    }
    await this.relieve();
  }

  /** Takes clusters and fills them with nothing, for later writes. Only without backing. */
  async preallocate(offset: number, length: number): Promise<void> {
    const { clusterSize, l2Entries } = this.image.geometry;
    for (const piece of this.#pieces(offset, length)) {
      await this.withTable(piece.tableIndex, async (table) => {
        let index = Math.floor(piece.offset / clusterSize) % l2Entries;
        let left = Math.ceil(piece.length / clusterSize);
        while (left > 0) {
          const { host, count } = await this.allocator.allocate(left);
          this.#point(table, index, host, count);
          [index, left] = [index + count, left - count];
        }
      });
      await this.relieve();
    }
  }

  /** Clears promises about the image that are about to become untrue. Before the first change. */
  async begin(): Promise<void> {
    await this.beginning.settled(this);
  }

  /** Hands the L2 table `index` to `use`, made or copied if need be. */
  async withTable(index: number, use: (table: CachedTable) => Promise<void>): Promise<void> {
    const table = await this.#tableForWrite(index);
    try {
      await use(table);
    } finally {
      this.image.l2.release(table);
    }
  }

  /** Writes changed tables when there are many. */
  async relieve(): Promise<void> {
    const changed = this.image.l2.changedCount + this.refcounts.blocks.changedCount;
    if (changed > this.#changedMax) await this.committer.commit();
  }

  /** Makes entry `index` point to nothing, or to a host that it keeps, and lets go of the rest. */
  replace(table: CachedTable, index: number, host: number, isZero: boolean): void {
    const old = this.image.entryAt(table, index);
    writeEntry(table.view, index, host, isZero);
    this.image.l2.markChanged(table, index * 8, index * 8 + 8);
    if (old.host === 0 || old.host === host) return;
    const bytes = old.kind === "compressed" ? old.compressedBytes : this.image.geometry.clusterSize;
    this.allocator.releaseLater(old.host, bytes);
  }

  *#pieces(offset: number, length: number): Generator<TablePiece> {
    const { tableSpan } = this.image.geometry;
    for (let at = offset; at < offset + length;) {
      const tableIndex = Math.floor(at / tableSpan);
      const end = Math.min(offset + length, (tableIndex + 1) * tableSpan);
      yield { tableIndex, offset: at, length: end - at };
      at = end;
    }
  }

  async #tableForWrite(index: number): Promise<CachedTable> {
    const place = this.image.l2Place(index);
    if (place.host !== 0 && place.isCopied) return await this.image.l2.acquire(index, place.host);
    const turn = { first: index, last: index, isExclusive: true };
    return await this.#tableTurn.run(turn, () => this.#ownTable(index));
  }

  /** Makes a table, or copies one that a snapshot has, too. One at a time for each index. */
  async #ownTable(index: number): Promise<CachedTable> {
    const { clusterSize } = this.image.geometry;
    const old = await this.image.acquireL2(index);
    if (old !== undefined && this.image.l2Place(index).isCopied) return old;
    let host: number;
    try {
      host = (await this.allocator.allocate(1)).host;
    } catch (error) {
      if (old !== undefined) this.image.l2.release(old);
      throw error;
    }
    const table = old ?? this.image.l2.insert(index, host);
    if (old !== undefined) {
      this.allocator.metadata.removeL2(old.host);
      this.allocator.releaseLater(old.host, clusterSize);
      old.host = host;
      this.image.l2.markChanged(old, 0, clusterSize);
    }
    this.allocator.metadata.addL2(host);
    writeEntry(this.image.l1View, index, host);
    this.committer.markL1(index);
    return table;
  }

  /** Clusters from the one at `offset` on that are written in the same way. */
  #runAt(table: CachedTable, offset: number, length: number): ClusterRun {
    const { clusterSize, l2Entries } = this.image.geometry;
    const first = Math.floor(offset / clusterSize) % l2Entries;
    const most = Math.ceil((offset % clusterSize + length) / clusterSize);
    const entry = this.image.entryAt(table, first);
    let count = 1;
    for (; count < most; count++) {
      const next = this.image.entryAt(table, first + count);
      const isSame = isOwned(entry)
        ? isOwned(next) && next.kind === entry.kind &&
          next.host === entry.host + count * clusterSize
        : !isOwned(next);
      if (!isSame) break;
    }
    return { first, count, entry };
  }

  async #writePiece(table: CachedTable, offset: number, bytes: Uint8Array): Promise<void> {
    const { clusterSize } = this.image.geometry;
    for (let done = 0; done < bytes.byteLength;) {
      const at = offset + done;
      const run = this.#runAt(table, at, bytes.byteLength - done);
      const room = run.count * clusterSize - at % clusterSize;
      const part = bytes.subarray(done, done + room);
      if (isOwned(run.entry)) {
        await this.#writeOwned(table, run, at, part);
        done += part.byteLength;
      } else {
        done += await this.#writeNew(table, run, at, part);
      }
    }
  }

  /** Writes clusters that have a place of their own already. */
  async #writeOwned(table: CachedTable, run: ClusterRun, at: number, bytes: Uint8Array) {
    const { clusterSize } = this.image.geometry;
    const { host, kind } = run.entry;
    await this.#checkPlace(host, run.count);
    if (kind === "standard") {
      await this.image.writeFile("write_aio", host + at % clusterSize, bytes);
      return;
    }
    await this.#fill(at, bytes, { host, count: run.count, isFresh: false });
    this.#point(table, run.first, host, run.count);
  }

  /** Takes new clusters and writes as much as they hold; returns how much that was. */
  async #writeNew(table: CachedTable, run: ClusterRun, at: number, bytes: Uint8Array) {
    const { clusterSize } = this.image.geometry;
    const taken = await this.allocator.allocate(run.count);
    const part = bytes.subarray(0, taken.count * clusterSize - at % clusterSize);
    try {
      await this.#fill(at, part, taken);
    } catch (error) {
      await this.allocator.undo(taken.host, taken.count);
      throw error;
    }
    this.#point(table, run.first, taken.host, taken.count);
    return part.byteLength;
  }

  /** A place in an entry is written to only if it is no table, and if it is in use. */
  async #checkPlace(host: number, count: number): Promise<void> {
    const { clusterSize } = this.image.geometry;
    this.allocator.metadata.checkFree(host / clusterSize, count);
    const end = host + count * clusterSize;
    if (end <= this.image.file.size) return;
    for (let cluster = host / clusterSize; cluster < end / clusterSize; cluster++) {
      if (await this.refcounts.countOf(cluster) > 0) continue;
      const what = `a cluster lies at ${cluster * clusterSize}, behind the end of the file`;
      throw corrupt(this.image.name, "write", what);
    }
    await this.allocator.run(async () => {
      if (end > this.image.file.size) await this.image.file.truncate(end);
    });
  }

  /** Writes `bytes` into whole clusters; what they do not cover is taken from the old contents. */
  async #fill(
    at: number,
    bytes: Uint8Array,
    place: { readonly host: number; readonly count: number; readonly isFresh: boolean },
  ): Promise<void> {
    const { clusterSize } = this.image.geometry;
    const before = at % clusterSize;
    const end = before + bytes.byteLength;
    const whole = place.count * clusterSize;
    const isBare = place.isFresh && await this.#readsZero(at - before, whole, before, end);
    if (isBare || (before === 0 && end === whole)) {
      await this.image.writeFile("write_aio", place.host + before, bytes);
      return;
    }
    const filled = new Uint8Array(whole);
    this.image.file.debugEvent?.("cow_read");
    await readImage(this.image, at - before, filled.subarray(0, before));
    await readImage(this.image, at - before + end, filled.subarray(end));
    filled.set(bytes, before);
    await this.image.writeFile("cow_write", place.host, filled);
  }

  /** True if what surrounds the new bytes is surely zero: nothing here and nothing below. */
  async #readsZero(start: number, whole: number, before: number, end: number): Promise<boolean> {
    const { clusterSize, tableSpan, l2Entries } = this.image.geometry;
    if ((this.image.backing?.size ?? 0) > start) return false;
    const table = this.image.l2.peek(Math.floor(start / tableSpan));
    if (table === undefined) return await Promise.resolve(false);
    const isClear = (offset: number) => {
      const index = Math.floor(offset / clusterSize) % l2Entries;
      const { kind } = this.image.entryAt(table, index);
      return kind === "unallocated" || kind === "zero";
    };
    return (before === 0 || isClear(start)) && (end === whole || isClear(start + whole - 1));
  }

  #point(table: CachedTable, first: number, host: number, count: number): void {
    for (let index = 0; index < count; index++) {
      this.replace(table, first + index, host + index * this.image.geometry.clusterSize, false);
    }
  }
}
