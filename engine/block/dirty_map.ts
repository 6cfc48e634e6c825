/**
 * A set of clusters of an image: what is still to be copied, or what was written.
 *
 * The last cluster may be cut by the end of the image; counts of work are always in whole
 * clusters, lengths of ranges never go past the end.
 *
 * May be used by this room and by drivers. `dirty_bitmap.ts` gives such a set a name and a life.
 */

import { BitSet } from "./bit_set.ts";

/** A run of clusters, in bytes. */
export interface DirtyArea {
  /** Where it starts: a multiple of the cluster. */
  readonly offset: number;
  /** How long it is; ends on a cluster or at the end of the image. */
  readonly length: number;
}

/** Which clusters of an image are marked. One bit for each. */
export class DirtyMap {
  #size: number;
  readonly #cluster: number;
  readonly #clusters: BitSet;

  /**
   * An empty set.
   *
   * @param size length of the image in bytes, 0 or more
   * @param cluster bytes of one cluster, 1 or more
   */
  constructor(size: number, cluster: number) {
    this.#size = size;
    this.#cluster = cluster;
    this.#clusters = new BitSet(Math.ceil(size / cluster));
  }

  /** Length of the image in bytes. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of one cluster. */
  get cluster(): number {
    return this.#cluster;
  }

  /** The clusters as a set of their numbers. */
  get clusters(): BitSet {
    return this.#clusters;
  }

  /** Bytes that are marked, in whole clusters. */
  get markedBytes(): number {
    return this.#clusters.count * this.#cluster;
  }

  /** True if the cluster of the byte at `offset` is marked. */
  isMarked(offset: number): boolean {
    return this.#clusters.has(Math.floor(offset / this.#cluster));
  }

  /** Marks every cluster that the range touches. */
  mark(offset: number, length: number): void {
    this.#change(offset, length, true);
  }

  /** Unmarks every cluster that the range touches. */
  clear(offset: number, length: number): void {
    this.#change(offset, length, false);
  }

  /** Marks all that is marked in `other`, which must be of the same image. */
  markAll(other: DirtyMap): void {
    if (other.#cluster === this.#cluster && other.#size === this.#size) {
      this.#clusters.addAll(other.#clusters);
      return;
    }
    for (const area of other.areas()) this.mark(area.offset, area.length);
  }

  /** Unmarks everything. */
  clearAll(): void {
    this.#clusters.clear();
  }

  /** The first marked run from the cluster of `from` on, `lengthMax` bytes at most. */
  next(from: number, lengthMax: number): DirtyArea | undefined {
    const count = this.#clusters.length;
    const first = this.#clusters.nextIn(Math.floor(from / this.#cluster));
    if (first >= count) return undefined;
    const last = Math.min(count, first + Math.max(1, Math.ceil(lengthMax / this.#cluster)));
    const after = Math.min(last, this.#clusters.nextOut(first));
    const offset = first * this.#cluster;
    return { offset, length: Math.min(after * this.#cluster, this.#size) - offset };
  }

  /** Start of the first cluster that is not marked, from that of `from` on; at most the size. */
  nextUnmarked(from: number): number {
    const first = this.#clusters.nextOut(Math.floor(from / this.#cluster));
    return Math.min(first * this.#cluster, this.#size);
  }

  /** All marked runs in order. Marks may change meanwhile: what lies behind is not seen again. */
  *areas(): Generator<DirtyArea> {
    let from = 0;
    for (;;) {
      const area = this.next(from, Math.max(1, this.#size));
      if (area === undefined) return;
      yield area;
      from = area.offset + area.length;
      if (from >= this.#size) return;
    }
  }

  /** Follows a change of the image's size. What is new is not marked. */
  resize(size: number): void {
    this.#clusters.resize(Math.ceil(size / this.#cluster));
    this.#size = size;
  }

  #change(offset: number, length: number, isMarked: boolean): void {
    if (length <= 0) return;
    const first = Math.floor(offset / this.#cluster);
    this.#clusters.change(first, Math.ceil((offset + length) / this.#cluster), isMarked);
  }
}
