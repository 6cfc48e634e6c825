/**
 * Entries of the L1 and L2 tables: 8 bytes that say where something lies, and how.
 *
 * ```text
 * bit   63       62          61 .. 56   55 .. 9        8 .. 1    0
 *       copied   compressed  reserved   host offset    reserved  zero
 * ```
 *
 * `copied` says that the refcount is exactly 1, so that the cluster may be written in place.
 * Source: QEMU docs/interop/qcow2.txt, Cluster mapping.
 */

import { SECTOR_BYTES } from "./layout.ts";
import { writeU64 } from "./words.ts";

/** How a cluster's bytes are kept. `zero` may have a host cluster that is kept for later. */
export type ClusterKind = "unallocated" | "zero" | "standard" | "compressed";

/** What an L2 entry says of one cluster. */
export interface ClusterEntry {
  /** How its bytes are kept. */
  readonly kind: ClusterKind;
  /** Where they lie in the file; 0 = nowhere. */
  readonly host: number;
  /** True if the host cluster belongs to this entry alone. */
  readonly isCopied: boolean;
  /** Bytes to read for a compressed cluster, a little more than needed; else 0. */
  readonly compressedBytes: number;
}

const COPIED_HIGH = 0x8000_0000;
const COMPRESSED_HIGH = 0x4000_0000;
const OFFSET_HIGH = 0x00ff_ffff;
const OFFSET_LOW = 0xffff_fe00;
const TWO_32 = 4_294_967_296;
const NOWHERE: ClusterEntry = { kind: "unallocated", host: 0, isCopied: false, compressedBytes: 0 };

function hostOf(high: number, low: number): number {
  return (high & OFFSET_HIGH) * TWO_32 + ((low & OFFSET_LOW) >>> 0);
}

function compressedEntry(view: DataView, at: number, clusterBits: number): ClusterEntry {
  const bits = view.getBigUint64(at) & 0x3fff_ffff_ffff_ffffn;
  const offsetBits = BigInt(62 - (clusterBits - 8));
  const host = Number(bits & ((1n << offsetBits) - 1n));
  const sectors = Number(bits >> offsetBits) + 1;
  const compressedBytes = sectors * SECTOR_BYTES - host % SECTOR_BYTES;
  return { kind: "compressed", host, isCopied: false, compressedBytes };
}

/** Reads entry `index` of an L2 table. */
export function readClusterEntry(view: DataView, index: number, clusterBits: number): ClusterEntry {
  const high = view.getUint32(index * 8);
  const low = view.getUint32(index * 8 + 4);
  if (high === 0 && low === 0) return NOWHERE;
  if ((high & COMPRESSED_HIGH) !== 0) return compressedEntry(view, index * 8, clusterBits);
  const host = hostOf(high, low);
  const isCopied = (high & COPIED_HIGH) !== 0;
  if ((low & 1) !== 0) return { kind: "zero", host, isCopied, compressedBytes: 0 };
  if (host === 0) return NOWHERE;
  return { kind: "standard", host, isCopied, compressedBytes: 0 };
}

/** Writes entry `index` of a table: a host offset, owned alone, or nothing if it is 0. */
export function writeEntry(view: DataView, index: number, host: number, isZero = false): void {
  writeU64(view, index * 8, host);
  if (host !== 0) view.setUint32(index * 8, (view.getUint32(index * 8) | COPIED_HIGH) >>> 0);
  if (isZero) view.setUint32(index * 8 + 4, (view.getUint32(index * 8 + 4) | 1) >>> 0);
}

/** Writes entry `index` of an L2 table: a compressed cluster of so many bytes. */
export function writeCompressedEntry(
  view: DataView,
  index: number,
  { host, packedBytes }: { readonly host: number; readonly packedBytes: number },
  clusterBits: number,
): void {
  const offsetBits = BigInt(62 - (clusterBits - 8));
  const last = Math.floor((host + packedBytes - 1) / SECTOR_BYTES);
  const sectors = BigInt(last - Math.floor(host / SECTOR_BYTES));
  view.setBigUint64(index * 8, 1n << 62n | sectors << offsetBits | BigInt(host));
}

/** Where a table or a refcount block lies, and whether it belongs to one owner. */
export interface TablePlace {
  /** Offset in the file; 0 = there is none. */
  readonly host: number;
  /** True if it may be changed in place. */
  readonly isCopied: boolean;
}

/** Reads entry `index` of an L1 table or of a refcount table. */
export function readPlace(view: DataView, index: number): TablePlace {
  const high = view.getUint32(index * 8);
  const host = hostOf(high, view.getUint32(index * 8 + 4));
  return { host, isCopied: (high & COPIED_HIGH) !== 0 };
}
