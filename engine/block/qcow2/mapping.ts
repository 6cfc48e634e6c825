/** Which bytes of the file stand behind a range of the image. */

import type { ClusterEntry } from "./entries.ts";
import type { Qcow2Image } from "./image.ts";
import type { CachedTable } from "./table_cache.ts";

/** A range whose bytes come from one place. */
export interface MappedRun {
  /** How they are kept. */
  readonly kind: ClusterEntry["kind"];
  /** Where the first byte lies in the file, if it is kept as it is. */
  readonly host: number;
  /** How many bytes. */
  readonly length: number;
  /** The entry of the first cluster. */
  readonly entry: ClusterEntry;
}

const NOTHING: ClusterEntry = {
  kind: "unallocated",
  host: 0,
  isCopied: false,
  compressedBytes: 0,
};

/** How far no L2 table exists, from `offset` on. */
function missingTables(image: Qcow2Image, offset: number, length: number): MappedRun {
  const { tableSpan } = image.geometry;
  let index = Math.floor(offset / tableSpan) + 1;
  while (index * tableSpan < offset + length && image.l2Place(index).host === 0) index++;
  const end = Math.min(index * tableSpan, offset + length);
  return { kind: "unallocated", host: 0, length: end - offset, entry: NOTHING };
}

function goesOn(image: Qcow2Image, first: ClusterEntry, next: ClusterEntry, count: number) {
  if (first.kind !== next.kind || first.kind === "compressed") return false;
  return first.kind !== "standard" || next.host === first.host + count * image.geometry.clusterSize;
}

function runInTable(
  image: Qcow2Image,
  table: CachedTable,
  offset: number,
  length: number,
): MappedRun {
  const { clusterSize, l2Entries } = image.geometry;
  const index = Math.floor(offset / clusterSize) % l2Entries;
  const inside = offset % clusterSize;
  const entry = image.entryAt(table, index);
  let count = 1;
  while (
    count * clusterSize - inside < length && index + count < l2Entries &&
    goesOn(image, entry, image.entryAt(table, index + count), count)
  ) count++;
  const host = entry.kind === "standard" ? entry.host + inside : entry.host;
  return { kind: entry.kind, host, length: Math.min(length, count * clusterSize - inside), entry };
}

/** The first run of a range of the image; it does not reach over the end of an L2 table. */
export async function mapRun(
  image: Qcow2Image,
  offset: number,
  length: number,
): Promise<MappedRun> {
  const table = await image.acquireL2(Math.floor(offset / image.geometry.tableSpan));
  if (table === undefined) return missingTables(image, offset, length);
  try {
    return runInTable(image, table, offset, length);
  } finally {
    image.l2.release(table);
  }
}
