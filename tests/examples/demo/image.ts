/**
 * The demo's disk image: made when none is given, and compared afterwards.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { type FileHandle, open, stat } from "node:fs/promises";

const MIB = 2 ** 20;

/** Size of the image that the demo makes: 256 MiB. */
export const IMAGE_BYTES = 256 * MIB;

/** Length of each stretch of data, and of each hole between two of them: 16 MiB. */
const STRETCH_BYTES = 16 * MIB;

/** Makes a sparse raw image: every other stretch holds data, the rest are holes. */
export async function makeImage(path: string): Promise<void> {
  const file = await open(path, "w");
  try {
    for (let offset = 0; offset < IMAGE_BYTES; offset += 2 * STRETCH_BYTES) {
      for (let at = offset; at < offset + STRETCH_BYTES; at += MIB) {
        await file.write(pattern(at), 0, MIB, at);
      }
    }
    await file.truncate(IMAGE_BYTES);
  } finally {
    await file.close();
  }
}

/** One MiB that is different at every offset. */
function pattern(offset: number): Buffer {
  const seed = createHash("sha512").update(`stretch at ${offset}`).digest();
  const block = Buffer.alloc(MIB);
  for (let at = 0; at < MIB; at += seed.length) {
    seed.writeUInt32LE(at, 0);
    seed.copy(block, at);
  }
  return block;
}

/** What a file takes: its length, and what of it is really stored. */
export async function sizesOf(path: string): Promise<{ bytes: number; storedBytes: number }> {
  const { size, blocks } = await stat(path);
  return { bytes: size, storedBytes: blocks * 512 };
}

/** Compares two files byte by byte. @returns the first offset that differs; undefined = equal */
export async function firstDifference(a: string, b: string): Promise<number | undefined> {
  const [left, right] = [await open(a), await open(b)];
  try {
    const size = Math.max((await left.stat()).size, (await right.stat()).size);
    for (let offset = 0; offset < size; offset += 4 * MIB) {
      const [one, other] = [await block(left, offset), await block(right, offset)];
      if (Buffer.compare(one, other) === 0) continue;
      return offset + one.findIndex((byte, index) => byte !== other[index]);
    }
    return undefined;
  } finally {
    await left.close();
    await right.close();
  }
}

async function block(file: FileHandle, offset: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(4 * MIB);
  const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
  return buffer.subarray(0, bytesRead);
}
