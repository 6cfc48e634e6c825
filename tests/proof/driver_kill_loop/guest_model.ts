/**
 * What a guest may find after its host was killed, from what it was told before.
 *
 * - What was flushed is there. What was acknowledged since, or was on its way, is there, is not, or
 *   is there in part; nothing else is.
 * - After a look at it, what is there is what stays: a killed process takes no pages with it.
 */
import { noise, sameBytes } from "../../support/images.ts";

interface Change {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** See the head of this file. */
export class GuestModel {
  #stable: Uint8Array;
  #pending: Change[] = [];
  #next: Change | undefined;

  /** @param bytes what is there before any guest came */
  constructor(bytes: Uint8Array) {
    this.#stable = new Uint8Array(bytes);
  }

  /** What there would be if all that was acknowledged were flushed. */
  get bytes(): Uint8Array {
    const bytes = this.#stable.slice();
    for (const { offset, bytes: changed } of this.#pending) bytes.set(changed, offset);
    return bytes;
  }

  /** Takes a line of the guest: `will <offset> <length> <seed>`, `did` or `flushed`. */
  take(line: string): void {
    if (line.startsWith("will ")) {
      const [offset, length, seed] = line.split(" ").slice(1).map(Number) as [
        number,
        number,
        number,
      ];
      this.#next = { offset, bytes: guestBytes(length, seed) };
      this.#pending.push(this.#next);
    } else if (line === "did") this.#next = undefined;
    else if (line === "flushed") {
      this.#stable = this.bytes;
      this.#pending = [];
    }
  }

  /**
   * Looks at what is there now.
   *
   * @returns the first byte that nobody wrote or that was lost; undefined = all is well
   */
  look(found: Uint8Array): number | undefined {
    if (found.byteLength !== this.#stable.byteLength) return Infinity;
    // A copy in any case: a part of a Buffer is none.
    const rest = new Uint8Array(found);
    for (const { offset, bytes } of this.#pending) {
      for (let at = offset; at < offset + bytes.byteLength; at++) {
        if (this.#mayBe(at, found[at]!)) rest[at] = this.#stable[at]!;
      }
    }
    if (!sameBytes(rest, this.#stable)) {
      return rest.findIndex((byte, at) => byte !== this.#stable[at]);
    }
    this.#stable = new Uint8Array(found);
    this.#pending = [];
    return undefined;
  }

  #mayBe(at: number, byte: number): boolean {
    return this.#stable[at] === byte ||
      this.#pending.some(({ offset, bytes }) =>
        at >= offset && at < offset + bytes.byteLength && bytes[at - offset] === byte
      );
  }
}

/** What a guest writes: zeros for the seed 0, else noise. */
export function guestBytes(length: number, seed: number): Uint8Array {
  return seed === 0 ? new Uint8Array(length) : noise(length, seed);
}
