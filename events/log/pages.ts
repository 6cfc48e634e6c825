/**
 * Iteration over pages: one page is read when the last one is used up, and no earlier.
 *
 * Cheaper than an async generator: an item of a page costs one resolved promise.
 *
 * @internal
 */
export class Pages<Item> implements AsyncIterableIterator<Item> {
  readonly #read: () => Promise<readonly Item[]>;
  #page: readonly Item[] = [];
  #next = 0;
  #ended = false;
  #last: Promise<unknown> | undefined;

  /** @param read gives the next page; an empty one ends the iteration */
  constructor(read: () => Promise<readonly Item[]>) {
    this.#read = read;
  }

  /** The next item. Concurrent calls are answered in order. */
  next(): Promise<IteratorResult<Item, undefined>> {
    if (this.#last === undefined && this.#next < this.#page.length) {
      return Promise.resolve({ done: false, value: this.#page[this.#next++]! });
    }
    const turn = this.#turn(this.#last);
    const settled: Promise<unknown> = turn.catch(() => {}).then(() => {
      if (this.#last === settled) this.#last = undefined;
    });
    this.#last = settled;
    return turn;
  }

  /** Ends the iteration early. */
  return(): Promise<IteratorResult<Item, undefined>> {
    this.#ended = true;
    this.#page = [];
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #turn(before: Promise<unknown> | undefined): Promise<IteratorResult<Item, undefined>> {
    await before;
    if (this.#next >= this.#page.length && !this.#ended) {
      this.#next = 0;
      this.#page = [];
      const page = await this.#read();
      if (page.length === 0) this.#ended = true;
      else if (!this.#ended) this.#page = page;
    }
    const item = this.#page[this.#next++];
    if (item !== undefined) return { done: false, value: item };
    this.#ended = true;
    return { done: true, value: undefined };
  }
}
