/**
 * Chains of nodes of the graph, as the drivers stream and commit ask about them.
 *
 * - A layer is looked at through its block, not through an edge: so nobody counts as its user, and
 *   it can go when its chain goes. Who looks holds it.
 * - Blocks are asked for anew each time: a node may be opened anew meanwhile.
 */

import { JoblogError } from "../../../events/log/errors.ts";
import type { NodeState } from "../../../events/job/graph_state.ts";
import type { BlockNode } from "../../block/node.ts";
import { backingPath, type BackingReference, Qcow2Node } from "../../block/qcow2/mod.ts";
import type { JobNodes } from "../nodes.ts";
import type { ChainLayer } from "./layer.ts";

/** Drivers of nodes that show the bytes of one child as they are. */
const FILTERS: ReadonlySet<string> = new Set([
  "blkdebug",
  "commit_top",
  "copy-before-write",
  "copy-on-read",
  "mirror_top",
  "throttle",
]);

/** True for a node that shows the bytes of another. */
export function isFilterNode({ driver }: NodeState): boolean {
  return FILTERS.has(driver);
}

/** True if a name is that of a node; a node that is missing is one, and its use is refused. */
export function isNodeName(nodes: JobNodes | undefined, name: string): boolean {
  if (nodes === undefined) return false;
  try {
    nodes.find(name);
    return true;
  } catch (error) {
    if (error instanceof JoblogError && error.code === "unknownNode") return false;
    throw error;
  }
}

/**
 * Demands that no other node leads to one.
 *
 * @throws {JoblogError} code "notRootNode": asked once more while a job that ended lets go of it
 */
export function demandRoot(nodes: JobNodes, name: string): void {
  if (nodes.isRoot(name)) return;
  throw new JoblogError("notRootNode", "Need a root block node", {
    subject: name,
    hint: "Name the node that no other node leads to.",
  });
}

/** QEMU's name of such a node is not that of the file below. */
const NAMED_OTHERWISE: ReadonlySet<string> = new Set(["blkdebug", "copy-on-read", "throttle"]);

/**
 * The file that a node is known by; undefined if it, or what lies below it, is known otherwise.
 * Source: QEMU 7.2 block.c bdrv_refresh_filename, bdrv_backing_overridden.
 */
function plainFileOf(nodes: JobNodes, node: NodeState): string | undefined {
  if (node.path !== null) return node.path;
  if (NAMED_OTHERWISE.has(node.driver)) return undefined;
  const { file, backing } = node.children;
  if (backing !== undefined && plainFileOf(nodes, nodes.find(backing)) === undefined) return;
  return file === undefined ? undefined : plainFileOf(nodes, nodes.find(file));
}

function fileNodeOf(nodes: JobNodes, node: NodeState): NodeState | undefined {
  for (let at = node;;) {
    if (at.path !== null) return at;
    const next = at.children["file"] ?? at.children["image"];
    if (next === undefined) return undefined;
    at = nodes.find(next);
  }
}

/** The path of the file that holds a node; its name if there is none. */
export function fileOf(nodes: JobNodes, node: NodeState): string {
  return fileNodeOf(nodes, node)?.path ?? node.name;
}

/**
 * How headers of overlays name the file of a node: as the user named it, if that leads there from
 * the folder of each of them, else by its path.
 */
export function headerNameOf(
  nodes: JobNodes,
  node: NodeState,
  overlays: readonly string[],
): string {
  const file = fileNodeOf(nodes, node);
  if (file === undefined || file.path === null) return node.name;
  const { path, options: { filename } } = file;
  if (typeof filename !== "string" || overlays.length === 0) return path;
  const isFoundBy = (overlay: string) => {
    const above = fileOf(nodes, nodes.find(overlay));
    return `${above.slice(0, above.lastIndexOf("/"))}/${filename}` === path;
  };
  return overlays.every(isFoundBy) ? filename : path;
}

/** The format that a header names a node by. */
function formatOf({ driver }: NodeState, isMasked: boolean): string {
  return driver === "file" && isMasked ? "raw" : driver;
}

/** The image behind a node; undefined if it has no header. */
export function imageOf(nodes: JobNodes, name: string): Qcow2Node | undefined {
  const block = nodes.block(name);
  return block instanceof Qcow2Node ? block : undefined;
}

/** A node of a chain that is held, as a layer. */
export function layerOf(nodes: JobNodes, state: NodeState, isMasked = false): ChainLayer {
  const { name } = state;
  const isImage = imageOf(nodes, name) !== undefined;
  return {
    name,
    file: fileOf(nodes, state),
    format: formatOf(state, isMasked),
    get node(): BlockNode {
      return nodes.block(name);
    },
    layerExtent: isImage
      ? (offset, length) => imageOf(nodes, name)!.layerExtent(offset, length)
      : undefined,
  };
}

/** Those nodes of a chain that hold bytes, as layers. */
export function layersOf(nodes: JobNodes, chain: readonly NodeState[]): readonly ChainLayer[] {
  return chain.filter((node) => !isFilterNode(node)).map((node) => layerOf(nodes, node));
}

/** What the header of a node names; undefined if it names nothing or there is none. */
export function referenceOf(nodes: JobNodes, name: string): BackingReference | undefined {
  const { backingName, backingFormat: format } = imageOf(nodes, name)?.header ?? {};
  if (backingName === undefined) return undefined;
  return format === undefined ? { name: backingName } : { name: backingName, format };
}

/** Index in a chain of what an argument names by its node; -1 = it is not in it. */
export function findNodeIn(
  nodes: JobNodes,
  chain: readonly NodeState[],
  name: string,
): number {
  const index = chain.findIndex((node) => node.name === name);
  if (index >= 0 || isNodeName(nodes, name)) return index;
  throw new JoblogError("unknownNode", `Cannot find device='' nor node-name='${name}'`, {
    subject: name,
  });
}

/** Index in a chain of what an argument names by its file; -1 = it is not in it. */
export function findFileIn(
  nodes: JobNodes,
  chain: readonly NodeState[],
  file: string,
  folder: string,
): number {
  const pathOf = (name: string) => name.startsWith("/") ? name : `${folder}/${name}`;
  const path = pathOf(file);
  // A header that names another file than the one below its node says nothing about that one.
  const isNamed = (above: NodeState, found: string) =>
    referenceOf(nodes, above.name)?.name === file &&
    backingPath(pathOf(fileOf(nodes, above) ?? ""), file) === pathOf(found);
  return chain.findIndex((node, index) => {
    if (isFilterNode(node)) return false;
    // The first one is known by the file that it was opened with, whatever is below.
    const found = index === 0 ? fileOf(nodes, node) : plainFileOf(nodes, node);
    if (found === undefined) return false;
    if (found === path || found === file) return true;
    const overlay = chain.slice(0, index).findLast((each) => !isFilterNode(each));
    return overlay !== undefined && isNamed(overlay, found);
  });
}

/** Runs work on the image of a node that may be read-only; it is so again afterwards. */
export async function whileWritable(
  nodes: JobNodes,
  name: string,
  work: (image: Qcow2Node) => Promise<void>,
): Promise<void> {
  const { isReadOnly } = nodes.find(name);
  if (isReadOnly) await nodes.setReadOnly(name, false);
  try {
    const image = imageOf(nodes, name);
    if (image !== undefined) await work(image);
  } finally {
    if (isReadOnly) await nodes.setReadOnly(name, true);
  }
}
