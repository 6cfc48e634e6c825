/**
 * A set of states in typed arrays, in the order of their discovery, with the edge by which each was
 * found first.
 *
 * A state is 64 bits in two halves and is the packed state itself, not a digest that could collide.
 * Per state: 8 bytes of code, 4 of parent, 2 of action, 4 of the edge towards the end, and 8 to 16
 * of an open-addressed table.
 */
const EMPTY = 0;

/** No state. */
export const NOWHERE = 0xffff_ffff;

/** Grows as states are found. */
export class StateSet {
  #low = new Uint32Array(1024);
  #high = new Uint32Array(1024);
  #parents = new Uint32Array(1024);
  #actions = new Uint16Array(1024);
  #onwards = new Uint32Array(1024);
  #table = new Uint32Array(4096);
  #count = 0;

  /** Number of states. */
  get count(): number {
    return this.#count;
  }

  /** Bytes held. */
  get bytes(): number {
    return this.#low.length * 18 + this.#table.length * 4;
  }

  /** Lower half of a state's code. */
  low(index: number): number {
    return this.#low[index]!;
  }

  /** Upper half of a state's code. */
  high(index: number): number {
    return this.#high[index]!;
  }

  /** The state from which one was found first; `NOWHERE` for the first state. */
  parent(index: number): number {
    return this.#parents[index]!;
  }

  /** The action that led to it. */
  action(index: number): number {
    return this.#actions[index]!;
  }

  /** The state that the way to the end leads to next; `NOWHERE` = not known. */
  onward(index: number): number {
    return this.#onwards[index]!;
  }

  /** Remembers the next state of the way to the end. */
  setOnward(index: number, next: number): void {
    this.#onwards[index] = next;
  }

  /** The place of a state; -1 if it is not in the set. */
  find(low: number, high: number): number {
    const at = this.#probe(low, high);
    return this.#table[at]! - 1;
  }

  /**
   * Adds a state unless it is there.
   *
   * @returns its place, as -1 - place if it is new
   */
  add(low: number, high: number, parent: number, action: number): number {
    const at = this.#probe(low, high);
    const found = this.#table[at]!;
    if (found !== EMPTY) return found - 1;
    const index = this.#count;
    if (index === this.#low.length) this.#growRows();
    this.#low[index] = low;
    this.#high[index] = high;
    this.#parents[index] = parent;
    this.#actions[index] = action;
    this.#onwards[index] = NOWHERE;
    this.#table[at] = index + 1;
    this.#count = index + 1;
    if (this.#count * 2 > this.#table.length) this.#growTable();
    return -1 - index;
  }

  #probe(low: number, high: number): number {
    const mask = this.#table.length - 1;
    let at = hash(low, high) & mask;
    for (;;) {
      const found = this.#table[at]!;
      if (found === EMPTY) return at;
      if (this.#low[found - 1] === low && this.#high[found - 1] === high) return at;
      at = (at + 1) & mask;
    }
  }

  #growRows(): void {
    const size = Math.ceil(this.#low.length * 1.6);
    const grown = <T extends Uint32Array | Uint16Array>(from: T, to: T): T => {
      to.set(from);
      return to;
    };
    this.#low = grown(this.#low, new Uint32Array(size));
    this.#high = grown(this.#high, new Uint32Array(size));
    this.#parents = grown(this.#parents, new Uint32Array(size));
    this.#actions = grown(this.#actions, new Uint16Array(size));
    this.#onwards = grown(this.#onwards, new Uint32Array(size));
  }

  #growTable(): void {
    this.#table = new Uint32Array(this.#table.length * 2);
    for (let index = 0; index < this.#count; index++) {
      this.#table[this.#probe(this.#low[index]!, this.#high[index]!)] = index + 1;
    }
  }
}

function hash(low: number, high: number): number {
  let mixed = Math.imul(low ^ Math.imul(high, 0x9e37_79b1), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}
