/**
 * Writing compressed clusters.
 *
 * - Packed, then given room, then written, then pointed to: a process that dies in between leaves
 *   leaks, and no entry points to bytes that are not there.
 * - All of a request or nothing: entries change at one moment, after everything was written.
 * - A cluster that does not get shorter is written as it is.
 * - What has a cluster of its own is not overwritten: EIO, as in QEMU.
 *
 * May be used by `qcow2_node.ts`. Source: QEMU 7.2 block/qcow2.c
 * qcow2_co_pwritev_compressed_part, block/qcow2-cluster.c qcow2_alloc_compressed_cluster_offset.
 *
 * Differs from QEMU: a compressed cluster that is overwritten is given back, and not leaked.
 */

import { BlockError } from "../errors.ts";
import { writeCompressedEntry } from "./entries.ts";
import { SECTOR_BYTES } from "./layout.ts";
import type { CachedTable } from "./table_cache.ts";
import { roundUp } from "./words.ts";
import type { Qcow2Writer } from "./writer.ts";

/** A cluster in the file, and what the tables are to say of it. */
interface Placed {
  readonly host: number;
  /** Bytes of a packed one; 0 = it lies there as it is. */
  readonly packedBytes: number;
}

function refuse(writer: Qcow2Writer, code: string, offset: number, why: string): BlockError {
  const { name } = writer.image;
  const action = `Cannot write "${name}" at ${offset} compressed`;
  return new BlockError(code, `${action}: ${why}`, { operation: "write", subject: name });
}

/** Whole clusters: what is behind the end of the image is zeros. */
function padded(writer: Qcow2Writer, offset: number, bytes: Uint8Array): Uint8Array {
  const { geometry: { clusterSize }, size } = writer.image;
  const rest = bytes.byteLength % clusterSize;
  if (offset % clusterSize === 0 && rest === 0) return bytes;
  // The last sector of an image may hold the end of a source that is not counted in sectors.
  const isTail = offset + bytes.byteLength > size - SECTOR_BYTES;
  if (offset % clusterSize !== 0 || !isTail) {
    throw refuse(writer, "EINVAL", offset, `${bytes.byteLength} bytes are no whole clusters`);
  }
  const whole = new Uint8Array(roundUp(bytes.byteLength, clusterSize));
  whole.set(bytes);
  return whole;
}

/** Hands all tables of a range to `use`, held until it settles. */
async function withTables(
  writer: Qcow2Writer,
  range: readonly [first: number, last: number],
  use: (tables: readonly CachedTable[]) => Promise<void>,
  held: readonly CachedTable[] = [],
): Promise<void> {
  const [first, last] = range;
  if (first > last) return await use(held);
  await writer.withTable(
    first,
    (table) => withTables(writer, [first + 1, last], use, [...held, table]),
  );
}

/** Writes packed clusters with as few accesses as their places allow. */
async function writePacked(
  writer: Qcow2Writer,
  pieces: readonly Uint8Array[],
  places: readonly number[],
): Promise<void> {
  for (let first = 0; first < pieces.length;) {
    const start = places[first]!;
    let [next, end] = [first, start];
    while (next < pieces.length && places[next] === end) end += pieces[next++]!.byteLength;
    const bytes = new Uint8Array(end - start);
    for (let index = first; index < next; index++) {
      bytes.set(pieces[index]!, places[index]! - start);
    }
    await writer.image.writeFile("write_compressed", start, bytes);
    first = next;
  }
}

async function placePacked(
  writer: Qcow2Writer,
  pieces: readonly Uint8Array[],
): Promise<readonly Placed[]> {
  const lengths = pieces.map(({ byteLength }) => byteLength);
  const places = await writer.packed.take(lengths);
  try {
    await writePacked(writer, pieces, places);
  } catch (error) {
    await writer.packed.undo(places, lengths);
    throw error;
  }
  return places.map((host, index) => ({ host, packedBytes: lengths[index]! }));
}

