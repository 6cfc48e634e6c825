/**
 * Making images: a header, one refcount table, one refcount block; the rest grows as in any image.
 *
 * The header is written last, so that a file that was not finished is no image at all.
 *
 * May be used by whoever opens images. Source: QEMU 7.2 block/qcow2.c qcow2_co_create.
 */

import { BlockError } from "../errors.ts";
import { FileNode } from "../file_node.ts";
import type { BlockNode } from "../node.ts";
import { openQcow2 } from "./chain.ts";
import type { CompressionType } from "./compression/codec.ts";
import {
  encodeExtensions,
  type FeatureName,
  featureNamesExtension,
  type HeaderExtension,
} from "./header_extensions.ts";
import { Qcow2Image } from "./image.ts";
import * as layout from "./layout.ts";
import { FIELD } from "./layout.ts";
import { writeCount } from "./refcount_widths.ts";
import { resizeImage } from "./resize.ts";
import { viewOf, writeU64 } from "./words.ts";
import { Qcow2Writer } from "./writer.ts";

/** What a new image is like. */
export interface Qcow2CreateOptions {
  /** Bytes that a guest sees. 0 and more. */
  readonly size: number;
  /** Bytes of a cluster: a power of two, 512 to 2 MiB. @default 65536 */
  readonly clusterSize?: number;
  /** Version 2 or version 3, as QEMU names them. @default "1.1" */
  readonly compat?: "0.10" | "1.1";
  /** Bits of a refcount: a power of two, 1 to 64; version 2 has 16. @default 16 */
  readonly refcountBits?: number;
  /** Allows writers to write refcounts late. Needs version 3. @default false */
  readonly lazyRefcounts?: boolean;
  /** How clusters are compressed, if any are. `zstd` needs version 3. @default "zlib" */
  readonly compressionType?: CompressionType;
  /** Name of the backing file; relative names are meant from the folder of the new image. */
  readonly backingFile?: string;
  /** Its format. Needed with `backingFile`. */
  readonly backingFormat?: "raw" | "qcow2";
  /** `metadata`: every cluster has its place from the start. Not with a backing file. */
  readonly preallocation?: "off" | "metadata";
}

const FEATURES: readonly FeatureName[] = [
  { kind: "incompatible", bit: 0, name: "dirty bit" },
  { kind: "incompatible", bit: 1, name: "corrupt bit" },
  { kind: "compatible", bit: 0, name: "lazy refcounts" },
];
const ZSTD: FeatureName = { kind: "incompatible", bit: 3, name: "compression type" };

function refuse(name: string, why: string): BlockError {
  return new BlockError("EINVAL", `Cannot create "${name}": ${why}`, {
    operation: "open",
    subject: name,
    hint: "Give the new image another value there.",
  });
}

function isPowerOfTwo(value: number, min: number, max: number): boolean {
  return value >= min && value <= max && Number.isInteger(Math.log2(value));
}

function checkOptions(name: string, options: Qcow2CreateOptions): void {
  const { clusterSize = 65_536, refcountBits = 16, size } = options;
  const isV2 = options.compat === "0.10";
  if (!Number.isSafeInteger(size) || size < 0) {
    throw refuse(name, `its size ${size} is no whole number from 0 to 2^53 - 1`);
  }
  if (!isPowerOfTwo(clusterSize, 512, 2_097_152)) {
    throw refuse(name, `its cluster size ${clusterSize} is no power of two from 512 to 2097152`);
  }
  if (!isPowerOfTwo(refcountBits, 1, 64) || (isV2 && refcountBits !== 16)) {
    const range = isV2 ? "16, as version 2 has it" : "a power of two from 1 to 64";
    throw refuse(name, `its refcount width ${refcountBits} is not ${range}`);
  }
  if (isV2 && options.lazyRefcounts === true) {
    throw refuse(name, "lazy refcounts need version 3 (compat 1.1)");
  }
  if (isV2 && options.compressionType === "zstd") {
    throw refuse(name, "compression with zstd needs version 3 (compat 1.1)");
  }
  if (options.backingFile !== undefined && options.backingFormat === undefined) {
    throw refuse(name, "a backing file needs its format");
  }
  if (options.backingFile !== undefined && options.preallocation === "metadata") {
    throw refuse(name, "preallocation would hide the backing file");
  }
}

