/**
 * The images of a backup that are nodes of the graph, by name.
 *
 * Used by `opening.ts`. Source: QEMU 7.2 blockdev.c qmp_blockdev_backup, do_backup_common;
 * block/backup.c backup_job_create.
 */

import { JoblogError } from "../../../events/log/errors.ts";
import type { NodeState } from "../../../events/job/graph_state.ts";
import type { BlockNode } from "../../block/node.ts";
import type { LayerExtent } from "../../block/qcow2/mod.ts";
import type { JobNodes } from "../nodes.ts";
import type { BackingName, SourceImage } from "../images/source.ts";
import type { CopyTarget } from "../images/target.ts";
import type { WriterGate } from "./guests.ts";

/** What a format node can say beside its bytes. */
export interface FormatNode {
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

function formatOf({ driver }: NodeState): "raw" | "qcow2" {
  return driver === "qcow2" ? "qcow2" : "raw";
}

/** The image below a node, through filters; undefined if there is none or it has no file. */
function backingOf(nodes: JobNodes, name: string): BackingName | undefined {
  const below = nodes.chain(name).slice(1).find(({ path }) => path !== null);
  if (below === undefined || below.path === null) return undefined;
  return { path: below.path, format: formatOf(below) };
}

/** Opens a node as a source. Writers that come through other edges are kept by the gate. */
export function nodeSource(
  nodes: JobNodes,
  name: string,
): { readonly source: SourceImage; readonly gate: WriterGate } {
  nodes.check(name, "backup-source");
  nodes.hold(name, ["backup-source"]);
  const state = nodes.find(name);
  const node = nodes.attach(name);
  const layer = formatNodeOf(node);
  const backing = backingOf(nodes, name);
  const known = { node, path: state.path ?? name, format: formatOf(state), backing, files: [] };
  const topExtent = (offset: number, length: number) => layer.layerExtent!(offset, length);
  const hasLayer = backing !== undefined && layer.layerExtent !== undefined;
  const source = hasLayer ? { ...known, topExtent } : known;
  let filter: string | undefined;
  const gate: WriterGate = {
    async insert(make) {
      filter = await nodes.insertFilter({ above: name, driver: "copy-before-write", make });
    },
    async remove() {
      const inserted = filter;
      filter = undefined;
      if (inserted !== undefined) await nodes.removeFilter(inserted);
    },
  };
  return { source, gate };
}

/** Opens a node as a target: it is there, and is overwritten. */
export function nodeTarget(nodes: JobNodes, name: string): CopyTarget {
  nodes.check(name, "backup-target");
  nodes.hold(name);
  const state = nodes.find(name);
  const node = nodes.attach(name, true);
  const { header } = formatNodeOf(node);
  const clusterSize = header === undefined ? 1 : 2 ** header.clusterBits;
  return {
    path: state.path ?? name,
    format: formatOf(state),
    isCreated: false,
    fileSize: node.size,
    isOpen: true,
    node,
    clusterSize,
    use: () => Promise.resolve(node),
    make: () => Promise.reject(new Error(`Cannot make node "${name}": it is there`)),
    removeCreated: () => Promise.resolve(),
    close: () => node.close(),
  };
}
