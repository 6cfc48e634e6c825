/**
 * The images of a backup that are nodes of the graph, by name.
 *
 * Used by `opening.ts`. Source: QEMU 7.2 blockdev.c qmp_blockdev_backup, do_backup_common;
 * block/backup.c backup_job_create.
 */

import { JoblogError } from "../../../events/log/errors.ts";
import type { NodeState } from "../../../events/job/graph_state.ts";
import type { Edge } from "../../block/edge.ts";
import type { BlockNode } from "../../block/node.ts";
import type { LayerExtent } from "../../block/qcow2/mod.ts";
import { checkFilterName } from "../chain/filter_name.ts";
import { isFilterNode } from "../chain/nodes.ts";
import type { JobNodes } from "../nodes.ts";
import type { BackingName, SourceImage } from "../images/source.ts";
import type { CopyTarget } from "../images/target.ts";
import { type BackupParameters, checkChunk, checkCompress } from "./parameters.ts";

/** What a format node can say beside its bytes. */
export interface FormatNode {
  /** True if it holds no bytes of its own, and has nothing below. Source: QEMU 7.2 block/null.c. */
  readonly holdsNothing?: boolean;
  readonly header?: { readonly clusterBits: number };
  layerExtent?(offset: number, length: number): Promise<LayerExtent>;
}

/** True if a name is that of a node; a node that is missing is one, and its use is refused. */
export function isNode(nodes: JobNodes | undefined, name: string): boolean {
  if (nodes === undefined) return false;
  try {
    nodes.find(name);
    return true;
  } catch (error) {
    if (error instanceof JoblogError && error.code === "unknownNode") return false;
    throw error;
  }
}

/** What stands below edges and filters: they show the bytes of one child. */
export function formatNodeOf(node: BlockNode): FormatNode {
  let found = node as BlockNode & FormatNode & { readonly child?: BlockNode };
  while (found.child !== undefined && found.layerExtent === undefined) {
    found = found.child as typeof found;
  }
  return found;
}

/** What a node that holds nothing says of its own bytes; undefined for any other. */
export function extentOfNothing({ holdsNothing }: FormatNode): FormatNode["layerExtent"] {
  if (holdsNothing !== true) return undefined;
  return (offset, length) => Promise.resolve({ offset, length, kind: "hole", isAllocated: false });
}

function formatOf({ driver }: NodeState): "raw" | "qcow2" {
  return driver === "qcow2" ? "qcow2" : "raw";
}

/** The file that a node's own bytes lie in, through formats and filters; undefined = none. */
function pathOf(nodes: JobNodes, { path, children }: NodeState): string | undefined {
  if (path !== null) return path;
  const below = children["file"] ?? children["image"];
  return below === undefined ? undefined : pathOf(nodes, nodes.find(below));
}

/** The image that shows through the uppermost layer; undefined if there is none in a file. */
function backingOf(nodes: JobNodes, name: string): BackingName | undefined {
  const layer = nodes.chain(name).find(({ driver }) => driver === "qcow2");
  const below = layer?.children["backing"];
  if (below === undefined) return undefined;
  const shown = nodes.chain(below).find(({ driver }) => driver === "qcow2") ?? nodes.find(below);
  const path = pathOf(nodes, shown);
  return path === undefined ? undefined : { path, format: formatOf(shown) };
}

/**
 * What others may do with a source, as far as the filter above it goes together with that: who
 * deletes it, writes it or mirrors it is told of the filter, and a commit leaves what it shows.
 */
const OF_SOURCES = [
  "backup-source",
  "backup-target",
  "commit-target",
  "drive-del",
  "mirror-source",
  "mirror-target",
  "replace",
  "stream",
] as const;

/** Opens a node as a source. Writers that come through other edges are kept by a `LaidFilter`. */
export function nodeSource(nodes: JobNodes, name: string): SourceImage {
  nodes.check(name, "backup-source");
  nodes.hold(name, OF_SOURCES);
  const state = nodes.find(name);
  const node = nodes.attach(name, "backup-source");
  const layer = formatNodeOf(node);
  const backing = backingOf(nodes, name);
  const path = pathOf(nodes, state) ?? name;
  const known = { node, path, format: formatOf(state), backing, files: [] };
  const topExtent = layer.layerExtent?.bind(layer) ?? extentOfNothing(layer);
  return topExtent === undefined ? known : { ...known, topExtent };
}

