/**
 * The directory of the bitmaps that an image keeps: what is written there, and whether it may be
 * believed.
 *
 * ```text
 * header extension --> directory --> table of a bitmap --> clusters of bits
 *                      (entries)     (8 bytes each: a place, all zeros, or all ones)
 * ```
 *
 * - It counts only while the header's autoclear bit 0 is set: who writes the image and knows
 *   nothing of bitmaps clears that bit.
 * - What comes out of `parseDirectory` was checked: no table or bitmap is larger than its limit.
 *
 * May be used by the files of this folder. Source: QEMU docs/interop/qcow2.txt, Bitmaps; limits of
 * QEMU 7.2 block/qcow2.h and block/qcow2-bitmap.c.
 */

import { GRANULARITY_MAX, GRANULARITY_MIN } from "../dirty_bitmap.ts";
import { malformed } from "./failures.ts";
import type { Qcow2Header } from "./header.ts";
import { AUTOCLEAR_BITMAPS, EXTENSION } from "./layout.ts";
import { readU64, roundUp, viewOf, writeU64 } from "./words.ts";

/** Most bitmaps of an image. */
export const KEPT_BITMAPS_MAX = 65_535;
/** Longest directory in bytes. */
export const DIRECTORY_BYTES_MAX = KEPT_BITMAPS_MAX * 1_024;
/** Most bytes that the bits of one bitmap take: 512 MiB. */
export const BITMAP_BYTES_MAX = 536_870_912;
/** Bytes of the header extension. */
export const BITMAPS_EXTENSION_BYTES = 24;

/** Bytes of an entry before its name. */
const ENTRY_BYTES = 24;
const NAME_BYTES_MAX = 1_023;
const FLAG = { inUse: 1, auto: 2 } as const;
/** The only type: bits of what was written. */
const TYPE_DIRTY = 1;

/** Where the directory lies. */
export interface DirectoryPlace {
  /** Entries in it. */
  readonly count: number;
  /** Where it starts in the file: at a cluster. */
  readonly offset: number;
  /** Its length. */
  readonly bytes: number;
}

/** What the directory says of one bitmap. */
export interface KeptBitmap {
  /** 1 to 1,023 bytes in UTF-8. */
  readonly name: string;
  /** Bytes that one bit stands for. */
  readonly granularity: number;
  /** True while somebody writes the image, or when whoever did never closed it. */
  readonly isInUse: boolean;
  /** True if it records writes. */
  readonly isAuto: boolean;
  /** Where its table starts in the file: at a cluster. */
  readonly tableOffset: number;
  /** Entries of its table: one for each cluster of bits. */
  readonly tableEntries: number;
}

/** Sizes that decide what a bitmap may be. */
export interface BitmapFrame {
  /** How texts name the image. */
  readonly name: string;
  /** Bytes of a cluster. */
  readonly clusterSize: number;
  /** Bytes that a guest sees. */
  readonly size: number;
}

/** Clusters that the bits of an image of `size` bytes fill. */
export function tableEntriesFor(size: number, granularity: number, clusterSize: number): number {
  return Math.ceil(Math.ceil(Math.ceil(size / granularity) / 8) / clusterSize);
}

/**
 * Where the header says that the directory is; undefined = the image keeps no bitmaps, or they are
 * out of date.
 *
 * @throws {BlockError} EINVAL when it says what cannot be
 */
export function directoryPlaceOf(name: string, header: Qcow2Header): DirectoryPlace | undefined {
  const data = header.extensions.find(({ type }) => type === EXTENSION.bitmaps)?.data;
  if (data === undefined || (header.autoclear & AUTOCLEAR_BITMAPS) === 0n) return undefined;
  const refuse = (what: string) => malformed(name, `its extension of bitmaps ${what}`);
  if (data.byteLength !== BITMAPS_EXTENSION_BYTES) throw refuse("has a wrong length");
  const view = viewOf(data);
  const [count, bytes, offset] = [view.getUint32(0), readU64(view, 8), readU64(view, 16)];
  if (view.getUint32(4) !== 0) throw refuse("has a reserved field that is not zero");
  if (count === 0 || count > KEPT_BITMAPS_MAX) {
    throw refuse(`speaks of ${count} bitmaps, which is out of range`);
  }
  if (!Number.isSafeInteger(offset) || offset === 0 || offset % 2 ** header.clusterBits !== 0) {
    throw refuse("has a directory that does not start at a cluster");
  }
  if (bytes === 0 || bytes > DIRECTORY_BYTES_MAX) {
    throw refuse(`has a directory of ${bytes} bytes, which is out of range`);
  }
  return { count, offset, bytes };
}

