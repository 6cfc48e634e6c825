/** Reading compressed clusters. */

import { unpackCluster } from "./compression/codec.ts";
import type { ClusterEntry } from "./entries.ts";
import { corrupt } from "./failures.ts";
import type { Qcow2Image } from "./image.ts";

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
    bytes = await unpackCluster(image.header.compressionType, packed, clusterSize);
  } catch {
    throw corrupt(image.name, "read", `the compressed cluster at ${entry.host} cannot be unpacked`);
  }
  if (bytes.byteLength === clusterSize) return bytes;
  const found = `${bytes.byteLength} bytes instead of ${clusterSize}`;
  throw corrupt(image.name, "read", `the compressed cluster at ${entry.host} has ${found}`);
}