/**
 * The stamps of those files of a chain that only writers change. A qcow2 image that is open for
 * writing is none of them: closing and opening it may write marks, tables and its length anew.
 *
 * @returns undefined if there is none, or one has no stamp
 */
export async function nodeStamp(nodes: JobNodes, name: string): Promise<string | undefined> {
  const layers = nodes.chain(name).filter((node) =>
    !isFilterNode(node) && (node.driver !== "qcow2" || node.isReadOnly)
  );
  const stamps = await Promise.all(
    layers.map(({ name: layer, children }) => nodes.block(children["file"] ?? layer).stamp()),
  );
  if (stamps.length === 0 || stamps.includes(undefined)) return undefined;
  return stamps.join(" ");
}

/** The filter over the source is made before the job is: it leads to the target, and is refused. */
function attachTarget(nodes: JobNodes, name: string, filter: string): Edge {
  try {
    return nodes.attach(name, "backup-target");
  } catch (error) {
    if (!(error instanceof JoblogError)) throw error;
    const job = `an unnamed block device (uses node '${name}' as 'root' child)`;
    const why = error.message.replace(job, writerOf(name, filter));
    const text = `Could not create node: ${why}`;
    throw new JoblogError("openFailed", text, { subject: name, cause: error });
  }
}

/** Who writes the target, in QEMU's words. */
function writerOf(target: string, filter: string): string {
  return `node '${filter}' (uses node '${target}' as 'target' child)`;
}

/** Filters that pass compressed writes on. */
const PASSING = new Set(["throttle", "copy-on-read"]);

/** True if a node can be written compressed. Source: QEMU 7.2 bdrv_supports_compressed_writes. */
export function canCompress(nodes: JobNodes, { driver, children }: NodeState): boolean {
  const below = PASSING.has(driver) ? children["file"] : undefined;
  return driver === "qcow2" || (below !== undefined && canCompress(nodes, nodes.find(below)));
}

/** Name of the filter over the source, which is not there yet. */
function filterOf({ "filter-node-name": name = "#block0" }: BackupParameters): string {
  return name;
}

/**
 * What shows through the source must not change: once the filter is above it, nobody may write
 * there. Who keeps the target from being written before that has refused it in `attachTarget`.
 */
function checkShown(
  nodes: JobNodes,
  target: string,
  parameters: BackupParameters,
  clusterSize: number,
): void {
  const { source } = parameters;
  const chain = nodes.chain(source);
  const below = chain.findIndex(({ name }) => name === target);
  if (below < 1) return;
  const over = chain[below - 1]!;
  const writer = writerOf(target, filterOf(parameters));
  const [role] = Object.entries(over.children).find(([, child]) => child === target)!;
  const reader = `node '${over.name}' (uses node '${target}' as '${role}' child)`;
  const text = `Permission conflict on node '${target}': permissions 'write' are both required ` +
    `by ${writer} and unshared by ${reader}.`;
  // Whoever leads to the source is in the way of the filter, else the job is when it comes.
  if (nodes.parents(source).length === 0) {
    checkChunk(parameters, clusterSize);
    throw new JoblogError("permissionConflict", text, { subject: target });
  }
  throw new JoblogError("openFailed", `Could not replace node: ${text}`, { subject: target });
}

/**
 * Opens a node as a target: it is there, and is overwritten.
 *
 * @param checkSize throws when it is not as large as the source
 */
export function nodeTarget(
  nodes: JobNodes,
  name: string,
  parameters: BackupParameters,
  checkSize: (target: Pick<CopyTarget, "isOpen" | "format" | "node">) => void,
): CopyTarget {
  checkCompress(parameters, canCompress(nodes, nodes.find(name)));
  nodes.check(name, "backup-target");
  const state = nodes.find(name);
  checkSize({ isOpen: true, format: formatOf(state), node: nodes.block(name) });
  checkFilterName(nodes, parameters["filter-node-name"]);
  nodes.hold(name);
  const node = attachTarget(nodes, name, filterOf(parameters));
  const { header } = formatNodeOf(node);
  const clusterSize = header === undefined ? 1 : 2 ** header.clusterBits;
  checkShown(nodes, name, parameters, clusterSize);
  return {
    path: state.path ?? name,
    format: formatOf(state),
    isCreated: false,
    fileSize: node.size,
    isOpen: true,
    canCompress: node.canCompress === true,
    node,
    clusterSize,
    use: () => Promise.resolve(node),
    make: () => Promise.reject(new Error(`Cannot make node "${name}": it is there`)),
    removeCreated: () => Promise.resolve(),
    close: () => node.close(),
  };
}
