/** A range that somebody works on. */
export interface ListedRange {
  /** First byte. */
  readonly offset: number;
  /** Bytes, 1 or more. */
  readonly length: number;
}

interface Entry {
  readonly settled: Promise<void>;
  readonly settle: () => void;
}

/**
 * The ranges that are being worked on, so that others can keep off them or wait for them.
 *
 * Source: QEMU 7.2 block/reqlist.c.
 */
export class RangeList {
  readonly #entries = new Map<ListedRange, Entry>();
  #bytes = 0;

  /** Sum of the lengths of all ranges. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many ranges there are. */
  get count(): number {
    return this.#entries.size;
  }

  /** All of them, in the order in which they were added. */
  list(): readonly ListedRange[] {
    return [...this.#entries.keys()];
  }

  /** All ranges, in the order in which they were added. */
  ranges(): Iterable<ListedRange> {
    return this.#entries.keys();
  }

  /** Adds a range until it is removed. */
  add(range: ListedRange): void {
    let settle = () => {};
    const settled = new Promise<void>((resolve) => settle = resolve);
    this.#entries.set(range, { settled, settle });
    this.#bytes += range.length;
  }

  /** Removes a range and wakes those who wait for it. */
  remove(range: ListedRange): void {
    const entry = this.#entries.get(range);
    if (entry === undefined) throw new Error(`Expected a range in work at ${range.offset}`);
    this.#entries.delete(range);
    this.#bytes -= range.length;
    entry.settle();
  }

  /** The overlapping range that starts first. */
  firstOverlap(offset: number, length: number): ListedRange | undefined {
    let first: ListedRange | undefined;
    for (const range of this.#entries.keys()) {
      if (range.offset >= offset + length || range.offset + range.length <= offset) continue;
      if (first === undefined || range.offset < first.offset) first = range;
    }
    return first;
  }

  /** Waits for one overlapping range to be removed; false at once if there is none. */
  async waitOne(offset: number, length: number): Promise<boolean> {
    const range = this.firstOverlap(offset, length);
    const entry = range === undefined ? undefined : this.#entries.get(range);
    if (entry === undefined) return false;
    await entry.settled;
    return true;
  }

  /** Waits until no range overlaps. Another one may come before the caller goes on. */
  async waitFree(offset: number, length: number): Promise<void> {
    while (await this.waitOne(offset, length)) {
      // Another range may have come while this one was waited for.
    }
  }

  /** Waits until no range overlaps and adds this one, with nothing in between. */
  async enter(range: ListedRange): Promise<void> {
    for (;;) {
      const other = this.firstOverlap(range.offset, range.length);
      if (other === undefined) return this.add(range);
      await this.#entries.get(other)?.settled;
    }
  }

  /** Waits until there is none at all. */
  async waitEmpty(): Promise<void> {
    await this.waitFree(0, Infinity);
  }
}
