/**
 * The header: what it says, and whether it may be believed.
 *
 * - A header that comes out of `parseHeader` has been checked: every table lies inside the file and
 *   within its limit, so that nothing that is read because of it is larger than those limits.
 * - Extensions of unknown types are kept, and so is all that is not understood in the flags.
 *
 * May be used by the files of this folder. Source: QEMU docs/interop/qcow2.txt, Header.
 */

import { BlockError } from "../errors.ts";
import { malformed, unsupported } from "./failures.ts";
import * as layout from "./layout.ts";
import { FIELD } from "./layout.ts";
import type { CompressionType } from "./compression/codec.ts";
import { type HeaderExtension, parseExtensions } from "./header_extensions.ts";
import { readU64, viewOf } from "./words.ts";

/** What a header says. */
export interface Qcow2Header {
  /** 2 or 3. */
  readonly version: 2 | 3;
  /** Power of two of the cluster size: 9 to 21. */
  readonly clusterBits: number;
  /** Bytes that a guest sees. */
  readonly size: number;
  /** Entries of the L1 table. */
  readonly l1Size: number;
  /** Where the L1 table starts in the file. */
  readonly l1Offset: number;
  /** Where the refcount table starts in the file. */
  readonly refcountTableOffset: number;
  /** Its length in clusters. */
  readonly refcountTableClusters: number;
  /** Power of two of the bits of a refcount: 0 to 6. */
  readonly refcountOrder: number;
  /** Internal snapshots. */
  readonly snapshotCount: number;
  /** Where the table of snapshots starts in the file. */
  readonly snapshotOffset: number;
  /** How clusters are compressed, if any are. */
  readonly compressionType: CompressionType;
  /** Features that one must know. */
  readonly incompatible: bigint;
  /** Features that one may ignore. */
  readonly compatible: bigint;
  /** Features that a writer that ignores them must clear. */
  readonly autoclear: bigint;
  /** Name of the backing file as it is written there. */
  readonly backingName: string | undefined;
  /** Its format, such as `raw`. */
  readonly backingFormat: string | undefined;
  /** All extensions in their order. */
  readonly extensions: readonly HeaderExtension[];
}

/** Refuses what this program cannot do, by name. */
function checkFeatures(name: string, view: DataView, headerLength: number): void {
  const incompatible = view.getBigUint64(FIELD.incompatible);
  const bits = layout.INCOMPATIBLE;
  if (incompatible & bits.externalData) throw unsupported(name, "an external data file");
  if (incompatible & bits.extendedL2) throw unsupported(name, "an extended L2 table");
  const type = headerLength > FIELD.compressionType ? view.getUint8(FIELD.compressionType) : 0;
  if (type > 1) throw unsupported(name, `compression of type ${type}`);
  if ((incompatible & bits.compressionType) !== 0n !== (type === 1)) {
    throw malformed(name, `it says in one of two places that its compression is of type ${type}`);
  }
  const known = bits.dirty | bits.corrupt | bits.compressionType;
  const unknown = incompatible & ~known;
  if (unknown !== 0n) throw unsupported(name, `incompatible feature 0x${unknown.toString(16)}`);
}

function checkPlace(
  name: string,
  what: string,
  place: readonly [offset: number, bytes: number],
  clusterSize: number,
  fileSize: number,
): void {
  const [offset, bytes] = place;
  if (!Number.isSafeInteger(offset) || offset % clusterSize !== 0) {
    throw malformed(name, `${what} does not start at a cluster`);
  }
  if (bytes > 0 && (offset === 0 || offset + bytes > fileSize)) {
    throw malformed(name, `${what} does not lie inside the file`);
  }
}

function checkTables(name: string, header: Qcow2Header, fileSize: number): void {
  const clusterSize = 2 ** header.clusterBits;
  if (!Number.isSafeInteger(header.size)) {
    throw malformed(name, "its size is larger than 2^53 - 1 bytes");
  }
  const l1Needed = Math.ceil(header.size / (clusterSize * (clusterSize / 8)));
  if (header.l1Size * 8 > layout.L1_BYTES_MAX) {
    throw malformed(name, `its L1 table has ${header.l1Size} entries, which is too many`);
  }
  if (header.l1Size < l1Needed) {
    throw malformed(name, `its L1 table has ${header.l1Size} entries and needs ${l1Needed}`);
  }
  const place = (what: string, offset: number, bytes: number) =>
    checkPlace(name, what, [offset, bytes], clusterSize, fileSize);
  place("its L1 table", header.l1Offset, header.l1Size * 8);
  const refcountBytes = header.refcountTableClusters * clusterSize;
  if (refcountBytes === 0) throw malformed(name, "it has no refcount table");
  if (refcountBytes > layout.REFCOUNT_TABLE_BYTES_MAX) {
    throw malformed(name, `its refcount table has ${refcountBytes} bytes, which is too many`);
  }
  place("its refcount table", header.refcountTableOffset, refcountBytes);
  if (header.snapshotCount > layout.SNAPSHOT_COUNT_MAX) {
    throw malformed(name, `it has ${header.snapshotCount} snapshots, which is too many`);
  }
  place("its table of snapshots", header.snapshotOffset, header.snapshotCount);
}

