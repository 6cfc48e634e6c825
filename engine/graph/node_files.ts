/**
 * How one node is opened over its children: from recorded options to a node of the block room.
 *
 * - Children are edges of the graph; closing a node lets go of them and closes none of them.
 * - A file that cannot be opened is told with the name that the user gave and the system's words.
 *
 * Called by `opening.ts` alone. Source: QEMU 7.2 block/file-posix.c, block/raw-format.c.
 */
import type { JsonObject } from "../../events/log/event.ts";
import type { BitmapSet } from "../block/bitmap_set.ts";
import type { Edge } from "../block/edge.ts";
import { BlockError } from "../block/errors.ts";
import { BlockCopy } from "../block/block_copy.ts";
import { FileNode } from "../block/file_node.ts";
import { BlkdebugNode } from "../block/filters/blkdebug.ts";
import type { BlkdebugOptions } from "../block/filters/blkdebug_rules.ts";
import { CopyBeforeWrite, type OnCbwError } from "../block/filters/copy_before_write.ts";
import { type ThrottleGroup, ThrottleNode } from "../block/filters/throttle.ts";
import type { BlockNode } from "../block/node.ts";
import { NullNode } from "../block/null_node.ts";
import { Qcow2Image } from "../block/qcow2/image.ts";
import { Qcow2Node } from "../block/qcow2/qcow2_node.ts";
import type { Qcow2Header } from "../block/qcow2/header.ts";
import { RawNode } from "../block/raw.ts";
import { systemWords } from "../block/system_words.ts";
import { graphError, NODE_READ_ONLY, openFailed, parameterFault } from "./refusals.ts";

/** Opens files; tests put faults in here. */
export interface FileOpener {
  /** Opens an existing file or block device at an absolute path. */
  open(path: string, isReadOnly: boolean): Promise<BlockNode>;
  /** The throttle group of a name; undefined = there is none. @default there are none */
  throttleGroup?(name: string): ThrottleGroup | undefined;
}

/** Files and block devices of this machine. */
export const FILES: FileOpener = {
  open: (path, isReadOnly) => FileNode.open(path, { readOnly: isReadOnly }),
};

/** What a node is opened from. */
export interface NodeRecipe {
  /** Its name in the graph. */
  readonly node: string;
  /** Name of the block driver. */
  readonly driver: string;
  /** Complete options. */
  readonly options: JsonObject;
  /** Absolute path, for a file. */
  readonly path: string | null;
  /** True if it is not to be written. */
  readonly isReadOnly: boolean;
  /** True if it may become read-only by itself. */
  readonly isAutoReadOnly: boolean;
}

/** Edges by role. */
export type ChildEdges = ReadonlyMap<string, Edge>;

/** Opens one node; bitmaps are those that it had until a moment ago. */
type Opener = (
  recipe: NodeRecipe,
  edges: ChildEdges,
  files: FileOpener,
  bitmaps?: BitmapSet,
) => Promise<BlockNode>;

const READ_ONLY_CODES: ReadonlySet<string> = new Set(["EACCES", "EPERM", "EROFS"]);

function edgeOf(edges: ChildEdges, role: string): Edge {
  const edge = edges.get(role);
  if (edge === undefined) throw new Error(`Expected an edge "${role}"`);
  return edge;
}

function checkWritable(recipe: NodeRecipe, edge: Edge): boolean {
  if (recipe.isReadOnly || !edge.isReadOnly) return recipe.isReadOnly;
  if (recipe.isAutoReadOnly) return true;
  throw graphError(NODE_READ_ONLY, recipe.node);
}

async function openFile(recipe: NodeRecipe, _edges: ChildEdges, files: FileOpener) {
  const { path, options, isReadOnly, isAutoReadOnly } = recipe;
  const file = path ?? "";
  try {
    return await files.open(file, isReadOnly);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    if (!isReadOnly && isAutoReadOnly && READ_ONLY_CODES.has(error.code)) {
      return await openFile({ ...recipe, isReadOnly: true }, _edges, files);
    }
    const words = systemWords(error);
    const text = `Could not open '${options["filename"]}': ${words}`;
    throw graphError(openFailed(text), file, error);
  }
}

function openRaw(recipe: NodeRecipe, edges: ChildEdges): BlockNode {
  const edge = edgeOf(edges, "file");
  checkWritable(recipe, edge);
  const { offset = 0, size } = recipe.options as { offset?: number; size?: number };
  if (offset < 0 || size !== undefined && size < 0 || offset + (size ?? 0) > edge.size) {
    const text = `The sum of offset (${offset}) and size (${size ?? 0}) has to be smaller or ` +
      `equal to the actual size of the containing file (${edge.size})`;
    throw graphError(parameterFault(text), recipe.node);
  }
  return new RawNode(edge, size === undefined ? { offset } : { offset, size });
}

