/**
 * A chain of files, opened by the path of its top, each layer by itself.
 *
 * - The headers say what belongs to it; then each file is opened and claimed as its role wants it.
 * - The way from a layer to the one below is an edge, so that it can be led elsewhere.
 *
 * Used by the drivers stream and commit. Source: QEMU 7.2 block.c bdrv_open_backing_file,
 * bdrv_find_backing_image.
 */

import { Edge } from "../../block/edge.ts";
import { BlockError } from "../../block/errors.ts";
import type { BlockNode } from "../../block/node.ts";
import { backingPath, CHAIN_DEPTH_MAX, Qcow2Node } from "../../block/qcow2/mod.ts";
import { Qcow2Image } from "../../block/qcow2/image.ts";
import { type ImagePlace, openClaimed, openImageFile } from "../images/files.ts";
import { type ImageFormat, ProbedRawNode, probeFormat } from "../images/probe.ts";
import type { ChainLayer } from "./layer.ts";

/** One layer as its overlay and its header speak of it. */
export interface LayerFile {
  /** Its path: absolute. */
  readonly path: string;
  /** As the overlay names it; of the top, its path. */
  readonly named: string;
  /** Its format. */
  readonly format: ImageFormat;
  /** True if nothing but its first bytes says so. */
  readonly isGuessed: boolean;
  /** Tells the file from all others. */
  readonly identity: string;
}

/** One opened layer. */
export interface OpenLayer extends ChainLayer {
  /** What the overlay leads to, or whoever uses the top. */
  readonly edge: Edge;
  /** The image, if it is qcow2. */
  readonly image: Qcow2Node | undefined;
  /** The image of any format; closing it closes its file. */
  readonly block: BlockNode;
}

/** A path as it is meant from a folder. */
export function absolute(folder: string, path: string): string {
  return path.startsWith("/") ? path : `${folder === "/" ? "" : folder}/${path}`;
}

/**
 * Reads which files a chain consists of, the top first.
 *
 * @throws {BlockError} with the errno of what cannot be read; ELOOP when it is a ring or too long
 */
export async function readChain(
  place: ImagePlace,
  top: string,
): Promise<readonly LayerFile[]> {
  const layers: LayerFile[] = [];
  let next: LayerName | undefined = { path: absolute(place.folder, top), named: top };
  while (next !== undefined) next = await readLayer(place, next, layers);
  return layers;
}

/** A layer as the one above it names it. */
interface LayerName {
  readonly path: string;
  readonly named: string;
  readonly stated?: string | undefined;
}

async function readLayer(
  place: ImagePlace,
  { path, named, stated }: LayerName,
  layers: LayerFile[],
): Promise<LayerName | undefined> {
  const open = place.openFile ?? openImageFile;
  const file = await open(path, { folder: place.folder, readOnly: true });
  try {
    checkRing(layers, file);
    const format = formatOf(stated) ?? await probeFormat(file);
    const { identity } = file;
    layers.push({ path, named, format, isGuessed: stated === undefined, identity });
    if (format === "raw") return undefined;
    const { backingName, backingFormat } = await Qcow2Image.readHeader(file);
    if (backingName === undefined) return undefined;
    return { path: backingPath(path, backingName), named: backingName, stated: backingFormat };
  } finally {
    await file.close();
  }
}

function formatOf(stated: string | undefined): ImageFormat | undefined {
  if (stated === "file") return "raw";
  return stated === "raw" || stated === "qcow2" ? stated : undefined;
}

function checkRing(layers: readonly LayerFile[], file: BlockNode): void {
  const isRing = layers.some(({ identity }) => identity === file.identity);
  if (!isRing && layers.length < CHAIN_DEPTH_MAX) return;
  const why = isRing ? "is a ring" : `has more than ${CHAIN_DEPTH_MAX} files`;
  const top = layers[0]?.path ?? file.name;
  throw new BlockError("ELOOP", `Cannot open "${top}": its backing chain ${why}`, {
    operation: "open",
    subject: top,
  });
}

/**
 * Opens all layers, the lowest first.
 *
 * @param isWritten says of a layer, by its index from the top, whether it is to be written
 * @throws {BlockError} with the errno; EBUSY as `openClaimed`
 */
export async function openLayers(
  place: ImagePlace,
  files: readonly LayerFile[],
  isWritten: (index: number) => boolean,
): Promise<readonly OpenLayer[]> {
  const layers: OpenLayer[] = [];
  try {
    for (const [index, file] of [...files.entries()].toReversed()) {
      layers.unshift(await openLayer(place, file, isWritten(index), layers[0]));
    }
    return layers;
  } catch (error) {
    await closeLayers(layers);
    throw error;
  }
}

async function openLayer(
  place: ImagePlace,
  { path, format, isGuessed }: LayerFile,
  isWritten: boolean,
  below: OpenLayer | undefined,
): Promise<OpenLayer> {
  const file = await openClaimed(place, { path, use: isWritten ? "write" : "read" });
  const known = { name: path, file: path, format };
  if (format === "raw") {
    const block = isGuessed && isWritten ? new ProbedRawNode(file) : file;
    const edge = new Edge(block, { release: () => {} });
    return { ...known, node: edge, edge, image: undefined, block };
  }
  try {
    const header = await Qcow2Image.readHeader(file);
    const backing = below === undefined ? undefined : new Edge(below.edge, { release: () => {} });
    const image = await Qcow2Node.over(file, header, { isReadOnly: !isWritten, backing });
    const edge = new Edge(image, { release: () => {} });
    const layerExtent = (offset: number, length: number) => image.layerExtent(offset, length);
    return { ...known, node: edge, edge, image, block: image, layerExtent };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Closes layers, the upper ones first: what they still hold is written then. */
export async function closeLayers(layers: readonly OpenLayer[]): Promise<void> {
  let failure: { readonly error: unknown } | undefined;
  for (const { edge, block } of layers) {
    try {
      await edge.close();
      await block.close();
    } catch (error) {
      failure ??= { error };
    }
  }
  if (failure !== undefined) throw failure.error;
}

/**
 * Finds a layer by a file name: as it is named in a header, by its path, or by any other name of
 * the same file.
 *
 * @returns its index from the top; -1 = it is not in the chain
 */
export async function findLayer(
  place: ImagePlace,
  files: readonly LayerFile[],
  name: string,
): Promise<number> {
  const path = absolute(place.folder, name);
  const known = files.findIndex((file) => file.named === name || file.path === path);
  if (known >= 0) return known;
  try {
    const file = await (place.openFile ?? openImageFile)(path, {
      folder: place.folder,
      readOnly: true,
    });
    const { identity } = file;
    await file.close();
    return files.findIndex((each) => each.identity === identity);
  } catch (error) {
    if (error instanceof BlockError) return -1;
    throw error;
  }
}
