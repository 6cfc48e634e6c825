/**
 * Finds free clusters in the file and takes them; gives them back later.
 *
 * - A cluster is free if its count is 0. Free ones are looked for from the lowest that may be free.
 * - A refcount block that is missing is put into the first free cluster that it speaks of.
 * - A cluster that is given back is handed out again only when the tables in the file no longer
 *   point to it: the commit says when.
 * - The file grows in large steps; what is too much is cut off when the image is closed.
 *
 * May be used by the files of this folder that write.
 */

import type { Qcow2Image } from "./image.ts";
import { MetadataMap } from "./metadata_map.ts";
import { RangeLock } from "./range_lock.ts";
import type { Refcounts } from "./refcounts.ts";
import type { CachedTable } from "./table_cache.ts";
import { roundUp } from "./words.ts";

/** Clusters that lie together. */
export interface Allocation {
  /** Where the first starts in the file. */
  readonly host: number;
  /** How many there are. */
  readonly count: number;
  /** True if they were never written, so that they are zeros. */
  readonly isFresh: boolean;
}

/** Clusters whose count goes down by one. */
export interface Release {
  /** Number of the first cluster. */
  readonly first: number;
  /** How many. */
  readonly count: number;
}

/** Least and most bytes by which the file grows at once. */
const GROWTH_BYTES = [1_048_576, 67_108_864] as const;

/** Hands out clusters of one image. */
export class Allocator {
  /** Where tables lie. */
  readonly metadata: MetadataMap;
  readonly #image: Qcow2Image;
  readonly #refcounts: Refcounts;
  readonly #turn = new RangeLock();
  readonly #clusterSize: number;
  #releases: Release[] = [];
  /** No cluster below this one is free. */
  #hint = 0;
  /** Number of the first cluster behind all that were ever handed out or in the file. */
  #freshFrom: number;
  #usedEnd = 0;
  readonly #sizeAtStart: number;

  private constructor(image: Qcow2Image, refcounts: Refcounts) {
    this.#image = image;
    this.#refcounts = refcounts;
    this.#clusterSize = image.geometry.clusterSize;
    this.metadata = new MetadataMap(image, refcounts);
    this.#sizeAtStart = image.file.size;
    this.#freshFrom = Math.ceil(image.file.size / this.#clusterSize);
  }

  /** Prepares an image for allocation. */
  static async start(image: Qcow2Image, refcounts: Refcounts): Promise<Allocator> {
    const allocator = new Allocator(image, refcounts);
    allocator.#usedEnd = await allocator.#findUsedEnd();
    return allocator;
  }

