/**
 * Zeros and discards: table entries instead of bytes, wherever the format has one.
 *
 * | entry was | zero | discard |
 * |---|---|---|
 * | nothing, and nothing below | stays | stays |
 * | nothing, something below | zero flag; version 2: zeros are written | zero flag, or nothing |
 * | zero | stays | stays; a kept cluster is let go |
 * | data of its own | version 3: zero flag, the cluster is kept for later | nothing, or zero flag |
 * | compressed or shared | as above, the cluster is let go | as above |
 *
 * A discard sets the zero flag where something is below: version 2 has none, so nothing is done.
 *
 * May be used by the files of this folder. Source: QEMU 7.2 block/qcow2-cluster.c,
 * zero_in_l2_slice and discard_in_l2_slice.
 */

import type { CachedTable } from "./table_cache.ts";
import type { Qcow2Writer } from "./writer.ts";
import { mapRun } from "./mapping.ts";

/** Zeros that are written where the format has no entry for them. */
const ZEROS = new Uint8Array(65_536);

type Change = (table: CachedTable, index: number, offset: number) => boolean;

/** What is below may show through at `offset`: also what the header names and is not open now. */
function hasBelow({ image }: Qcow2Writer, offset: number): boolean {
  const { backing, header } = image;
  return backing === undefined ? header.backingName !== undefined : backing.size > offset;
}

async function writeZeros(writer: Qcow2Writer, offset: number, length: number): Promise<void> {
  for (let done = 0; done < length; done += ZEROS.byteLength) {
    await writer.write(offset + done, ZEROS.subarray(0, Math.min(ZEROS.byteLength, length - done)));
  }
}

/** Zeros a part of a cluster, unless it is zero already. */
async function zeroPart(writer: Qcow2Writer, offset: number, length: number): Promise<void> {
  const { kind } = await mapRun(writer.image, offset, length);
  if (kind === "zero" || (kind === "unallocated" && !hasBelow(writer, offset))) return;
  await writeZeros(writer, offset, length);
}

/** Zeros one cluster by its entry; false if version 2 has no such entry. */
function zeroEntry(writer: Qcow2Writer, table: CachedTable, index: number, offset: number) {
  const { image } = writer;
  const { kind, host, isCopied } = image.entryAt(table, index);
  if (kind === "zero" || (kind === "unallocated" && !hasBelow(writer, offset))) return true;
  if (image.header.version < 3) {
    if (hasBelow(writer, offset)) return false;
    writer.replace(table, index, 0, false);
    return true;
  }
  writer.replace(table, index, kind === "standard" && isCopied ? host : 0, true);
  return true;
}

/** Forgets one cluster. */
function discardEntry(writer: Qcow2Writer, table: CachedTable, index: number, offset: number) {
  const { image } = writer;
  const { kind, host } = image.entryAt(table, index);
  if (kind === "zero" && host === 0) return true;
  const isBelow = hasBelow(writer, offset);
  if (kind === "unallocated" && !isBelow) return true;
  const isZero = kind === "zero" || isBelow;
  if (!isZero || image.header.version >= 3) writer.replace(table, index, 0, isZero);
  return true;
}

/** Applies `change` to whole clusters; those that it cannot change are filled with zeros. */
async function changeClusters(
  writer: Qcow2Writer,
  range: readonly [from: number, to: number],
  change: Change,
  mayMakeTable: boolean,
): Promise<void> {
  const { clusterSize, tableSpan, l2Entries } = writer.image.geometry;
  for (let at = range[0]; at < range[1];) {
    const tableIndex = Math.floor(at / tableSpan);
    const end = Math.min(range[1], (tableIndex + 1) * tableSpan);
    const hasTable = writer.image.l2Place(tableIndex).host !== 0;
    const left: number[] = [];
    if (hasTable || (mayMakeTable && hasBelow(writer, at))) {
      await writer.withTable(tableIndex, (table) => {
        for (let offset = at; offset < end; offset += clusterSize) {
          const index = Math.floor(offset / clusterSize) % l2Entries;
          if (!change(table, index, offset)) left.push(offset);
        }
        return Promise.resolve();
      });
    }
    for (const offset of left) await writeZeros(writer, offset, clusterSize);
    await writer.relieve();
    at = end;
  }
}

/** The whole clusters of a range; the one that the image ends in is whole. */
function wholeClusters(writer: Qcow2Writer, offset: number, length: number) {
  const { clusterSize } = writer.image.geometry;
  const end = offset + length;
  const from = Math.ceil(offset / clusterSize) * clusterSize;
  const isTail = end === writer.image.size;
  const to = (isTail ? Math.ceil(end / clusterSize) : Math.floor(end / clusterSize)) * clusterSize;
  return [from, to] as const;
}

/** Makes a range read as zeros. */
export async function zeroRange(
  writer: Qcow2Writer,
  offset: number,
  length: number,
): Promise<void> {
  await writer.begin();
  const [from, to] = wholeClusters(writer, offset, length);
  const end = offset + length;
  if (from >= to) {
    // No whole cluster: one part, or two parts that meet at a boundary.
    const middle = Math.min(from, end);
    if (middle > offset) await zeroPart(writer, offset, middle - offset);
    if (end > middle) await zeroPart(writer, middle, end - middle);
    return;
  }
  if (from > offset) await zeroPart(writer, offset, from - offset);
  const change: Change = (table, index, at) => zeroEntry(writer, table, index, at);
  await changeClusters(writer, [from, to], change, true);
  if (end > to) await zeroPart(writer, to, end - to);
}

/** Forgets the whole clusters of a range. */
export async function discardRange(
  writer: Qcow2Writer,
  offset: number,
  length: number,
): Promise<void> {
  await writer.begin();
  const range = wholeClusters(writer, offset, length);
  const change: Change = (table, index, at) => discardEntry(writer, table, index, at);
  // Over a backing file, what was let go reads as zeros: that has to be said in a table.
  await changeClusters(writer, range, change, writer.image.header.version >= 3);
}

/** Takes everything from `offset` on out of the tables, so that the image may end there. */
export async function dropRange(writer: Qcow2Writer, offset: number, end: number): Promise<void> {
  const { clusterSize } = writer.image.geometry;
  const from = Math.ceil(offset / clusterSize) * clusterSize;
  const to = Math.ceil(end / clusterSize) * clusterSize;
  await changeClusters(writer, [from, to], (table, index) => {
    writer.replace(table, index, 0, false);
    return true;
  }, false);
}