/** The extension of a directory. */
export function encodePlace({ count, offset, bytes }: DirectoryPlace): Uint8Array {
  const data = new Uint8Array(BITMAPS_EXTENSION_BYTES);
  const view = viewOf(data);
  view.setUint32(0, count);
  writeU64(view, 8, bytes);
  writeU64(view, 16, offset);
  return data;
}

function checkEntry(frame: BitmapFrame, entry: KeptBitmap): void {
  const { tableOffset, tableEntries, granularity } = entry;
  const isPlaced = Number.isSafeInteger(tableOffset) && tableOffset > 0 &&
    tableOffset % frame.clusterSize === 0;
  const bytes = tableEntries * frame.clusterSize;
  const isFine = isPlaced && tableEntries > 0 && bytes <= BITMAP_BYTES_MAX &&
    granularity >= GRANULARITY_MIN && granularity <= GRANULARITY_MAX;
  // Who left it in use may have changed the size of the image.
  const isWhole = entry.isInUse ||
    tableEntries === tableEntriesFor(frame.size, granularity, frame.clusterSize);
  if (!isFine || !isWhole) throw malformed(frame.name, `bitmap "${entry.name}" cannot be so`);
}

/** The entry at `at` and where the next one starts. */
function readEntry(frame: BitmapFrame, bytes: Uint8Array, at: number): [KeptBitmap, number] {
  const view = viewOf(bytes);
  const refuse = (what: string) => malformed(frame.name, `its directory of bitmaps ${what}`);
  if (at + ENTRY_BYTES > bytes.byteLength) throw refuse("ends inside an entry");
  const [nameBytes, extraBytes] = [view.getUint16(at + 18), view.getUint32(at + 20)];
  const next = at + roundUp(ENTRY_BYTES + nameBytes + extraBytes, 8);
  if (next > bytes.byteLength) throw refuse("ends inside an entry");
  if (extraBytes !== 0) throw refuse("has data that is not known");
  const flags = view.getUint32(at + 12);
  const isKnown = flags <= (FLAG.inUse | FLAG.auto) && view.getUint8(at + 16) === TYPE_DIRTY;
  if (!isKnown) throw refuse("has a bitmap of an unknown kind");
  if (nameBytes === 0 || nameBytes > NAME_BYTES_MAX) throw refuse("has a name of a wrong length");
  let name: string;
  try {
    const start = at + ENTRY_BYTES;
    name = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
      .decode(bytes.subarray(start, start + nameBytes));
  } catch {
    throw refuse("has a name that is not UTF-8");
  }
  return [{
    name,
    granularity: 2 ** view.getUint8(at + 17),
    isInUse: (flags & FLAG.inUse) !== 0,
    isAuto: (flags & FLAG.auto) !== 0,
    tableOffset: readU64(view, at),
    tableEntries: view.getUint32(at + 8),
  }, next];
}

/**
 * Reads a directory.
 *
 * @param count entries that the header promises
 * @throws {BlockError} EINVAL when it breaks the format or a limit
 */
export function parseDirectory(
  frame: BitmapFrame,
  bytes: Uint8Array,
  count: number,
): readonly KeptBitmap[] {
  const found = new Map<string, KeptBitmap>();
  for (let at = 0; at < bytes.byteLength;) {
    const [entry, next] = readEntry(frame, bytes, at);
    checkEntry(frame, entry);
    if (found.has(entry.name)) throw malformed(frame.name, `bitmap "${entry.name}" is there twice`);
    found.set(entry.name, entry);
    at = next;
  }
  if (found.size === count) return [...found.values()];
  const text = `it keeps ${found.size} bitmaps, and its header speaks of ${count}`;
  throw malformed(frame.name, text);
}

/** Bytes of the entry of a bitmap with this name. */
export function entryBytes(name: string): number {
  return roundUp(ENTRY_BYTES + new TextEncoder().encode(name).byteLength, 8);
}

/** Puts a directory into bytes. */
export function encodeDirectory(entries: readonly KeptBitmap[]): Uint8Array {
  const bytes = new Uint8Array(entries.reduce((sum, { name }) => sum + entryBytes(name), 0));
  const view = viewOf(bytes);
  let at = 0;
  for (const { name, granularity, isInUse, isAuto, tableOffset, tableEntries } of entries) {
    const encoded = new TextEncoder().encode(name);
    writeU64(view, at, tableOffset);
    view.setUint32(at + 8, tableEntries);
    view.setUint32(at + 12, (isInUse ? FLAG.inUse : 0) | (isAuto ? FLAG.auto : 0));
    view.setUint8(at + 16, TYPE_DIRTY);
    view.setUint8(at + 17, Math.log2(granularity));
    view.setUint16(at + 18, encoded.byteLength);
    bytes.set(encoded, at + ENTRY_BYTES);
    at += entryBytes(name);
  }
  return bytes;
}
