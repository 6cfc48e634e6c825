/**
 * Room for compressed clusters: several of them share clusters of the file.
 *
 * ```text
 * cluster of the file   |AAAAAAABBBBBBBBBBCCC|CCCCDDDD............|
 * its count              3                    2     ^ end
 * ```
 *
 * - One lies behind the other, to the byte. A count says how many of them reach into a cluster.
 * - It reaches into the next cluster of the file if that is free; else it starts in a new one.
 * - A cluster that has become free, or whose count is full, gets nothing more.
 *
 * Used by `compressed_writer.ts`. Source: QEMU 7.2 block/qcow2-refcount.c qcow2_alloc_bytes.
 */

import type { Allocator } from "./allocator.ts";
import { PackerLease } from "./compression/packers.ts";
import type { Qcow2Image } from "./image.ts";
import { RangeLock } from "./range_lock.ts";
import type { Refcounts } from "./refcounts.ts";

/** Hands out bytes of one image, and packs what goes there. */
export class PackedSpace {
  /** Packs the clusters of this image. */
  readonly packers: PackerLease;
  readonly #image: Qcow2Image;
  readonly #refcounts: Refcounts;
  readonly #allocator: Allocator;
  readonly #turn = new RangeLock();
  /** Where the next one may start; 0 = in a new cluster. */
  #end = 0;

  /** @param image with its counts and its allocator */
  constructor(image: Qcow2Image, refcounts: Refcounts, allocator: Allocator) {
    [this.#image, this.#refcounts, this.#allocator] = [image, refcounts, allocator];
    this.packers = new PackerLease(image.header.compressionType, image.geometry.clusterSize);
    refcounts.onFree = (cluster) => {
      if (cluster === this.#endCluster) this.#end = 0;
    };
  }

  /**
   * Takes room for packed clusters, one behind the other as far as possible.
   *
   * @param lengths bytes of each, fewer than a cluster
   * @returns where each of them starts; nothing is taken if this fails
   */
  async take(lengths: readonly number[]): Promise<readonly number[]> {
    return await this.#turn.runAlone(async () => {
      this.#image.file.debugEvent?.("cluster_alloc_bytes");
      const places: number[] = [];
      try {
        for (const length of lengths) places.push(await this.#takeOne(length));
      } catch (error) {
        await this.undo(places, lengths);
        throw error;
      }
      return places;
    });
  }

  /** Gives back at once what no table has ever pointed to. */
  async undo(places: readonly number[], lengths: readonly number[]): Promise<void> {
    const { clusterSize } = this.#image.geometry;
    const releases = places.map((place, index) => {
      const first = Math.floor(place / clusterSize);
      return { first, count: Math.ceil((place + (lengths[index] ?? 0)) / clusterSize) - first };
    });
    await this.#allocator.applyReleases(releases);
  }

  get #endCluster(): number {
    return this.#end === 0 ? -1 : Math.floor(this.#end / this.#image.geometry.clusterSize);
  }

  async #takeOne(length: number): Promise<number> {
    const begun = await this.#append(length);
    if (begun !== undefined) return begun;
    const { host } = await this.#allocator.allocate(1);
    const across = await this.#append(length, host);
    return across ?? this.#advance(host, length);
  }

  /** Puts bytes behind the last ones, if there is room; `next` was allocated for this. */
  async #append(length: number, next?: number): Promise<number | undefined> {
    const { clusterSize } = this.#image.geometry;
    const start = this.#end;
    if (start === 0) return undefined;
    const room = clusterSize - start % clusterSize;
    const reach = next === start + room ? room + clusterSize : room;
    if (length > reach || (next !== undefined && length <= room)) return undefined;
    if (!await this.#allocator.run(() => this.#raise(start))) return undefined;
    return this.#advance(start, length);
  }

  /** Counts one more in the cluster at `start`, if it still is what it was. */
  async #raise(start: number): Promise<boolean> {
    const cluster = this.#endCluster;
    const { perBlock, blocks, countMax } = this.#refcounts;
    const block = await this.#refcounts.acquire(Math.floor(cluster / perBlock));
    if (block === undefined) return false;
    try {
      const count = this.#refcounts.countIn(block, cluster % perBlock);
      if (this.#end !== start || count >= countMax) return false;
      this.#refcounts.setIn(block, cluster % perBlock, count + 1);
      return true;
    } finally {
      blocks.release(block);
    }
  }

  #advance(start: number, length: number): number {
    const end = start + length;
    this.#end = end % this.#image.geometry.clusterSize === 0 ? 0 : end;
    return start;
  }
}