async function openQcow2(
  recipe: NodeRecipe,
  edges: ChildEdges,
  _files: FileOpener,
  bitmaps?: BitmapSet,
): Promise<BlockNode> {
  const edge = edgeOf(edges, "file");
  const isReadOnly = checkWritable(recipe, edge);
  const header = await readQcow2Header(edge);
  const backing = edges.get("backing");
  const node = await Qcow2Node.over(edge, header, { isReadOnly, backing, bitmaps });
  // If it fails nothing was changed, and nothing but the edge is held.
  await node.kept.load();
  return node;
}

function openNull({ node, options, isReadOnly }: NodeRecipe): BlockNode {
  const { size, "read-zeroes": readZeroes } = options as {
    readonly size?: number;
    readonly "read-zeroes"?: boolean;
  };
  return new NullNode({ name: node, size: size!, readZeroes: readZeroes!, readOnly: isReadOnly });
}

function openBlkdebug(recipe: NodeRecipe, edges: ChildEdges): BlockNode {
  const edge = edgeOf(edges, "image");
  checkWritable(recipe, edge);
  try {
    return new BlkdebugNode(edge, recipe.options as BlkdebugOptions);
  } catch (error) {
    throw graphError(parameterFault((error as Error).message), recipe.node, error);
  }
}

function openThrottle(recipe: NodeRecipe, edges: ChildEdges, files: FileOpener): BlockNode {
  const edge = edgeOf(edges, "file");
  checkWritable(recipe, edge);
  const name = String(recipe.options["throttle-group"]);
  const group = files.throttleGroup?.(name);
  if (group !== undefined) return new ThrottleNode(edge, group);
  throw graphError(parameterFault(`Throttle group '${name}' does not exist`), recipe.node);
}

/** Bytes that a copy-before-write node copies together. Source: QEMU 7.2 block/block-copy.c. */
const CBW_CLUSTER = 65_536;

function openCopyBeforeWrite(recipe: NodeRecipe, edges: ChildEdges): BlockNode {
  const [source, target] = [edgeOf(edges, "file"), edgeOf(edges, "target")];
  if (target.isReadOnly) throw graphError(NODE_READ_ONLY, recipe.node);
  checkWritable(recipe, source);
  const onCbwError = recipe.options["on-cbw-error"] as OnCbwError;
  const copy = new BlockCopy({ source, target, cluster: CBW_CLUSTER });
  return new CopyBeforeWrite(source, { copy, onCbwError });
}

/** Drivers that users may open. A filter of a job is made by its job. */
const OPENERS: Readonly<Record<string, Opener>> = {
  file: openFile,
  raw: (recipe, edges) => Promise.resolve(openRaw(recipe, edges)),
  qcow2: openQcow2,
  "null-co": (recipe) => Promise.resolve(openNull(recipe)),
  blkdebug: (recipe, edges) => Promise.resolve(openBlkdebug(recipe, edges)),
  throttle: (recipe, edges, files) => Promise.resolve(openThrottle(recipe, edges, files)),
  "copy-before-write": (recipe, edges) => Promise.resolve(openCopyBeforeWrite(recipe, edges)),
};

/** Reads the header of an image, for what it says about its backing file. */
export async function readQcow2Header(file: BlockNode): Promise<Qcow2Header> {
  return await Qcow2Image.readHeader(file);
}

/** Says whether a file begins like a qcow2 image. */
export async function isQcow2(file: BlockNode): Promise<boolean> {
  if (file.size < 4) return false;
  const start = new Uint8Array(4);
  await file.read(0, start);
  return new DataView(start.buffer).getUint32(0) === 0x514649fb;
}

/**
 * Opens one node, and takes up the bitmaps that its image keeps.
 *
 * @param bitmaps those that the node had until a moment ago
 * @throws {JoblogError} code "openFailed", "nodeReadOnly" or "invalidParameter"
 */
export async function openNode(
  recipe: NodeRecipe,
  edges: ChildEdges,
  files: FileOpener,
  bitmaps?: BitmapSet,
): Promise<BlockNode> {
  const opener = OPENERS[recipe.driver];
  if (opener === undefined) {
    const text = `Cannot open node "${recipe.node}": driver "${recipe.driver}" is not there`;
    throw graphError(parameterFault(text), recipe.node);
  }
  try {
    return await opener(recipe, edges, files, bitmaps);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    throw graphError(openFailed(error.message), recipe.node, error);
  }
}
