/**
 * A set of clusters, kept as bits: which parts of an image are still to be copied.
 *
 * The last cluster may be cut by the end of the image; counts of work are always in whole
 * clusters, lengths of ranges never go past the end.
 */

/** A run of clusters, in bytes. */
export interface DirtyArea {
  /** Where it starts: a multiple of the cluster. */
  readonly offset: number;
  /** How long it is; ends on a cluster or at the end of the image. */
  readonly length: number;
}

/** Which clusters of an image are marked. One bit for each. */
export class DirtyMap {
  readonly #size: number;
  readonly #cluster: number;
  readonly #clusterCount: number;
  readonly #words: Uint32Array;
  #markedCount = 0;

  /**
   * An empty set.
   *
   * @param size length of the image in bytes, 0 or more
   * @param cluster bytes of one cluster, 1 or more
   */
  constructor(size: number, cluster: number) {
    this.#size = size;
    this.#cluster = cluster;
    this.#clusterCount = Math.ceil(size / cluster);
    this.#words = new Uint32Array(Math.ceil(this.#clusterCount / 32));
  }

  /** Bytes that are marked, in whole clusters. */
  get markedBytes(): number {
    return this.#markedCount * this.#cluster;
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
    for (const area of other.areas()) this.mark(area.offset, area.length);
  }

  /** Unmarks everything. */
  clearAll(): void {
    this.#words.fill(0);
    this.#markedCount = 0;
  }

  /** The first marked run from the cluster of `from` on, `lengthMax` bytes at most. */
  next(from: number, lengthMax: number): DirtyArea | undefined {
    let first = Math.floor(from / this.#cluster);
    while (first < this.#clusterCount && !this.#has(first)) {
      // Whole words of zeros are stepped over at once.
      first = this.#words[first >>> 5] === 0 ? ((first >>> 5) + 1) << 5 : first + 1;
    }
    if (first >= this.#clusterCount) return undefined;
    const last = Math.min(this.#clusterCount, first + Math.ceil(lengthMax / this.#cluster));
    let after = first + 1;
    while (after < last && this.#has(after)) after++;
    const offset = first * this.#cluster;
    return { offset, length: Math.min(after * this.#cluster, this.#size) - offset };
  }

  /** All marked runs in order. */
  *areas(): Generator<DirtyArea> {
    let from = 0;
    for (;;) {
      const area = this.next(from, this.#size);
      if (area === undefined) return;
      yield area;
      from = area.offset + area.length;
      if (from >= this.#size) return;
    }
  }

  #has(index: number): boolean {
    return ((this.#words[index >>> 5] ?? 0) >>> (index & 31) & 1) === 1;
  }

  #change(offset: number, length: number, isMarked: boolean): void {
    if (length <= 0) return;
    const first = Math.floor(offset / this.#cluster);
    const after = Math.min(this.#clusterCount, Math.ceil((offset + length) / this.#cluster));
    for (let index = first; index < after; index++) {
      if (this.#has(index) === isMarked) continue;
      const word = index >>> 5;
      const bit = 1 << (index & 31);
      this.#words[word] = isMarked ? this.#words[word]! | bit : this.#words[word]! & ~bit;
      this.#markedCount += isMarked ? 1 : -1;
    }
  }
}
