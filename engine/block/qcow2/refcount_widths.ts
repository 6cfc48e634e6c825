/** Counts of 1 to 64 bits in a refcount block. Those below 8 bits fill a byte from its low end. */

import { readU64, writeU64 } from "./words.ts";

/**
 * Reads count `index`.
 *
 * @param order power of two of the bits: 0 to 6
 */
export function readCount(view: DataView, index: number, order: number): number {
  if (order === 4) return view.getUint16(index * 2);
  if (order === 3) return view.getUint8(index);
  if (order === 5) return view.getUint32(index * 4);
  if (order === 6) return readU64(view, index * 8);
  const bits = 1 << order;
  const shift = (index * bits) % 8;
  return (view.getUint8(Math.floor(index * bits / 8)) >> shift) & ((1 << bits) - 1);
}

/** Writes count `index`, which must fit; returns the byte range that it is in. */
export function writeCount(
  view: DataView,
  index: number,
  order: number,
  count: number,
): readonly [from: number, to: number] {
  const from = Math.floor(index * 2 ** order / 8);
  if (order === 4) view.setUint16(from, count);
  else if (order === 3) view.setUint8(from, count);
  else if (order === 5) view.setUint32(from, count);
  else if (order === 6) writeU64(view, from, count);
  else {
    const bits = 1 << order;
    const shift = (index * bits) % 8;
    const mask = ((1 << bits) - 1) << shift;
    view.setUint8(from, (view.getUint8(from) & ~mask) | (count << shift));
  }
  return [from, from + Math.max(1, 2 ** order / 8)];
}

/** The largest count of a width; for 64 bits as far as numbers are exact. */
export function countMax(order: number): number {
  return order === 6 ? Number.MAX_SAFE_INTEGER : 2 ** (2 ** order) - 1;
}