function backingNameOf(name: string, bytes: Uint8Array, view: DataView): string | undefined {
  const offset = readU64(view, FIELD.backingOffset);
  if (offset === 0) return undefined;
  const length = view.getUint32(FIELD.backingSize);
  if (length > layout.BACKING_NAME_BYTES_MAX || offset + length > bytes.byteLength) {
    throw malformed(name, "the name of its backing file is too long or outside the first cluster");
  }
  return new TextDecoder().decode(bytes.subarray(offset, offset + length));
}

/** The fields that come first, with as many bytes as they need. */
function checkStart(name: string, bytes: Uint8Array): 2 | 3 {
  const view = viewOf(bytes);
  if (bytes.byteLength < layout.HEADER_BYTES_V2 || view.getUint32(FIELD.magic) !== layout.MAGIC) {
    throw malformed(name, "it does not start like one");
  }
  const version = view.getUint32(FIELD.version);
  if (version !== 2 && version !== 3) throw unsupported(name, `version ${version}`);
  if (version === 3 && bytes.byteLength < layout.HEADER_BYTES_V3) {
    throw malformed(name, "it ends inside its header");
  }
  const bits = view.getUint32(FIELD.clusterBits);
  if (bits < layout.CLUSTER_BITS_MIN || bits > layout.CLUSTER_BITS_MAX) {
    throw malformed(name, `its clusters have 2^${bits} bytes, which is out of range`);
  }
  const method = view.getUint32(FIELD.cryptMethod);
  if (method !== 0) throw unsupported(name, method === 2 ? "encryption with LUKS" : "encryption");
  return version;
}

/**
 * Bytes of the first cluster, as far as the first bytes of the file tell.
 *
 * @throws {BlockError} EINVAL when it is no qcow2 image, ENOTSUP when it is one of another kind
 */
export function firstClusterBytes(name: string, start: Uint8Array): number {
  checkStart(name, start);
  return 2 ** viewOf(start).getUint32(FIELD.clusterBits);
}

/**
 * Reads a header.
 *
 * @param name how texts name the image
 * @param bytes the first cluster, or as much of it as the file has
 * @param fileSize bytes of the file
 * @throws {BlockError} EINVAL when the header breaks the format; ENOTSUP, by name, for encryption,
 * external data files, extended L2 tables, other compression and unknown incompatible features
 */
export function parseHeader(name: string, bytes: Uint8Array, fileSize: number): Qcow2Header {
  const version = checkStart(name, bytes);
  const view = viewOf(bytes);
  const isV3 = version === 3;
  const headerLength = isV3 ? view.getUint32(FIELD.headerLength) : layout.HEADER_BYTES_V2;
  if (isV3 && (headerLength < layout.HEADER_BYTES_V3 || headerLength > bytes.byteLength)) {
    throw malformed(name, `its header has ${headerLength} bytes, which is out of range`);
  }
  if (isV3) checkFeatures(name, view, headerLength);
  const refcountOrder = isV3 ? view.getUint32(FIELD.refcountOrder) : 4;
  if (refcountOrder > layout.REFCOUNT_ORDER_MAX) {
    throw malformed(name, `its refcounts have 2^${refcountOrder} bits, which is out of range`);
  }
  const backingName = backingNameOf(name, bytes, view);
  const nameStart = readU64(view, FIELD.backingOffset);
  const extensionsEnd = nameStart === 0 ? bytes.byteLength : nameStart;
  const extensions = parseExtensions(name, bytes, headerLength, extensionsEnd);
  const format = extensions.find(({ type }) => type === layout.EXTENSION.backingFormat);
  const incompatible = isV3 ? view.getBigUint64(FIELD.incompatible) : 0n;
  const isZstd = (incompatible & layout.INCOMPATIBLE.compressionType) !== 0n;
  const header: Qcow2Header = {
    version,
    clusterBits: view.getUint32(FIELD.clusterBits),
    size: readU64(view, FIELD.size),
    l1Size: view.getUint32(FIELD.l1Size),
    l1Offset: readU64(view, FIELD.l1Offset),
    refcountTableOffset: readU64(view, FIELD.refcountTableOffset),
    refcountTableClusters: view.getUint32(FIELD.refcountTableClusters),
    refcountOrder,
    snapshotCount: view.getUint32(FIELD.snapshotCount),
    snapshotOffset: readU64(view, FIELD.snapshotOffset),
    compressionType: isZstd ? "zstd" : "zlib",
    incompatible,
    compatible: isV3 ? view.getBigUint64(FIELD.compatible) : 0n,
    autoclear: isV3 ? view.getBigUint64(FIELD.autoclear) : 0n,
    backingName,
    backingFormat: format === undefined ? undefined : new TextDecoder().decode(format.data),
    extensions,
  };
  checkTables(name, header, fileSize);
  return header;
}

/**
 * Checks that an image may be written.
 *
 * @throws {BlockError} EROFS when it is marked as corrupt
 */
export function checkMayWrite(name: string, header: Qcow2Header): void {
  if ((header.incompatible & layout.INCOMPATIBLE.corrupt) === 0n) return;
  throw new BlockError("EROFS", `Cannot open "${name}" for writing: it is marked as corrupt`, {
    operation: "open",
    subject: name,
    hint: "Open it for reading only, or have it repaired first.",
  });
}
