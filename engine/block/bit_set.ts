/**
 * A set of small numbers, kept as bits, with a summary that makes gaps cheap.
 *
 * ```text
 * summary   |1 0 1 ...|          one bit for each word that is not zero
 * words     |32 bits|0|32 bits|  one bit for each number
 * ```
 *
 * - Ranges are changed and found word by word; where nothing is set, 1,024 numbers are stepped over
 *   at once. So 16 Mi numbers take 2 MiB and are searched from end to end in well under 1 ms.
 *
 * May be used by this room.
 */

function onesOf(word: number): number {
  let count = word - ((word >>> 1) & 0x5555_5555);
  count = (count & 0x3333_3333) + ((count >>> 2) & 0x3333_3333);
  return Math.imul((count + (count >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}

/** Number of zeros below the lowest one; 32 for 0. */
function lowestOne(word: number): number {
  return word === 0 ? 32 : 31 - Math.clz32(word & -word);
}

/** The bits of word `word` that lie in `first` to `after`. */
function maskOf(word: number, first: number, after: number): number {
  const low = Math.max(first - word * 32, 0);
  const high = Math.min(after - word * 32, 32);
  if (low >= high) return 0;
  const ones = high - low === 32 ? 0xffff_ffff : (2 ** (high - low) - 1);
  return (ones << low) >>> 0;
}

/** A set of the numbers 0 to `length` - 1. */
export class BitSet {
  #length: number;
  #words: Uint32Array;
  #summary: Uint32Array;
  #count = 0;

  /** @param length 0 or more, up to 2^32; the set is empty at first */
  constructor(length: number) {
    this.#length = length;
    this.#words = new Uint32Array(Math.ceil(length / 32));
    this.#summary = new Uint32Array(Math.ceil(this.#words.length / 32));
  }

  /** One more than the greatest number that it may hold. */
  get length(): number {
    return this.#length;
  }

  /** How many numbers it holds. */
  get count(): number {
    return this.#count;
  }

  /** True if it holds `index`. */
  has(index: number): boolean {
    return ((this.#words[index >>> 5] ?? 0) >>> (index & 31) & 1) === 1;
  }

  /** Puts in or takes out all numbers from `first` to `after`, the latter exclusive. */
  change(first: number, after: number, isIn: boolean): void {
    const end = Math.min(after, this.#length);
    for (let at = first; at < end;) {
      const word = Math.floor(at / 32);
      const mask = maskOf(word, at, end);
      const before = this.#words[word] ?? 0;
      this.#put(word, before, (isIn ? before | mask : before & ~mask) >>> 0);
      at = (word + 1) * 32;
    }
  }

  /** Takes everything out. */
  clear(): void {
    this.#words.fill(0);
    this.#summary.fill(0);
    this.#count = 0;
  }

  /** Puts in all that `other` holds, which must be of the same length. */
  addAll(other: BitSet): void {
    for (let word = 0; word < this.#words.length; word++) {
      const before = this.#words[word] ?? 0;
      const added = other.#words[word] ?? 0;
      if (added !== 0) this.#put(word, before, (before | added) >>> 0);
    }
  }

  /**
   * Shows it as bytes of 8 numbers each, the lowest number in the lowest bit.
   *
   * @param first number that the first bit stands for: a multiple of 32
   * @param bytes filled whole; a multiple of 4. What lies behind the last number is 0
   */
  copyTo(first: number, bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < bytes.byteLength; at += 4) {
      view.setUint32(at, this.#words[first / 32 + at / 4] ?? 0, true);
    }
  }

  /** Puts in all that such bytes hold; those behind the last number are passed over. */
  addFrom(first: number, bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < bytes.byteLength; at += 4) {
      const added = view.getUint32(at, true);
      const word = first / 32 + at / 4;
      if (added === 0 || word >= this.#words.length) continue;
      const before = this.#words[word] ?? 0;
      this.#put(word, before, (before | added & maskOf(word, 0, this.#length)) >>> 0);
    }
  }

  /** The first number that it holds, from `from` on; `length` if there is none. */
  nextIn(from: number): number {
    if (from >= this.#length) return this.#length;
    const word = from >>> 5;
    const rest = ((this.#words[word] ?? 0) >>> (from & 31)) >>> 0;
    if (rest !== 0) return from + lowestOne(rest);
    const next = this.#nextFullWord(word + 1);
    return next < 0 ? this.#length : next * 32 + lowestOne(this.#words[next] ?? 0);
  }

  /** The first number that it does not hold, from `from` on; `length` if there is none. */
  nextOut(from: number): number {
    if (from >= this.#length) return this.#length;
    let word = from >>> 5;
    // What is shifted in from above counts as held, and is looked at with the next word.
    let gaps = (~(this.#words[word] ?? 0) >>> (from & 31) << (from & 31)) >>> 0;
    while (gaps === 0 && ++word < this.#words.length) gaps = ~(this.#words[word] ?? 0) >>> 0;
    return Math.min(this.#length, word * 32 + (gaps === 0 ? 0 : lowestOne(gaps)));
  }

  /** Changes its length; numbers that no longer fit are dropped, new ones are not in it. */
  resize(length: number): void {
    if (length < this.#length) this.change(length, this.#length, false);
    const words = new Uint32Array(Math.ceil(length / 32));
    words.set(this.#words.subarray(0, words.length));
    const summary = new Uint32Array(Math.ceil(words.length / 32));
    summary.set(this.#summary.subarray(0, summary.length));
    [this.#words, this.#summary, this.#length] = [words, summary, length];
  }

  #put(word: number, before: number, after: number): void {
    if (before === after) return;
    this.#words[word] = after;
    this.#count += onesOf(after) - onesOf(before);
    const [place, bit] = [word >>> 5, 1 << (word & 31)];
    const known = this.#summary[place] ?? 0;
    this.#summary[place] = after === 0 ? known & ~bit : known | bit;
  }

  /** The first word from `from` on that is not zero; -1 if there is none. */
  #nextFullWord(from: number): number {
    let place = from >>> 5;
    let rest = ((this.#summary[place] ?? 0) >>> (from & 31) << (from & 31)) >>> 0;
    while (rest === 0) {
      if (++place >= this.#summary.length) return -1;
      rest = this.#summary[place] ?? 0;
    }
    return place * 32 + lowestOne(rest);
  }
}
