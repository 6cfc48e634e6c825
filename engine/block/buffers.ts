import { Buffer } from "node:buffer";

/**
 * Buffers of one size, used again and again, so that copying makes no garbage.
 *
 * A buffer belongs to whoever took it until it is given back; its contents are whatever was left
 * in it.
 */
export class BufferPool {
  readonly #free: Uint8Array[] = [];
  readonly #sizeBytes: number;
  readonly #keptMax: number;

  /**
   * @param sizeBytes size of every buffer
   * @param keptMax how many unused ones are kept; more are left to the garbage collector
   */
  constructor(sizeBytes: number, keptMax: number) {
    this.#sizeBytes = sizeBytes;
    this.#keptMax = keptMax;
  }

  /** Size of every buffer in bytes. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Hands out a buffer. */
  take(): Uint8Array {
    return this.#free.pop() ?? new Uint8Array(this.#sizeBytes);
  }

  /** Takes a buffer back. No access to it may be in flight. */
  give(buffer: Uint8Array): void {
    if (buffer.byteLength === this.#sizeBytes && this.#free.length < this.#keptMax) {
      this.#free.push(buffer);
    }
  }
}

/** Where two pieces of equal length first differ; -1 = they do not. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number {
  // Comparing as a whole is a hundred times quicker than looking at each byte.
  return Buffer.compare(a, b) === 0 ? -1 : a.findIndex((byte, index) => byte !== b[index]);
}

/** What is compared with to find zeros: as long as the longest range that is looked at. */
const ZEROS = new Uint8Array(1_048_576);

/** True if all bytes are zero. Looks at 1 MiB in about 40 microseconds. */
export function isAllZero(bytes: Uint8Array): boolean {
  for (let offset = 0; offset < bytes.byteLength; offset += ZEROS.byteLength) {
    const piece = bytes.subarray(offset, offset + ZEROS.byteLength);
    const zeros = piece.byteLength === ZEROS.byteLength ? ZEROS : ZEROS.subarray(0, piece.length);
    if (Buffer.compare(piece, zeros) !== 0) return false;
  }
  return true;
}
