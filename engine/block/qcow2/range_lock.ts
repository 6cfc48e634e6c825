/** One access that waits or runs. */
interface Hold {
  readonly first: number;
  readonly last: number;
  readonly isExclusive: boolean;
  readonly done: Promise<unknown>;
}

/**
 * Lets accesses to the same clusters pass one after the other.
 *
 * Shared ones run side by side; an exclusive one runs alone. Each waits for all overlapping ones
 * that came before it and for none that came after, so nobody starves and nobody waits in a ring.
 */
export class RangeLock {
  readonly #holds = new Set<Hold>();

  /** Runs `work` while it holds clusters `first` to `last`, both inclusive. */
  async run<T>(
    range: { readonly first: number; readonly last: number; readonly isExclusive: boolean },
    work: () => Promise<T>,
  ): Promise<T> {
    const { first, last, isExclusive } = range;
    const before: Promise<unknown>[] = [];
    for (const hold of this.#holds) {
      const isApart = hold.last < first || hold.first > last;
      if (!isApart && (isExclusive || hold.isExclusive)) before.push(hold.done);
    }
    let finish = () => {};
    const done = new Promise<void>((resolve) => finish = resolve);
    const hold: Hold = { first, last, isExclusive, done };
    this.#holds.add(hold);
    try {
      if (before.length > 0) await Promise.all(before);
      return await work();
    } finally {
      this.#holds.delete(hold);
      finish();
    }
  }

  /** Runs `work` alone. */
  async runAlone<T>(work: () => Promise<T>): Promise<T> {
    return await this.run({ first: 0, last: Infinity, isExclusive: true }, work);
  }
}
