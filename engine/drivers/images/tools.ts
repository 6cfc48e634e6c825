/**
 * What can be done with an image without a job: look at it, make it, check it, compare it with
 * another one, convert it.
 *
 * - Nothing but `createImage`, `convertImage` and a repair changes anything.
 * - Bytes that the map knows to be zero are never read.
 *
 * May be used by whoever serves people at a command line. Source: QEMU 7.2 qemu-img.c.
 */

import { firstDifference } from "../../block/buffers.ts";
import { BlockError } from "../../block/errors.ts";
import type { BlockNode, Extent } from "../../block/node.ts";
import {
  checkQcow2,
  type CompressionType,
  createQcow2,
  type Qcow2CheckResult,
  type Qcow2CreateOptions,
  Qcow2Node,
  type Qcow2Repair,
} from "../../block/qcow2/mod.ts";
import { copyCompressed } from "./copy_compressed.ts";
import { bitmapsIn, type ImageBitmap } from "./bitmap_tools.ts";
import { openImageFile } from "./files.ts";
import { type ImageFormat, probeFormat } from "./probe.ts";
import { openSourceImage } from "./source.ts";

/** What an image is. */
export interface ImageInfo {
  /** Its path. */
  readonly filename: string;
  /** Its format. */
  readonly format: ImageFormat;
  /** Bytes that a guest sees. */
  readonly virtualSize: number;
  /** Bytes of a cluster; absent for raw. */
  readonly clusterSize?: number;
  /** Name of its backing file as it is written in it. */
  readonly backingFilename?: string;
  /** Format of that. */
  readonly backingFormat?: string;
  /** Version as QEMU names it: `0.10` or `1.1`. */
  readonly compat?: string;
  /** Bits of a refcount. */
  readonly refcountBits?: number;
  /** How its clusters are compressed, if any are. */
  readonly compressionType?: CompressionType;
  /** True if it was not closed and its counts may be late. */
  readonly isDirty?: boolean;
  /** True if it is marked as corrupt. */
  readonly isCorrupt?: boolean;
  /** The bitmaps that it keeps; absent = none. */
  readonly bitmaps?: readonly ImageBitmap[];
}

/** One stretch of the map. */
export interface MapPiece {
  /** First byte. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  /** Images below the top that decide; those that say nothing count with the last that does. */
  readonly depth: number;
  /** True if an image of the chain says something of it. */
  readonly isPresent: boolean;
  /** True if it reads as zeros. */
  readonly isZero: boolean;
  /** True if bytes stand for it in a file. */
  readonly isData: boolean;
}

/** How two images compare. */
export interface Comparison {
  /** First byte that differs; undefined = none does. */
  readonly mismatchAt: number | undefined;
  /** True if one is longer than the other. */
  readonly isSizeDifferent: boolean;
}

const PIECE = 1_048_576;

async function using<T>(
  path: string,
  format: ImageFormat | undefined,
  use: (node: BlockNode, format: ImageFormat) => Promise<T>,
  withoutBacking = false,
): Promise<T> {
  const image = await openSourceImage(path, { folder: ".", format, withoutBacking });
  try {
    return await use(image.node, image.format);
  } finally {
    await image.node.close();
  }
}

/** Says what an image is, also when what is below it is gone. @throws {BlockError} as opening it */
export async function imageInfo(path: string, format?: ImageFormat): Promise<ImageInfo> {
  const tell = async (node: BlockNode, found: ImageFormat): Promise<ImageInfo> => {
    const known = { filename: path, format: found, virtualSize: node.size };
    if (!(node instanceof Qcow2Node)) return known;
    const bitmaps = await bitmapsIn(node);
    const { clusterBits, backingName, backingFormat, version, refcountOrder } = node.header;
    const { compressionType, incompatible } = node.header;
    return {
      ...known,
      clusterSize: 2 ** clusterBits,
      ...(backingName === undefined ? {} : { backingFilename: backingName }),
      ...(backingFormat === undefined ? {} : { backingFormat }),
      compat: version === 3 ? "1.1" : "0.10",
      refcountBits: 2 ** refcountOrder,
      compressionType,
      isDirty: (incompatible & 1n) !== 0n,
      isCorrupt: (incompatible & 2n) !== 0n,
      ...(bitmaps.length === 0 ? {} : { bitmaps }),
    };
  };
  return await using(path, format, tell, true);
}

/** Makes an image. A raw one must not exist. @throws {BlockError} EEXIST when it is there */
export async function createImage(
  path: string,
  format: ImageFormat,
  options: Qcow2CreateOptions,
): Promise<void> {
  if (format === "qcow2") return await (await createQcow2(path, options)).close();
  if (options.backingFile !== undefined) {
    throw new BlockError("EINVAL", `Cannot create "${path}": raw has no backing file`, {
      operation: "open",
      subject: path,
    });
  }
  const file = await openImageFile(path, { create: "exclusive" });
  try {
    await file.truncate(options.size);
  } finally {
    await file.close();
  }
}

async function pieceAt(node: BlockNode, at: number, length: number): Promise<MapPiece> {
  let layer = node;
  let left = length;
  for (let depth = 0;; depth++) {
    const isLayered = layer instanceof Qcow2Node;
    const own = isLayered
      ? await (layer as Qcow2Node).layerExtent(at, left)
      : { ...await layer.extent(at, left), isAllocated: true };
    const below = isLayered ? (layer as Qcow2Node).backing : undefined;
    if (own.isAllocated || below === undefined || below.size <= at) {
      const isPresent = own.isAllocated;
      const isData = isPresent && own.kind === "data";
      return { start: at, length: own.length, depth, isPresent, isZero: !isData, isData };
    }
    left = Math.min(own.length, below.size - at);
    layer = below;
  }
}

