/**
 * Writes changed tables in an order that a killed process and a power cut survive.
 *
 * ```text
 * data (written before) -> refcount blocks -> refcount table -> header: its new place
 *   -> flush -> L2 tables -> flush -> L1 table -> flush -> counts that go down
 * ```
 *
 * - What points to something is written after it, and what is pointed to is let go of after that.
 *   So the file never points to a cluster that is not counted; at worst one is counted in vain.
 * - Everything is copied at one moment, so that changes made meanwhile wait for the next commit.
 * - What could not be written stays a change.
 *
 * May be used by `writer.ts`. Source: QEMU 7.2 block/qcow2-cache.c, dependencies between caches.
 */

import type { Allocator, Release } from "./allocator.ts";
import type { Qcow2Image } from "./image.ts";
import { FIELD } from "./layout.ts";
import { RangeLock } from "./range_lock.ts";
import type { Refcounts, RefcountTableChange } from "./refcounts.ts";
import type { TableCache, TableChange } from "./table_cache.ts";
import { viewOf, writeU64 } from "./words.ts";

/** All changes as they were at one moment. */
interface Snapshot {
  readonly blocks: readonly TableChange[];
  readonly table: RefcountTableChange | undefined;
  readonly l2: readonly TableChange[];
  readonly l1: { readonly from: number; readonly bytes: Uint8Array } | undefined;
  readonly releases: readonly Release[];
}

/** Writes the changes of one image. */
export class Committer {
  readonly #image: Qcow2Image;
  readonly #refcounts: Refcounts;
  readonly #allocator: Allocator;
  readonly #turn = new RangeLock();
  #l1From = 0;
  #l1To = 0;

  /** @param parts what belongs to the image */
  constructor(image: Qcow2Image, refcounts: Refcounts, allocator: Allocator) {
    this.#image = image;
    this.#refcounts = refcounts;
    this.#allocator = allocator;
  }

  /** True if there is something to write. */
  get hasChanges(): boolean {
    return this.#image.l2.changedCount + this.#refcounts.blocks.changedCount > 0 ||
      this.#l1To > 0 || this.#allocator.releaseCount > 0;
  }

  /** Notes that entry `index` of the L1 table was changed. */
  markL1(index: number): void {
    this.#l1From = this.#l1To === 0 ? index * 8 : Math.min(this.#l1From, index * 8);
    this.#l1To = Math.max(this.#l1To, index * 8 + 8);
  }

  /** Writes all changes, and flushes everything that was written before the call. */
  async commit(): Promise<void> {
    await this.#turn.runAlone(async () => {
      const snapshot = await this.#allocator.run(async () => {
        await this.#allocator.placeTable();
        return this.#take();
      });
      await this.#writeRefcounts(snapshot).catch((error) => this.#undo(snapshot, error));
      await this.#writeMapping(snapshot);
      if (snapshot.releases.length > 0) await this.#allocator.applyReleases(snapshot.releases);
    });
  }

  /** Commits until nothing is left, counts that went down included. */
  async commitAll(): Promise<void> {
    await this.commit();
    while (this.hasChanges) await this.commit();
  }

  /** Runs `work` while nothing is committed, so that it has the header for itself. */
  async alone(work: () => Promise<void>): Promise<void> {
    await this.#turn.runAlone(work);
  }

  /** Overwrites a piece of the header. */
  async writeHeader(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#image.file.write(offset, bytes);
    await this.#image.flushFile();
  }

  /** Takes back what the header says of the image and a change makes untrue, but for `left`. */
  async clearPromises(left = 0n): Promise<void> {
    const bytes = new Uint8Array(8);
    viewOf(bytes).setBigUint64(0, left);
    await this.writeHeader(FIELD.autoclear, bytes);
    this.#image.header = { ...this.#image.header, autoclear: left };
  }

  #take(): Snapshot {
    const [from, to] = [this.#l1From, this.#l1To];
    this.#l1To = 0;
    return {
      blocks: this.#refcounts.blocks.takeChanges(),
      table: this.#refcounts.takeTableChange(),
      l2: this.#image.l2.takeChanges(),
      l1: to === 0 ? undefined : { from, bytes: this.#image.l1.slice(from, to) },
      releases: this.#allocator.takeReleases(),
    };
  }

  async #writeRefcounts({ blocks, table }: Snapshot): Promise<void> {
    let isTableWritten = table === undefined;
    try {
      await this.#writeTables(this.#refcounts.blocks, blocks);
      if (table !== undefined) {
        await this.#image.flushFile();
        await this.#writeRefcountTable(table);
        isTableWritten = true;
      }
      await this.#image.flushFile();
    } catch (error) {
      if (table !== undefined && !isTableWritten) this.#refcounts.keepTableChange(table);
      throw error;
    }
  }

  async #writeRefcountTable({ offset, bytes, isMoved }: RefcountTableChange): Promise<void> {
    const { geometry } = this.#image;
    await this.#image.writeFile("reftable_update", offset, bytes);
    if (!isMoved) return;
    await this.#image.flushFile();
    const place = new Uint8Array(12);
    const refcountTableClusters = bytes.byteLength / geometry.clusterSize;
    writeU64(viewOf(place), 0, offset);
    viewOf(place).setUint32(8, refcountTableClusters);
    await this.#image.writeFile("reftable_update", FIELD.refcountTableOffset, place);
    const refcountTableOffset = offset;
    this.#image.header = { ...this.#image.header, refcountTableOffset, refcountTableClusters };
  }

  /** Keeps what comes after refcounts that could not be written. */
  #undo({ l2, l1, releases }: Snapshot, error: unknown): never {
    for (const change of l2) this.#image.l2.settle(change, false);
    this.#keepL1(l1);
    this.#allocator.keepReleases(releases);
    throw error;
  }

  async #writeMapping({ l2, l1, releases }: Snapshot): Promise<void> {
    let isL1Written = l1 === undefined;
    try {
      await this.#writeTables(this.#image.l2, l2);
      if (l1 !== undefined) {
        await this.#image.flushFile();
        const place = this.#image.header.l1Offset + l1.from;
        await this.#image.writeFile("l1_update", place, l1.bytes);
        isL1Written = true;
      }
      if (l2.length > 0 || l1 !== undefined) await this.#image.flushFile();
    } catch (error) {
      if (!isL1Written) this.#keepL1(l1);
      this.#allocator.keepReleases(releases);
      throw error;
    }
  }

  #keepL1(l1: Snapshot["l1"]): void {
    if (l1 === undefined) return;
    this.markL1(l1.from / 8);
    this.markL1((l1.from + l1.bytes.byteLength) / 8 - 1);
  }

  /** Writes tables one after the other; after a failure the rest stays changed. */
  async #writeTables(cache: TableCache, changes: readonly TableChange[]): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    for (const change of changes) {
      if (failure === undefined) {
        try {
          const event = cache === this.#image.l2 ? "l2_update" : "refblock_update";
          await this.#image.writeFile(event, change.offset, change.bytes);
        } catch (error) {
          failure = { error };
        }
      }
      cache.settle(change, failure === undefined);
    }
    if (failure !== undefined) throw failure.error;
  }
}
