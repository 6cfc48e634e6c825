/** Clusters that were compressed with zlib (raw deflate). */

import { constants, inflateRaw } from "node:zlib";
import type { ClusterEntry } from "./entries.ts";
import { corrupt } from "./failures.ts";
import type { Qcow2Image } from "./image.ts";

function inflate(bytes: Uint8Array, bytesMax: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    // The length is kept in sectors, so that other bytes may follow; an end that is cut off shows
    // in the length of what comes out.
    const options = { maxOutputLength: bytesMax, finishFlush: constants.Z_SYNC_FLUSH };
    inflateRaw(bytes, options, (error, result) => error ? reject(error) : resolve(result));
  });
}

/**
 * Reads a compressed cluster.
 *
 * @returns exactly one cluster
 * @throws {BlockError} EIO when its bytes are not what they should be
 */
export async function readCompressed(image: Qcow2Image, entry: ClusterEntry): Promise<Uint8Array> {
  const { clusterSize } = image.geometry;
  if (entry.host >= image.file.size) {
    throw corrupt(image.name, "read", `a compressed cluster lies behind the end of the file`);
  }
  const packed = new Uint8Array(entry.compressedBytes);
  await image.readFile("read_compressed", entry.host, packed);
  let bytes: Uint8Array;
  try {
    bytes = await inflate(packed, clusterSize);
  } catch {
    throw corrupt(image.name, "read", `the compressed cluster at ${entry.host} cannot be unpacked`);
  }
  if (bytes.byteLength === clusterSize) return bytes;
  const found = `${bytes.byteLength} bytes instead of ${clusterSize}`;
  throw corrupt(image.name, "read", `the compressed cluster at ${entry.host} has ${found}`);
}
