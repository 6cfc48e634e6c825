/**
 * An opened qcow2 file: its header, its tables, and access to its bytes that cannot leave the file.
 *
 * - The L1 table is in memory (32 MiB at most); L2 tables come and go.
 * - Nothing is read because of a table entry before the entry was checked against the file.
 *
 * May be used by the files of this folder; `qcow2_node.ts` makes a node of it.
 */

import type { DebugEvent } from "../debug_events.ts";
import type { BlockNode } from "../node.ts";
import { type ClusterEntry, readClusterEntry, readPlace, type TablePlace } from "./entries.ts";
import { corrupt } from "./failures.ts";
import { firstClusterBytes, parseHeader, type Qcow2Header } from "./header.ts";
import { HEADER_BYTES_V2 } from "./layout.ts";
import { type CachedTable, TableCache } from "./table_cache.ts";
import { viewOf } from "./words.ts";

/** Bytes of L2 tables, and of refcount blocks, that are kept in memory. */
const CACHE_BYTES = 8_388_608;

/** How many tables of one cluster may be kept: 4 to 4,096. */
export function tablesKept(clusterSize: number): number {
  return Math.max(4, Math.min(4_096, CACHE_BYTES / clusterSize));
}

/** Sizes that follow from the cluster size. */
export interface Geometry {
  /** Power of two of the cluster size. */
  readonly clusterBits: number;
  /** Bytes of a cluster. */
  readonly clusterSize: number;
  /** Entries of an L2 table. */
  readonly l2Entries: number;
  /** Bytes of the image that one L2 table speaks of. */
  readonly tableSpan: number;
}

/** The state of an opened image. */
export class Qcow2Image {
  /** The node of the file. */
  readonly file: BlockNode;
  /** What shows through where nothing is allocated. */
  backing: BlockNode | undefined;
  /** The header as it is in the file. */
  header: Qcow2Header;
  /** Sizes that follow from the cluster size. */
  readonly geometry: Geometry;
  /** The L1 table. */
  l1: Uint8Array;
  /** The same as numbers. */
  l1View: DataView;
  /** L2 tables by their number in the L1 table. */
  readonly l2: TableCache;
  /** Bytes that a guest sees. */
  size: number;
  /** Where the directory of bitmaps is, once it was looked for. */
  bitmapDirectory: { readonly offset: number; readonly bytes: number } | undefined;

  private constructor(file: BlockNode, header: Qcow2Header, l1: Uint8Array, backing?: BlockNode) {
    this.file = file;
    this.backing = backing;
    this.header = header;
    const clusterSize = 2 ** header.clusterBits;
    const l2Entries = clusterSize / 8;
    const tableSpan = clusterSize * l2Entries;
    this.geometry = { clusterBits: header.clusterBits, clusterSize, l2Entries, tableSpan };
    this.l1 = l1;
    this.l1View = viewOf(l1);
    this.size = header.size;
    this.l2 = new TableCache({
      tableBytes: clusterSize,
      keptMax: tablesKept(clusterSize),
      load: (index, host, bytes) => this.readTable("l2_load", host, `L2 table ${index}`, bytes),
    });
  }

  /** How texts name it. */
  get name(): string {
    return this.file.name;
  }

  /**
   * Reads the header and the L1 table.
   *
   * @throws {BlockError} as `parseHeader`
   */
  static async load(file: BlockNode, header: Qcow2Header, backing?: BlockNode) {
    const l1 = new Uint8Array(header.l1Size * 8);
    if (l1.byteLength > 0) await file.read(header.l1Offset, l1);
    return new Qcow2Image(file, header, l1, backing);
  }

  /** Reads and checks the header of a file. */
  static async readHeader(file: BlockNode): Promise<Qcow2Header> {
    const start = new Uint8Array(Math.min(file.size, HEADER_BYTES_V2 + 32));
    await file.read(0, start);
    const clusterSize = firstClusterBytes(file.name, start);
    const bytes = new Uint8Array(Math.min(file.size, clusterSize));
    await file.read(0, bytes);
    return parseHeader(file.name, bytes, file.size);
  }

  /** Takes over another L1 table. */
  setL1(l1: Uint8Array): void {
    this.l1 = l1;
    this.l1View = viewOf(l1);
  }

  /** Where L2 table `index` lies. */
  l2Place(index: number): TablePlace {
    return readPlace(this.l1View, index);
  }

  /** The L2 table, pinned; undefined if there is none. */
  async acquireL2(index: number): Promise<CachedTable | undefined> {
    const { host } = this.l2Place(index);
    return host === 0 ? undefined : await this.l2.acquire(index, host);
  }

  /** Reads a table of one cluster into `bytes`. */
  async readTable(
    event: DebugEvent,
    host: number,
    what: string,
    bytes: Uint8Array,
  ): Promise<void> {
    const { clusterSize } = this.geometry;
    if (host % clusterSize !== 0 || host === 0 || host + clusterSize > this.file.size) {
      throw corrupt(this.name, "read", `${what} at ${host} does not lie inside the file`);
    }
    await this.readFile(event, host, bytes);
  }

  /** Tells the file what for, and reads; what lies behind its end is zero, as it is in a hole. */
  async readFile(event: DebugEvent, offset: number, bytes: Uint8Array): Promise<void> {
    this.file.debugEvent?.(event);
    const inside = Math.max(0, Math.min(bytes.byteLength, this.file.size - offset));
    if (inside < bytes.byteLength) bytes.fill(0, inside);
    if (inside > 0) await this.file.read(offset, bytes.subarray(0, inside));
  }

  /** Tells the file what for, and writes. */
  async writeFile(event: DebugEvent, offset: number, bytes: Uint8Array): Promise<void> {
    this.file.debugEvent?.(event);
    await this.file.write(offset, bytes);
  }

  /** Flushes the file. */
  async flushFile(): Promise<void> {
    this.file.debugEvent?.("flush_to_os");
    this.file.debugEvent?.("flush_to_disk");
    await this.file.flush();
  }

  /** Reads bytes of the backing chain; what lies behind its end is zero. */
  async readBacking(offset: number, bytes: Uint8Array): Promise<void> {
    const size = this.backing?.size ?? 0;
    const inside = Math.max(0, Math.min(bytes.byteLength, size - offset));
    if (inside < bytes.byteLength) bytes.fill(0, inside);
    if (inside > 0) this.file.debugEvent?.("read_backing_aio");
    if (inside > 0) await this.backing?.read(offset, bytes.subarray(0, inside));
  }

  /** The entry of a cluster, checked against the rules of the format. */
  entryAt(table: CachedTable, index: number): ClusterEntry {
    const entry = readClusterEntry(table.view, index, this.geometry.clusterBits);
    const { kind, host } = entry;
    if (kind === "unallocated" || (kind === "zero" && host === 0 && this.header.version === 3)) {
      return entry;
    }
    if (kind === "zero" && this.header.version < 3) {
      throw corrupt(this.name, "read", "it has a zero cluster in version 2");
    }
    const isPlaced = kind === "compressed" || host % this.geometry.clusterSize === 0;
    if (!isPlaced || !Number.isSafeInteger(host) || host < this.geometry.clusterSize) {
      throw corrupt(this.name, "read", `a cluster lies at ${host}, which cannot be`);
    }
    return entry;
  }
}