  /** Runs `work` while nobody allocates. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    return await this.#turn.runAlone(work);
  }

  /** Takes 1 to `countMax` clusters that lie together. */
  async allocate(countMax: number): Promise<Allocation> {
    this.#image.file.debugEvent?.("cluster_alloc");
    return await this.run(() => this.#allocate(countMax));
  }

  /** Takes exactly `count` clusters that lie together, at the end of what is used. */
  async allocateTogether(count: number): Promise<number> {
    return await this.run(async () => {
      const host = await this.#appendTogether(count);
      await this.placeTable();
      return host;
    });
  }

  /** Finds a place for a refcount table that has grown. To be called from within `run`. */
  async placeTable(): Promise<void> {
    for (;;) {
      const bytes = this.#refcounts.tableBytesToPlace;
      if (bytes === 0) return;
      const [oldOffset, oldBytes] = this.#refcounts.tablePlace;
      const offset = await this.#appendTogether(bytes / this.#clusterSize);
      if (this.#refcounts.tableBytesToPlace === bytes) {
        this.#refcounts.moveTable(offset);
        this.releaseLater(oldOffset, oldBytes);
      } else {
        // Its own clusters made it grow again.
        this.releaseLater(offset, bytes);
      }
    }
  }

  /** Gives back at once what no table has ever pointed to. */
  async undo(host: number, count: number): Promise<void> {
    await this.applyReleases([{ first: host / this.#clusterSize, count }]);
  }

  /** Notes that a table entry to these bytes was removed. */
  releaseLater(host: number, bytes: number): void {
    const first = Math.floor(host / this.#clusterSize);
    const end = Math.ceil((host + bytes) / this.#clusterSize);
    const last = this.#releases.at(-1);
    if (last !== undefined && last.first + last.count === first) {
      this.#releases[this.#releases.length - 1] = { first: last.first, count: end - last.first };
    } else {
      this.#releases.push({ first, count: end - first });
    }
  }

  /** Hands out what was noted. */
  takeReleases(): readonly Release[] {
    const taken = this.#releases;
    this.#releases = [];
    return taken;
  }

  /** Takes back what could not be applied. */
  keepReleases(releases: readonly Release[]): void {
    this.#releases = [...releases, ...this.#releases];
  }

  /** How many releases wait. */
  get releaseCount(): number {
    return this.#releases.length;
  }

  /** Lowers the counts, now that the tables in the file no longer point there. */
  async applyReleases(releases: readonly Release[]): Promise<void> {
    this.#image.file.debugEvent?.("cluster_free");
    await this.run(async () => {
      for (const { first, count } of releases) {
        for (let cluster = first; cluster < first + count; cluster++) await this.#lower(cluster);
      }
    });
  }

  /** Keeps what is allocated from now on away from everything up to this cluster. */
  avoid(cluster: number): void {
    this.#usedEnd = Math.max(this.#usedEnd, cluster + 1);
    this.#hint = Math.max(this.#hint, cluster + 1);
  }

  /** Sets a count as a repair knows it, with a new block for it if need be. */
  async setCount(cluster: number, count: number): Promise<void> {
    await this.run(async () => {
      const index = Math.floor(cluster / this.#refcounts.perBlock);
      if (this.#refcounts.blockHost(index) === 0) {
        this.#refcounts.growTable(index);
        const host = await this.#appendTogether(1);
        // Appending makes the blocks that it needs itself; this may be one of them.
        if (this.#refcounts.blockHost(index) === 0) {
          this.#refcounts.blocks.release(this.#refcounts.insertBlock(index, host));
        } else {
          this.releaseLater(host, this.#clusterSize);
        }
        await this.placeTable();
      }
      await this.#withBlock(cluster, (block, slot) => this.#refcounts.setIn(block, slot, count));
    });
  }

  /** Where the file may end. */
  get fileEnd(): number {
    return Math.max(this.#sizeAtStart, this.#usedEnd * this.#clusterSize);
  }

  async #lower(cluster: number): Promise<void> {
    await this.#withBlock(cluster, (block, slot) => {
      const count = this.#refcounts.countIn(block, slot);
      if (count === 0) return;
      this.#refcounts.setIn(block, slot, count - 1);
      if (count === 1) this.#hint = Math.min(this.#hint, cluster);
    });
  }

  async #withBlock(cluster: number, use: (block: CachedTable, slot: number) => void) {
    const { perBlock, blocks } = this.#refcounts;
    const block = await this.#refcounts.acquire(Math.floor(cluster / perBlock));
    if (block === undefined) return;
    use(block, cluster % perBlock);
    blocks.release(block);
  }

  async #allocate(countMax: number): Promise<Allocation> {
    const { perBlock, blocks } = this.#refcounts;
    for (;;) {
      const index = Math.floor(this.#hint / perBlock);
      const block = await this.#refcounts.acquire(index);
      if (block === undefined) {
        await this.#addBlock(index, this.#hint);
        continue;
      }
      try {
        const [slot, count] = this.#findFree(block, this.#hint % perBlock, countMax);
        this.#hint = index * perBlock + slot;
        if (count === 0) continue;
        await this.#reserve(this.#hint, count);
        for (let at = slot; at < slot + count; at++) this.#refcounts.setIn(block, at, 1);
        return this.#handOut(this.#hint, count);
      } finally {
        blocks.release(block);
      }
    }
  }

  #findFree(block: CachedTable, from: number, countMax: number): readonly [number, number] {
    const { perBlock } = this.#refcounts;
    let slot = from;
    while (slot < perBlock && this.#refcounts.countIn(block, slot) !== 0) slot++;
    let count = 0;
    const most = Math.min(countMax, perBlock - slot);
    while (count < most && this.#refcounts.countIn(block, slot + count) === 0) count++;
    return [slot, count];
  }

  #handOut(first: number, count: number): Allocation {
    const isFresh = first >= this.#freshFrom;
    this.#hint = first === this.#hint ? first + count : this.#hint;
    this.#freshFrom = Math.max(this.#freshFrom, first + count);
    this.#usedEnd = Math.max(this.#usedEnd, first + count);
    return { host: first * this.#clusterSize, count, isFresh };
  }

  /** Makes sure that these clusters may be used and lie in the file. */
  async #reserve(first: number, count: number): Promise<void> {
    this.metadata.checkFree(first, count);
    const end = (first + count) * this.#clusterSize;
    const { file } = this.#image;
    if (end <= file.size) return;
    const [least, most] = GROWTH_BYTES;
    const more = Math.max(least, Math.min(most, file.size / 8));
    await file.truncate(roundUp(end + more, this.#clusterSize));
  }

  async #addBlock(index: number, cluster: number): Promise<void> {
    this.#refcounts.growTable(index);
    await this.#reserve(cluster, 1);
    const block = this.#refcounts.insertBlock(index, cluster * this.#clusterSize);
    this.#refcounts.setIn(block, cluster % this.#refcounts.perBlock, 1);
    this.#refcounts.blocks.release(block);
    this.#handOut(cluster, 1);
    await this.placeTable();
  }

  /** Takes clusters behind all used ones; missing refcount blocks come first, then the clusters. */
  async #appendTogether(count: number): Promise<number> {
    const { perBlock, blocks } = this.#refcounts;
    const first = this.#usedEnd;
    const missing: number[] = [];
    for (
      let index = Math.floor(first / perBlock);
      index * perBlock < first + count + missing.length;
    ) {
      if (this.#refcounts.blockHost(index) === 0) missing.push(index);
      index++;
    }
    const total = count + missing.length;
    this.#refcounts.growTable(Math.floor((first + total - 1) / perBlock));
    await this.#reserve(first, total);
    for (const [place, index] of missing.entries()) {
      blocks.release(this.#refcounts.insertBlock(index, (first + place) * this.#clusterSize));
    }
    for (let cluster = first; cluster < first + total; cluster++) {
      await this.#withBlock(cluster, (block, slot) => this.#refcounts.setIn(block, slot, 1));
    }
    this.#handOut(first, total);
    return (first + missing.length) * this.#clusterSize;
  }

  async #findUsedEnd(): Promise<number> {
    const { perBlock, blocks, tableLength } = this.#refcounts;
    for (let index = tableLength - 1; index >= 0; index--) {
      const block = await this.#refcounts.acquire(index);
      if (block === undefined) continue;
      let slot = perBlock - 1;
      while (slot >= 0 && this.#refcounts.countIn(block, slot) === 0) slot--;
      blocks.release(block);
      if (slot >= 0) return index * perBlock + slot + 1;
    }
    return 0;
  }
}
