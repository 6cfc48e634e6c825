/** Copying between nodes that have no quicker way: read into a buffer, write from it. */

import { BufferPool } from "./buffers.ts";
import type { BlockNode } from "./node.ts";

/** Bytes that move in one read and one write. */
const PIECE_BYTES = 524_288;

const PIECES = new BufferPool(PIECE_BYTES, 16);

/** What is copied, from where and to where. */
export interface CopyRequest {
  /** Where it is read. */
  readonly source: BlockNode;
  /** First byte there. */
  readonly from: number;
  /** Where it is written. */
  readonly target: BlockNode;
  /** First byte there. */
  readonly to: number;
  /** Bytes; 0 = nothing. */
  readonly length: number;
}

/** Two ends of a copy; offsets count from the beginning of what is copied. */
export interface CopyEnds {
  /** Fills `bytes`. */
  read(at: number, bytes: Uint8Array): Promise<void>;
  /** Takes `bytes`, which are used again once the promise has settled. */
  write(at: number, bytes: Uint8Array): Promise<void>;
}

/** Copies `length` bytes, 512 KiB at a time, in order. Stops at the first error. */
export async function copyPieces(length: number, ends: CopyEnds): Promise<void> {
  const buffer = PIECES.take();
  try {
    for (let done = 0; done < length; done += PIECE_BYTES) {
      const bytes = buffer.subarray(0, Math.min(PIECE_BYTES, length - done));
      await ends.read(done, bytes);
      await ends.write(done, bytes);
    }
  } finally {
    PIECES.give(buffer);
  }
}

/** Copies with `read` and `write`. Stops at the first error. */
export async function copyByBuffer(request: CopyRequest): Promise<void> {
  const { source, from, target, to, length } = request;
  await copyPieces(length, {
    read: (at, bytes) => source.read(from + at, bytes),
    write: (at, bytes) => target.write(to + at, bytes),
  });
}

/** Copies by the target's own `copyRange` if this pair has one, else through a buffer. */
export async function copyBetween(request: CopyRequest): Promise<void> {
  const { source, from, target, to, length } = request;
  const copying = target.copyRange?.(source, from, to, length);
  await (copying ?? copyByBuffer(request));
}