function headerOf(options: Qcow2CreateOptions, clusterSize: number, isV3: boolean): Uint8Array {
  const bytes = new Uint8Array(isV3 ? layout.HEADER_BYTES_WRITTEN : layout.HEADER_BYTES_V2);
  const view = viewOf(bytes);
  view.setUint32(FIELD.magic, layout.MAGIC);
  view.setUint32(FIELD.version, isV3 ? 3 : 2);
  view.setUint32(FIELD.clusterBits, Math.log2(clusterSize));
  writeU64(view, FIELD.refcountTableOffset, clusterSize);
  view.setUint32(FIELD.refcountTableClusters, 1);
  if (!isV3) return bytes;
  const compatible = options.lazyRefcounts === true ? layout.COMPATIBLE_LAZY_REFCOUNTS : 0n;
  view.setBigUint64(FIELD.compatible, compatible);
  if (options.compressionType === "zstd") {
    view.setBigUint64(FIELD.incompatible, layout.INCOMPATIBLE.compressionType);
    view.setUint8(FIELD.compressionType, 1);
  }
  view.setUint32(FIELD.refcountOrder, Math.log2(options.refcountBits ?? 16));
  view.setUint32(FIELD.headerLength, bytes.byteLength);
  return bytes;
}

/** The first cluster: header, extensions, name of the backing file. */
function firstCluster(name: string, options: Qcow2CreateOptions, clusterSize: number): Uint8Array {
  const isV3 = options.compat !== "0.10";
  const header = headerOf(options, clusterSize, isV3);
  const backing = new TextEncoder().encode(options.backingFile ?? "");
  const own: HeaderExtension[] = options.backingFormat === undefined ? [] : [{
    type: layout.EXTENSION.backingFormat,
    data: new TextEncoder().encode(options.backingFormat),
  }];
  const room = clusterSize - header.byteLength - backing.byteLength;
  const features = options.compressionType === "zstd" ? [...FEATURES, ZSTD] : FEATURES;
  const named = encodeExtensions(isV3 ? [...own, featureNamesExtension(features)] : own);
  // Names of features are a courtesy: they go when there is no room.
  const extensions = named.byteLength <= room ? named : encodeExtensions(own);
  if (backing.byteLength > layout.BACKING_NAME_BYTES_MAX || extensions.byteLength > room) {
    throw refuse(name, "the name of its backing file is too long");
  }
  const bytes = new Uint8Array(clusterSize);
  bytes.set(header);
  bytes.set(extensions, header.byteLength);
  if (backing.byteLength > 0) {
    const at = header.byteLength + extensions.byteLength;
    bytes.set(backing, at);
    writeU64(viewOf(bytes), FIELD.backingOffset, at);
    viewOf(bytes).setUint32(FIELD.backingSize, backing.byteLength);
  }
  return bytes;
}

/**
 * Makes an image of an opened file, whatever is in it.
 *
 * @throws {BlockError} EINVAL when the options contradict themselves or the format
 */
export async function formatQcow2(file: BlockNode, options: Qcow2CreateOptions): Promise<void> {
  checkOptions(file.name, options);
  const { clusterSize = 65_536 } = options;
  const header = firstCluster(file.name, options, clusterSize);
  if (file.size > 0) await file.truncate(0);
  await file.truncate(3 * clusterSize);
  const table = new Uint8Array(2 * clusterSize);
  writeU64(viewOf(table), 0, 2 * clusterSize);
  const counts = viewOf(table.subarray(clusterSize));
  const order = Math.log2(options.refcountBits ?? 16);
  for (let cluster = 0; cluster < 3; cluster++) writeCount(counts, cluster, order, 1);
  await file.write(clusterSize, table);
  await file.flush();
  await file.write(0, header);
  const image = await Qcow2Image.load(file, await Qcow2Image.readHeader(file));
  const writer = await Qcow2Writer.open(image);
  await resizeImage(writer, options.size);
  if (options.preallocation === "metadata") await writer.preallocate(0, options.size);
  await writer.committer.commitAll();
  await file.truncate(writer.allocator.fileEnd);
  await file.flush();
}

/**
 * Makes a new file with an image in it and opens it with its chain.
 *
 * @throws {BlockError} EEXIST when the file is there already; EINVAL as `formatQcow2`; else as
 * `openQcow2` for the backing file. The file is removed when anything fails
 *
 * @example An overlay
 * ```ts ignore
 * const node = await createQcow2("top.qcow2", {
 *   size: 1_048_576,
 *   backingFile: "base.raw",
 *   backingFormat: "raw",
 * });
 * ```
 */
export async function createQcow2(path: string, options: Qcow2CreateOptions) {
  const file = await FileNode.open(path, { create: "exclusive" });
  try {
    await formatQcow2(file, options);
    const node = await openQcow2(path);
    await file.close();
    return node;
  } catch (error) {
    await file.removeCreated();
    await file.close();
    throw error;
  }
}
