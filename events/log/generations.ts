/**
 * A bounded map that forgets what was not used lately, at the price of one look-up a hit.
 *
 * Two generations: entries are made in the young one and promoted on use; when the young one is
 * full it becomes the old one, and what is still in the old one by then is dropped unless `pinned`
 * says that it must stay.
 *
 * @internal
 */
export class Generations<Value> {
  #young = new Map<string, Value>();
  #old = new Map<string, Value>();
  readonly #half: number;
  #turnAt: number;
  readonly #pinned: (value: Value) => boolean;

  /**
   * @param limit entries kept at most, pinned ones not counted; 2 or more
   * @param pinned whether an entry must not be dropped now
   */
  constructor(limit: number, pinned: (value: Value) => boolean) {
    this.#half = Math.max(1, Math.floor(limit / 2));
    this.#turnAt = this.#half;
    this.#pinned = pinned;
  }

  /** How many entries are kept. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** The entry, marked as used. */
  get(key: string): Value | undefined {
    const value = this.#young.get(key);
    if (value !== undefined || this.#old.size === 0) return value;
    const older = this.#old.get(key);
    if (older !== undefined) {
      this.#old.delete(key);
      this.set(key, older);
    }
    return older;
  }

  /** Adds or replaces an entry. */
  set(key: string, value: Value): void {
    if (this.#young.size >= this.#turnAt && !this.#young.has(key)) this.#turn();
    this.#young.set(key, value);
  }

  #turn(): void {
    const dropped = this.#old;
    this.#old = this.#young;
    this.#young = new Map();
    for (const [key, value] of dropped) {
      if (this.#pinned(value)) this.#young.set(key, value);
    }
    // Many pinned entries would otherwise turn the generations on every set.
    this.#turnAt = Math.max(this.#half, 2 * this.#young.size);
  }
}
