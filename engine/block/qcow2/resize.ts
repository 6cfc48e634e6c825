/**
 * Changing the size of an image.
 *
 * - Growing: a longer L1 table gets a new place, is written, and then the header points to it.
 * - What comes into sight by growing reads as zeros, whatever the backing file or the rest of the
 *   last cluster has there.
 * - Shrinking: entries behind the new end are removed, then the size is changed.
 *
 * The caller has the image for itself. Source: QEMU 7.2 block/qcow2.c qcow2_co_truncate.
 */

import { BlockError } from "../errors.ts";
import { FIELD, L1_BYTES_MAX } from "./layout.ts";
import { roundUp, viewOf, writeU64 } from "./words.ts";
import type { Qcow2Writer } from "./writer.ts";
import { dropRange, zeroRange } from "./zeroing.ts";

function refuse(writer: Qcow2Writer, code: string, size: number, why: string): BlockError {
  const { name } = writer.image;
  return new BlockError(code, `Cannot resize "${name}" to ${size} bytes: ${why}`, {
    operation: "resize",
    subject: name,
  });
}

async function growL1(writer: Qcow2Writer, entryCount: number): Promise<void> {
  const { image, allocator, committer } = writer;
  const { clusterSize } = image.geometry;
  const { l1Offset } = image.header;
  const oldBytes = image.l1.byteLength;
  const table = new Uint8Array(roundUp(entryCount * 8, clusterSize));
  const offset = await allocator.allocateTogether(table.byteLength / clusterSize);
  // Everything else first: from here to the end the L1 table does not change.
  await committer.commit();
  table.set(image.l1);
  const l1 = table.subarray(0, entryCount * 8);
  await image.file.write(offset, table);
  await image.file.flush();
  const place = new Uint8Array(12);
  viewOf(place).setUint32(0, entryCount);
  writeU64(viewOf(place), 4, offset);
  await committer.writeHeader(FIELD.l1Size, place);
  image.setL1(l1);
  image.header = { ...image.header, l1Size: entryCount, l1Offset: offset };
  if (oldBytes > 0) allocator.releaseLater(l1Offset, oldBytes);
}

async function writeSize(writer: Qcow2Writer, size: number): Promise<void> {
  const bytes = new Uint8Array(8);
  writeU64(viewOf(bytes), 0, size);
  await writer.committer.commit();
  await writer.committer.writeHeader(FIELD.size, bytes);
  writer.image.header = { ...writer.image.header, size };
  writer.image.size = size;
}

async function grow(writer: Qcow2Writer, size: number): Promise<void> {
  const { image } = writer;
  const { tableSpan, clusterSize } = image.geometry;
  const oldSize = image.size;
  const entryCount = Math.ceil(size / tableSpan);
  if (entryCount * 8 > L1_BYTES_MAX) {
    throw refuse(writer, "EFBIG", size, "its L1 table would have more than 32 MiB");
  }
  if (entryCount > image.header.l1Size) await growL1(writer, entryCount);
  const clusterEnd = roundUp(oldSize, clusterSize);
  const shownEnd = Math.max(clusterEnd, image.backing?.size ?? 0);
  image.size = size;
  try {
    await zeroRange(writer, oldSize, Math.min(size, shownEnd) - oldSize);
  } catch (error) {
    image.size = oldSize;
    throw error;
  }
  await writeSize(writer, size);
}

/**
 * Changes the size.
 *
 * @param size bytes; 0 and more
 * @throws {BlockError} EINVAL for what is no size; EFBIG when the tables would be too large;
 * ENOTSUP when internal snapshots forbid it: version 2, or shrinking
 */
export async function resizeImage(writer: Qcow2Writer, size: number): Promise<void> {
  const { image } = writer;
  if (!Number.isSafeInteger(size) || size < 0) {
    throw refuse(writer, "EINVAL", size, "it is no whole number from 0 to 2^53 - 1");
  }
  if (size === image.size) return;
  const isShrinking = size < image.size;
  if (image.header.snapshotCount > 0 && (isShrinking || image.header.version < 3)) {
    throw refuse(writer, "ENOTSUP", size, "it has internal snapshots");
  }
  await writer.begin();
  if (!isShrinking) return await grow(writer, size);
  const oldSize = image.size;
  await dropRange(writer, size, oldSize);
  await writeSize(writer, size);
}
