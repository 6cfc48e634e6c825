/** Which clusters of the file belong to persistent bitmaps, so that a check can count them. */

import { readPlace } from "./entries.ts";
import { corrupt } from "./failures.ts";
import type { Qcow2Image } from "./image.ts";
import { AUTOCLEAR_BITMAPS, EXTENSION } from "./layout.ts";
import { readU64, roundUp, viewOf } from "./words.ts";

/** Longest directory, and most entries of a bitmap's table. Source: QEMU 7.2 qcow2-bitmap.c. */
const DIRECTORY_BYTES_MAX = 67_108_864;
const TABLE_ENTRIES_MAX = 0x800_0000 / 8;
/** Bytes of a directory entry before its parts of varying length. */
const ENTRY_BYTES = 24;

async function readInside(image: Qcow2Image, offset: number, length: number): Promise<DataView> {
  if (!Number.isSafeInteger(offset) || offset + length > image.file.size) {
    throw corrupt(image.name, "read", "a bitmap does not lie inside the file");
  }
  const bytes = new Uint8Array(length);
  await image.file.read(offset, bytes);
  return viewOf(bytes);
}

/**
 * Hands all ranges of the file that belong to bitmaps to `add`.
 *
 * @throws {BlockError} EIO when they break the format
 */
export async function eachBitmapRange(
  image: Qcow2Image,
  add: (offset: number, bytes: number) => void,
): Promise<void> {
  const data = image.header.extensions.find(({ type }) => type === EXTENSION.bitmaps)?.data;
  if (data === undefined || data.byteLength < 24) return;
  if ((image.header.autoclear & AUTOCLEAR_BITMAPS) === 0n) return;
  const extension = viewOf(data);
  const [length, offset] = [readU64(extension, 8), readU64(extension, 16)];
  if (length > DIRECTORY_BYTES_MAX) {
    throw corrupt(image.name, "read", "its directory of bitmaps is too long");
  }
  add(offset, length);
  const directory = await readInside(image, offset, length);
  for (let at = 0; at + ENTRY_BYTES <= length;) {
    const [place, entryCount] = [readU64(directory, at), directory.getUint32(at + 8)];
    if (entryCount > TABLE_ENTRIES_MAX) {
      throw corrupt(image.name, "read", "the table of a bitmap is too long");
    }
    add(place, entryCount * 8);
    const table = await readInside(image, place, entryCount * 8);
    for (let index = 0; index < entryCount; index++) {
      const { host } = readPlace(table, index);
      if (host !== 0) add(host, image.geometry.clusterSize);
    }
    const named = directory.getUint16(at + 18) + directory.getUint32(at + 20);
    at += roundUp(ENTRY_BYTES + named, 8);
  }
}
