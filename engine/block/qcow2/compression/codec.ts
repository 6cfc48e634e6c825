/**
 * The two ways in which a cluster may be compressed, as QEMU does it: raw deflate with a window of
 * 4 KiB, and zstd.
 *
 * - Packing is done at once: it belongs on a thread; see `packers.ts`.
 * - What does not get shorter is not packed.
 *
 * Source: QEMU 7.2 block/qcow2-threads.c.
 */

import { constants, deflateRawSync, inflateRaw, zstdCompressSync, zstdDecompress } from "node:zlib";
import { zstdFrameBytes } from "./zstd_frames.ts";

/** How the clusters of an image are compressed, all of them alike. */
export type CompressionType = "zlib" | "zstd";

/** Clusters that are to be packed. */
export interface PackRequest {
  /** How. */
  readonly type: CompressionType;
  /** Bytes of a cluster. */
  readonly clusterSize: number;
  /** One whole cluster or more. */
  readonly bytes: Uint8Array;
}

/** Clusters that were packed. */
export interface PackedClusters {
  /** Bytes of each; 0 = it does not get shorter. */
  readonly lengths: readonly number[];
  /** The packed ones, one behind the other. */
  readonly bytes: Uint8Array;
}

/** QEMU reads with a window of this size, so that no other may be written. */
const WINDOW_BITS = 12;

function pack(type: CompressionType, cluster: Uint8Array): Uint8Array {
  if (type === "zstd") return zstdCompressSync(cluster);
  const chunkSize = Math.max(1_024, cluster.byteLength);
  return deflateRawSync(cluster, { windowBits: WINDOW_BITS, memLevel: 9, chunkSize });
}

/** Packs each cluster by itself, in the thread that calls. */
export function packClusters({ type, clusterSize, bytes }: PackRequest): PackedClusters {
  const packed: Uint8Array[] = [];
  const lengths: number[] = [];
  for (let at = 0; at < bytes.byteLength; at += clusterSize) {
    const cluster = pack(type, bytes.subarray(at, at + clusterSize));
    const isShorter = cluster.byteLength < clusterSize;
    lengths.push(isShorter ? cluster.byteLength : 0);
    if (isShorter) packed.push(cluster);
  }
  const joined = new Uint8Array(packed.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let end = 0;
  for (const cluster of packed) {
    joined.set(cluster, end);
    end += cluster.byteLength;
  }
  return { lengths, bytes: joined };
}

function inflate(bytes: Uint8Array, bytesMax: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    // The length is kept in sectors, so that other bytes may follow; an end that is cut off shows
    // in the length of what comes out.
    const options = {
      maxOutputLength: bytesMax,
      chunkSize: Math.max(1_024, bytesMax),
      finishFlush: constants.Z_SYNC_FLUSH,
    };
    inflateRaw(bytes, options, (error, result) => error ? reject(error) : resolve(result));
  });
}

function unpackFrame(frame: Uint8Array, bytesMax: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const options = { maxOutputLength: Math.max(1, bytesMax) };
    zstdDecompress(frame, options, (error, result) => error ? reject(error) : resolve(result));
  });
}

/** A cluster may be several frames; what follows them is another cluster's. */
async function unpackFrames(bytes: Uint8Array, clusterSize: number): Promise<Uint8Array> {
  const cluster = new Uint8Array(clusterSize);
  let [from, done] = [0, 0];
  while (done < clusterSize) {
    const length = zstdFrameBytes(bytes, from);
    if (length === undefined) return cluster.subarray(0, done);
    const contents = await unpackFrame(bytes.subarray(from, from + length), clusterSize - done);
    cluster.set(contents, done);
    [from, done] = [from + length, done + contents.byteLength];
  }
  return cluster;
}

/**
 * Unpacks one cluster.
 *
 * @param bytes where it starts, and all of it; whatever follows does not count
 * @returns at most a cluster; fewer bytes if it was cut off
 * @throws when it is not what it should be
 */
export async function unpackCluster(
  type: CompressionType,
  bytes: Uint8Array,
  clusterSize: number,
): Promise<Uint8Array> {
  return await (type === "zstd" ? unpackFrames(bytes, clusterSize) : inflate(bytes, clusterSize));
}
