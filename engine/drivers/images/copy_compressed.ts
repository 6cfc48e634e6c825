/**
 * Copies what a guest sees of an image into a new one, as compressed clusters.
 *
 * - Whole clusters are written, up to four pieces at a time; zeros are left out, also where bytes
 *   stand for them.
 * - Pieces that are packed meet threads; memory is that of the pieces in flight.
 *
 * Used by `tools.ts`. Source: QEMU 7.2 qemu-img.c convert_co_do_copy with -c.
 */

import { isAllZero } from "../../block/buffers.ts";
import { type BlockNode, writeCompressedTo } from "../../block/node.ts";

/** Bytes of a piece: whole clusters of every size. */
const PIECE_BYTES = 2_097_152;
/** Pieces in flight. */
const PIECES_MAX = 4;

async function copyPiece(from: BlockNode, to: BlockNode, at: number, cluster: number) {
  const bytes = new Uint8Array(Math.min(PIECE_BYTES, from.size - at));
  await from.read(at, bytes);
  const isZero = (start: number) => isAllZero(bytes.subarray(start, start + cluster));
  for (let start = 0; start < bytes.byteLength;) {
    let end = start;
    while (end < bytes.byteLength && !isZero(end)) end += cluster;
    if (end > start) await writeCompressedTo(to, at + start, bytes.subarray(start, end));
    start = Math.max(end, start + cluster);
  }
}

/** Where the next piece that is not one hole starts; the size, if there is none. */
async function nextPiece(from: BlockNode, start: number): Promise<number> {
  for (let at = start; at < from.size;) {
    const { length, kind } = await from.extent(at, from.size - at);
    const end = at + length;
    const whole = end === from.size ? end : Math.floor(end / PIECE_BYTES) * PIECE_BYTES;
    if (kind === "data" || whole <= at) return at;
    at = whole;
  }
  return from.size;
}

/**
 * Copies all of an image.
 *
 * @param to an image without data, at least as long, that can compress
 * @param cluster bytes of its clusters
 * @throws {BlockError} the first failure; nothing is in flight then
 */
export async function copyCompressed(from: BlockNode, to: BlockNode, cluster: number) {
  const inFlight = new Set<Promise<void>>();
  const start = (at: number) => {
    const piece = copyPiece(from, to, at, cluster);
    inFlight.add(piece);
    // Taken out only if it went well: a failure is met by whoever waits next.
    void piece.then(() => inFlight.delete(piece), () => {});
  };
  try {
    for (let at = await nextPiece(from, 0); at < from.size;) {
      start(at);
      if (inFlight.size >= PIECES_MAX) await Promise.race(inFlight);
      at = await nextPiece(from, at + PIECE_BYTES);
    }
    await Promise.all(inFlight);
  } finally {
    await Promise.allSettled(inFlight);
  }
}
