/**
 * A backing chain as jobs see it: opened layers, the upper one first, and what each of them holds.
 *
 * - It is plain objects: whether layers were opened by path or are nodes of a graph is not told.
 * - A layer that ends before the one above it shows zeros there, and these are its own: what lies
 *   further below does not show through them.
 *
 * Used by the drivers stream and commit. Source: QEMU 7.2 block/io.c
 * bdrv_common_block_status_above, bdrv_is_allocated_above.
 */

import type { BlockNode, ExtentKind } from "../../block/node.ts";
import type { BackingReference, LayerExtent } from "../../block/qcow2/mod.ts";
import type { JsonValue } from "../driver.ts";

/** Bytes that are asked about at once where looking may mean reading. */
const READ_AHEAD_BYTES = 16_777_216;

/** One opened layer. */
export interface ChainLayer {
  /** Name of the node, or path of the file. */
  readonly name: string;
  /** The file name that a header would name. */
  readonly file: string;
  /** The format that a header would name. */
  readonly format: string;
  /** What shows from here on down. */
  readonly node: BlockNode;
  /** What it holds itself; absent: it holds all of its bytes. */
  readonly layerExtent?:
    | ((offset: number, length: number) => Promise<LayerExtent>)
    | undefined;
}

/** Where a range of a chain comes from. */
export interface ChainExtent {
  /** Bytes, 1 or more. */
  readonly length: number;
  /** What the layers hold there; undefined = nothing, what is below them shows through. */
  readonly kind: ExtentKind | undefined;
}

async function ownExtent(layer: ChainLayer, offset: number, length: number): Promise<LayerExtent> {
  if (layer.layerExtent !== undefined) return await layer.layerExtent(offset, length);
  const found = await layer.node.extent(offset, Math.min(length, READ_AHEAD_BYTES));
  return { ...found, isAllocated: true };
}

/**
 * Says what some neighbouring layers hold of a range, the upper one first.
 *
 * @param layers none: nothing is held
 * @param length 1 or more
 */
export async function extentAbove(
  layers: readonly ChainLayer[],
  offset: number,
  length: number,
): Promise<ChainExtent> {
  let left = length;
  for (const layer of layers) {
    const { size } = layer.node;
    if (offset >= size) return { length: left, kind: "zero" };
    const found = await ownExtent(layer, offset, Math.min(left, size - offset));
    left = found.length;
    // Zeros that are held hide what is below; they are no hole of the chain.
    if (found.isAllocated) return { length: left, kind: found.kind === "data" ? "data" : "zero" };
  }
  return { length: left, kind: undefined };
}

/** How an announced header rewrite tells a backing file; null = none. */
export function referenceData(reference: BackingReference | undefined): JsonValue {
  if (reference === undefined) return null;
  const { name, format } = reference;
  return format === undefined ? { name } : { name, format };
}
