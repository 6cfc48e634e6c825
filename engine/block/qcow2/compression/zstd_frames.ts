/** Where a zstd frame ends: compressed clusters have other bytes behind them. */

const MAGIC = 0xfd2f_b528;

/** Bytes of the field that holds the length of the contents, by its two flag bits. */
const CONTENT_BYTES = [0, 2, 4, 8] as const;
const DICTIONARY_BYTES = [0, 1, 2, 4] as const;
/** Types of a block. */
const RUN_LENGTH = 1;
const RESERVED = 3;

/**
 * Length of the frame that starts at `from`, without unpacking it.
 *
 * ```text
 * magic 4 | descriptor 1 | window 0-1 | dictionary 0-4 | content size 0-8 | blocks | checksum 0-4
 * block = header 3 (last: bit 0, type: bits 1-2, size: bits 3-23) | bytes; a run has 1 byte
 * ```
 *
 * Source: RFC 8878, 3.1.1.
 *
 * @returns undefined if none starts there, or if it is cut off
 */
export function zstdFrameBytes(bytes: Uint8Array, from = 0): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (from + 6 > bytes.byteLength || view.getUint32(from, true) !== MAGIC) return undefined;
  const descriptor = view.getUint8(from + 4);
  const isSingle = (descriptor & 0x20) !== 0;
  const contentFlag = descriptor >> 6;
  const content = contentFlag === 0 && isSingle ? 1 : CONTENT_BYTES[contentFlag] ?? 0;
  const window = isSingle ? 0 : 1;
  let at = from + 5 + window + (DICTIONARY_BYTES[descriptor & 3] ?? 0) + content;
  for (let isLast = false; !isLast;) {
    if (at + 3 > bytes.byteLength) return undefined;
    const header = view.getUint16(at, true) | view.getUint8(at + 2) << 16;
    const type = header >> 1 & 3;
    if (type === RESERVED) return undefined;
    isLast = (header & 1) !== 0;
    at += 3 + (type === RUN_LENGTH ? 1 : header >> 3);
  }
  if ((descriptor & 4) !== 0) at += 4;
  return at <= bytes.byteLength ? at - from : undefined;
}