async function placePlain(writer: Qcow2Writer, bytes: Uint8Array): Promise<readonly Placed[]> {
  const { clusterSize } = writer.image.geometry;
  const placed: Placed[] = [];
  try {
    for (let at = 0; at < bytes.byteLength;) {
      const { host, count } = await writer.allocator.allocate(
        (bytes.byteLength - at) / clusterSize,
      );
      for (let index = 0; index < count; index++) {
        placed.push({ host: host + index * clusterSize, packedBytes: 0 });
      }
      const piece = bytes.subarray(at, at + count * clusterSize);
      await writer.image.writeFile("write_aio", host, piece);
      at += piece.byteLength;
    }
    return placed;
  } catch (error) {
    await undo(writer, placed);
    throw error;
  }
}

async function undo(writer: Qcow2Writer, placed: readonly Placed[]): Promise<void> {
  const packed = placed.filter(({ packedBytes }) => packedBytes > 0);
  await writer.packed.undo(
    packed.map(({ host }) => host),
    packed.map(({ packedBytes }) => packedBytes),
  );
  for (const { host, packedBytes } of placed) {
    if (packedBytes === 0) await writer.allocator.undo(host, 1);
  }
}

/** Writes clusters to the file: runs of packed ones, runs of those that do not get shorter. */
async function place(writer: Qcow2Writer, bytes: Uint8Array): Promise<readonly Placed[]> {
  const { clusterSize } = writer.image.geometry;
  const packed = await writer.packed.packers.pack(bytes);
  const placed: Placed[] = [];
  try {
    for (let first = 0; first < packed.length;) {
      const isPacked = packed[first] !== undefined;
      let next = first + 1;
      while (next < packed.length && (packed[next] !== undefined) === isPacked) next++;
      const plain = bytes.subarray(first * clusterSize, next * clusterSize);
      placed.push(
        ...isPacked
          ? await placePacked(writer, packed.slice(first, next) as Uint8Array[])
          : await placePlain(writer, plain),
      );
      first = next;
    }
    return placed;
  } catch (error) {
    await undo(writer, placed);
    throw error;
  }
}

/**
 * Writes compressed clusters.
 *
 * @param offset a cluster's start
 * @param bytes whole clusters, or up to the end of the image; the caller holds them
 * @throws {BlockError} EINVAL for anything else; EIO when one of them has a cluster of its own
 */
export async function writeCompressed(
  writer: Qcow2Writer,
  offset: number,
  bytes: Uint8Array,
): Promise<void> {
  const { image } = writer;
  const { clusterSize, tableSpan, l2Entries } = image.geometry;
  const whole = padded(writer, offset, bytes);
  if (whole.byteLength === 0) return;
  await writer.begin();
  const first = offset / clusterSize;
  const count = whole.byteLength / clusterSize;
  const firstTable = Math.floor(offset / tableSpan);
  const range = [firstTable, Math.floor((first + count - 1) / l2Entries)] as const;
  await withTables(writer, range, async (tables) => {
    const tableOf = (cluster: number) => tables[Math.floor(cluster / l2Entries) - firstTable]!;
    for (let cluster = first; cluster < first + count; cluster++) {
      const { host, isCopied } = image.entryAt(tableOf(cluster), cluster % l2Entries);
      if (host === 0 || !isCopied) continue;
      throw refuse(writer, "EIO", cluster * clusterSize, "a cluster is allocated there");
    }
    for (const [index, { host, packedBytes }] of (await place(writer, whole)).entries()) {
      const [table, slot] = [tableOf(first + index), (first + index) % l2Entries];
      writer.replace(table, slot, packedBytes === 0 ? host : 0, false);
      if (packedBytes === 0) continue;
      writeCompressedEntry(table.view, slot, { host, packedBytes }, image.geometry.clusterBits);
    }
  });
  await writer.relieve();
}
