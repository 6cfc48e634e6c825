/**
 * What can be done without a job with the bitmaps that a closed image keeps.
 *
 * - Each change opens the image for writing, marks its bitmaps as in use, does one thing, and
 *   closes it. A process that is killed in between leaves bitmaps that are inconsistent, or as they
 *   were.
 * - Texts are those of QEMU's commands on bitmaps.
 *
 * May be used by whoever serves people at a command line. Source: QEMU 7.2 qemu-img.c img_bitmap.
 */

import type { BitmapSet } from "../../block/bitmap_set.ts";
import { BlockError } from "../../block/errors.ts";
import { openQcow2, type Qcow2Node } from "../../block/qcow2/mod.ts";
import { openImageFile } from "./files.ts";
import { probeFormat } from "./probe.ts";

/** A bitmap as a list shows it. */
export interface ImageBitmap {
  /** Unique in its image. */
  readonly name: string;
  /** Bytes of each bit. */
  readonly granularity: number;
  /** True if it records writes. */
  readonly isAuto: boolean;
  /** True while somebody writes the image, or when whoever did never closed it. */
  readonly isInUse: boolean;
}

/** One change of one bitmap. */
export type ImageBitmapChange =
  | {
    readonly verb: "add";
    /** Bytes of each bit. @default those of a cluster, 4 to 64 KiB */
    readonly granularity?: number;
    /** True = it does not record writes yet. @default false */
    readonly isDisabled?: boolean;
  }
  | { readonly verb: "remove" | "clear" | "enable" | "disable" }
  | {
    readonly verb: "merge";
    /** Names of the bitmaps whose bits are set in it. */
    readonly sources: readonly string[];
    /** Image that has them. @default the same */
    readonly sourceImage?: string;
  };

async function isRaw(path: string): Promise<boolean> {
  const file = await openImageFile(path, { readOnly: true });
  try {
    return await probeFormat(file) === "raw";
  } finally {
    await file.close();
  }
}

async function using<T>(
  path: string,
  readOnly: boolean,
  use: (node: Qcow2Node) => Promise<T> | T,
): Promise<T> {
  if (await isRaw(path)) {
    const text = `Can't store persistent bitmaps to ${path}: Operation not supported`;
    throw new BlockError("ENOTSUP", text, { operation: "open", subject: path });
  }
  const node = await openQcow2(path, { readOnly, withoutBacking: true });
  let result: T;
  try {
    await node.kept.load();
    await node.kept.use();
    result = await use(node);
  } catch (error) {
    await node.close();
    throw error;
  }
  await node.close();
  return result;
}

/** The bitmaps of an image, as its file says; of a raw one, none. */
export async function listImageBitmaps(path: string): Promise<readonly ImageBitmap[]> {
  if (await isRaw(path)) return [];
  const node = await openQcow2(path, { readOnly: true, withoutBacking: true });
  try {
    return await bitmapsIn(node);
  } finally {
    await node.close();
  }
}

/** The same of an image that is open. */
export async function bitmapsIn(node: Qcow2Node): Promise<readonly ImageBitmap[]> {
  const kept = await node.kept.list();
  return kept.map(({ name, granularity, isAuto, isInUse }) => ({
    ...{ name, granularity, isAuto, isInUse },
  }));
}

function add(node: Qcow2Node, name: string, change: ImageBitmapChange & { verb: "add" }): void {
  const { header, bitmaps } = node;
  const granularityDefault = Math.min(65_536, Math.max(4_096, 2 ** header.clusterBits));
  const { granularity = granularityDefault, isDisabled = false } = change;
  const why = bitmaps.find(name) === undefined ? node.kept.whyNot(name, granularity) : undefined;
  if (why !== undefined) {
    const text = `Can't make bitmap '${name}' persistent in '${node.name}': ${why}`;
    const hint =
      "Use a shorter name or fewer bitmaps, and a qcow2 image of version 3 (compat 1.1).";
    throw new BlockError("EINVAL", text, { operation: "write", subject: node.name, hint });
  }
  bitmaps.create({ name, granularity, isDisabled, isPersistent: true });
}

function merge(bitmaps: BitmapSet, name: string, from: BitmapSet, sources: readonly string[]) {
  const target = bitmaps.take(name, { isChange: true });
  for (const source of sources.map((each) => from.take(each))) target.merge(source);
}

/**
 * Changes one bitmap of an image that nobody has open.
 *
 * @throws {BlockError} as QEMU words it when the image or the bitmap cannot; nothing was changed
 */
export async function changeImageBitmap(
  path: string,
  name: string,
  change: ImageBitmapChange,
): Promise<void> {
  await using(path, false, async (node) => {
    const { bitmaps } = node;
    switch (change.verb) {
      case "add":
        return add(node, name, change);
      case "remove":
        return bitmaps.remove(bitmaps.take(name, { allowInconsistent: true }));
      case "clear":
        return bitmaps.take(name, { isChange: true }).clear();
      case "enable":
      case "disable":
        bitmaps.take(name).isRecording = change.verb === "enable";
        return;
      case "merge": {
        const { sources, sourceImage } = change;
        if (sourceImage === undefined) return merge(bitmaps, name, bitmaps, sources);
        if (await isRaw(sourceImage)) {
          const hint = "A raw image keeps no bitmaps: name a qcow2 image.";
          const text = `Dirty bitmap '${sources[0]}' not found`;
          throw new BlockError("ENOENT", text, { operation: "open", subject: sourceImage, hint });
        }
        const from = await using(sourceImage, true, (other) => other.bitmaps);
        return merge(bitmaps, name, from, sources);
      }
    }
  });
}
