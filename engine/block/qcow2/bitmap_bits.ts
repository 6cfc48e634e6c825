/**
 * The directory and the bits of kept bitmaps: from the clusters of the file to memory, and back.
 *
 * - A cluster of bits that are all the same takes no place: its entry says which they are.
 * - What is written goes to new clusters only; nothing in the file points to them yet.
 *
 * May be used by `bitmap_keeper.ts`. Source: QEMU docs/interop/qcow2.txt, Bitmap table.
 */

import type { DirtyBitmap } from "../dirty_bitmap.ts";
import { BlockError } from "../errors.ts";
import {
  directoryPlaceOf,
  type KeptBitmap,
  parseDirectory,
  tableEntriesFor,
} from "./bitmap_directory.ts";
import { malformed } from "./failures.ts";
import type { Qcow2Image } from "./image.ts";
import { viewOf, writeU64 } from "./words.ts";
import type { Qcow2Writer } from "./writer.ts";

/** What an entry of a table says of one cluster of bits. */
export type BitsEntry = { readonly host: number; readonly isOnes: boolean };

const TWO_32 = 4_294_967_296;

/** Reads a piece of the file that has to be there. @throws {BlockError} EINVAL when it is not */
export async function readInside(
  image: Qcow2Image,
  offset: number,
  length: number,
  what: string,
): Promise<Uint8Array> {
  if (!Number.isSafeInteger(offset) || offset + length > image.file.size) {
    throw malformed(image.name, `${what} does not lie inside the file`);
  }
  const bytes = new Uint8Array(length);
  await image.file.read(offset, bytes);
  return bytes;
}

/** What the image says of the bitmaps that it keeps. @throws {BlockError} EINVAL as the format */
export async function readKept(image: Qcow2Image): Promise<readonly KeptBitmap[]> {
  const place = directoryPlaceOf(image.name, image.header);
  image.bitmapDirectory = place;
  if (place === undefined) return [];
  const bytes = await readInside(image, place.offset, place.bytes, "its directory of bitmaps");
  const frame = { name: image.name, clusterSize: image.geometry.clusterSize, size: image.size };
  return parseDirectory(frame, bytes, place.count);
}

/**
 * Reads the table of a bitmap.
 *
 * @throws {BlockError} EINVAL when an entry breaks the format
 */
export async function readBitsTable(
  image: Qcow2Image,
  { name, tableOffset, tableEntries }: KeptBitmap,
): Promise<readonly BitsEntry[]> {
  const what = `the table of bitmap "${name}"`;
  const view = viewOf(await readInside(image, tableOffset, tableEntries * 8, what));
  return Array.from({ length: tableEntries }, (_, index) => {
    const [high, low] = [view.getUint32(index * 8), view.getUint32(index * 8 + 4)];
    const [host, flags] = [high * TWO_32 + ((low & ~511) >>> 0), low & 511];
    const isOnes = flags === 1;
    const isFine = high < 0x100_0000 && flags <= 1 && !(isOnes && host !== 0) &&
      host % image.geometry.clusterSize === 0;
    if (!isFine) throw malformed(image.name, `${what} has an entry that cannot be`);
    return { host, isOnes };
  });
}

/**
 * Sets the bits that the file keeps.
 *
 * @throws {BlockError} EINVAL when the table or its clusters cannot be
 */
export async function loadBits(
  image: Qcow2Image,
  kept: KeptBitmap,
  bitmap: DirtyBitmap,
): Promise<void> {
  const { clusterSize } = image.geometry;
  const perCluster = clusterSize * 8;
  for (const [index, { host, isOnes }] of (await readBitsTable(image, kept)).entries()) {
    const first = index * perCluster;
    if (isOnes) bitmap.set(first * bitmap.granularity, perCluster * bitmap.granularity);
    if (host === 0) continue;
    const what = `a cluster of bitmap "${kept.name}"`;
    bitmap.addBits(first, await readInside(image, host, clusterSize, what));
  }
}

/** Clusters that were taken for something that nothing in the file points to yet. */
export class TakenClusters {
  readonly #writer: Qcow2Writer;
  readonly #taken: (readonly [host: number, count: number])[] = [];

  /** Nothing is taken yet. */
  constructor(writer: Qcow2Writer) {
    this.#writer = writer;
  }

  /** Takes clusters that lie together and writes `bytes` there; what they do not fill is zero. */
  async write(bytes: Uint8Array): Promise<number> {
    const { image, allocator } = this.#writer;
    const { clusterSize } = image.geometry;
    const count = Math.ceil(bytes.byteLength / clusterSize);
    const found = await allocator.allocate(count);
    let { host } = found;
    if (found.count < count) {
      await allocator.undo(found.host, found.count);
      host = await allocator.allocateTogether(count);
    }
    this.#taken.push([host, count]);
    const whole = new Uint8Array(count * clusterSize);
    whole.set(bytes);
    await image.file.write(host, whole);
    return host;
  }

  /** Gives everything back. */
  async undo(): Promise<void> {
    for (const [host, count] of this.#taken.splice(0)) {
      await this.#writer.allocator.undo(host, count);
    }
  }
}

/**
 * Writes bits and their table to new clusters.
 *
 * @returns where the table is
 * @throws {BlockError} EFBIG when the image has no size that a bitmap could be of
 */
export async function writeBits(
  image: Qcow2Image,
  bitmap: DirtyBitmap,
  taken: TakenClusters,
): Promise<Pick<KeptBitmap, "tableOffset" | "tableEntries">> {
  const { clusterSize } = image.geometry;
  const tableEntries = tableEntriesFor(image.size, bitmap.granularity, clusterSize);
  if (tableEntries === 0) {
    const text = `Cannot keep bitmap "${bitmap.name}" in "${image.name}": the image is empty`;
    throw new BlockError("EFBIG", text, { operation: "write", subject: image.name });
  }
  const table = new Uint8Array(tableEntries * 8);
  const span = clusterSize * 8 * bitmap.granularity;
  const bytes = new Uint8Array(clusterSize);
  for (let at = bitmap.nextDirty(0)?.offset; at !== undefined;) {
    const index = Math.floor(at / span);
    const after = (index + 1) * span;
    // QEMU takes bits behind the end for set, too, and shows them when the image grows.
    if (at === index * span && bitmap.nextClean(at) >= after) {
      writeU64(viewOf(table), index * 8, 1);
    } else {
      bitmap.copyBits(index * clusterSize * 8, bytes);
      writeU64(viewOf(table), index * 8, await taken.write(bytes));
    }
    at = after < bitmap.size ? bitmap.nextDirty(after)?.offset : undefined;
  }
  return { tableOffset: await taken.write(table), tableEntries };
}