/** Says of every stretch of an image which layer decides and what is there. */
export async function imageMap(path: string, format?: ImageFormat): Promise<readonly MapPiece[]> {
  return await using(path, format, async (node) => {
    const pieces: MapPiece[] = [];
    for (let at = 0; at < node.size;) {
      const next = await pieceAt(node, at, node.size - at);
      const last = pieces.at(-1);
      const isSame = last !== undefined && last.depth === next.depth &&
        last.isPresent === next.isPresent && last.isData === next.isData;
      if (isSame) pieces[pieces.length - 1] = { ...last, length: last.length + next.length };
      else pieces.push(next);
      at += next.length;
    }
    return pieces;
  });
}

/**
 * Checks the counts of an image.
 *
 * @throws {BlockError} ENOTSUP for a format that has nothing to check
 */
export async function checkImage(path: string, repair?: Qcow2Repair): Promise<Qcow2CheckResult> {
  const file = await openImageFile(path, { readOnly: true });
  try {
    if (await probeFormat(file) === "raw") {
      throw new BlockError("ENOTSUP", `Cannot check "${path}": raw has nothing to be checked`, {
        operation: "read",
        subject: path,
        hint: "Check an image that has a format, such as qcow2.",
      });
    }
  } finally {
    await file.close();
  }
  return await checkQcow2(path, repair);
}

/** What an image has from `at` on; behind its end there are zeros. */
async function extentOf(node: BlockNode, at: number, length: number): Promise<Extent> {
  if (at >= node.size) return { offset: at, length, kind: "hole" };
  return await node.extent(at, Math.min(length, node.size - at));
}

async function bytesAt(node: BlockNode, at: number, into: Uint8Array): Promise<void> {
  const inside = Math.max(0, Math.min(into.byteLength, node.size - at));
  into.fill(0, inside);
  if (inside > 0) await node.read(at, into.subarray(0, inside));
}

async function firstMismatch(a: BlockNode, b: BlockNode): Promise<number | undefined> {
  const [left, right] = [new Uint8Array(PIECE), new Uint8Array(PIECE)];
  const size = Math.max(a.size, b.size);
  for (let at = 0; at < size;) {
    const one = await extentOf(a, at, size - at);
    const other = await extentOf(b, at, one.length);
    if (one.kind !== "data" && other.kind !== "data") {
      at += other.length;
      continue;
    }
    const length = Math.min(other.length, PIECE);
    const [x, y] = [left.subarray(0, length), right.subarray(0, length)];
    await bytesAt(a, at, x);
    await bytesAt(b, at, y);
    const differs = firstDifference(x, y);
    if (differs >= 0) return at + differs;
    at += length;
  }
  return undefined;
}

/** Compares what guests see of two images; what one has more must be zeros. */
export async function compareImages(
  a: { readonly path: string; readonly format?: ImageFormat | undefined },
  b: { readonly path: string; readonly format?: ImageFormat | undefined },
): Promise<Comparison> {
  return await using(
    a.path,
    a.format,
    (one) =>
      using(b.path, b.format, async (other) => ({
        mismatchAt: await firstMismatch(one, other),
        isSizeDifferent: one.size !== other.size,
      })),
  );
}

async function copyPlain(from: BlockNode, to: BlockNode): Promise<void> {
  const buffer = new Uint8Array(PIECE);
  for (let at = 0; at < from.size;) {
    const extent = await from.extent(at, from.size - at);
    const length = extent.kind === "data" ? Math.min(extent.length, PIECE) : extent.length;
    if (extent.kind === "data") {
      await from.read(at, buffer.subarray(0, length));
      await to.write(at, buffer.subarray(0, length));
    }
    at += length;
  }
}

/** How an image is converted. */
export interface ConvertOptions extends Omit<Qcow2CreateOptions, "size"> {
  /** Writes compressed clusters. @default false */
  readonly compress?: boolean;
}

/**
 * Copies what a guest sees into a new image.
 *
 * @throws {BlockError} EEXIST when it is there; ENOTSUP when it is to be compressed and is raw
 */
export async function convertImage(
  source: { readonly path: string; readonly format?: ImageFormat | undefined },
  target: { readonly path: string; readonly format: ImageFormat },
  { compress = false, ...options }: ConvertOptions = {},
): Promise<void> {
  if (compress && target.format === "raw") {
    throw new BlockError("ENOTSUP", `Cannot compress "${target.path}": raw is never compressed`, {
      operation: "open",
      subject: target.path,
      hint: "Convert into a format that has compressed clusters, such as qcow2.",
    });
  }
  await using(source.path, source.format, async (from) => {
    const unit = target.format === "qcow2" ? 512 : 1;
    const size = Math.ceil(from.size / unit) * unit;
    await createImage(target.path, target.format, { ...options, size });
    const to = target.format === "raw"
      ? await openImageFile(target.path, {})
      : (await openSourceImage(target.path, { folder: ".", format: "qcow2", readOnly: false }))
        .node;
    try {
      const { clusterSize = 65_536 } = options;
      await (compress ? copyCompressed(from, to, clusterSize) : copyPlain(from, to));
      await to.flush();
    } finally {
      await to.close();
    }
  });
}
