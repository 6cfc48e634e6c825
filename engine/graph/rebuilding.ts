/**
 * Opens the nodes of a recorded graph, children before parents, whatever became of their files.
 *
 * Called by `graph.ts` alone.
 */
import type { JobError } from "../../events/job/errno.ts";
import type { NodeState } from "../../events/job/graph_state.ts";
import type { Edge } from "../block/edge.ts";
import type { GraphChange } from "./changes.ts";
import { keptChanges, useKept } from "./kept_bitmaps.ts";
import { LiveNode, type LiveNodes } from "./live_nodes.ts";
import { type FileOpener, openNode } from "./node_files.ts";

/** What opening recorded nodes needs. */
export interface RebuildPlace {
  /** The open nodes. */
  readonly live: LiveNodes;
  /** Opens files. */
  readonly files: FileOpener;
  /** Names errors. */
  readonly options: { readonly errorOf: (thrown: unknown) => JobError };
}

/**
 * Opens all nodes that are not open.
 *
 * @returns what differs from the record: nodes that are missing now, nodes that are there again,
 * and what their images say of the bitmaps that they keep
 */
export async function reopenMissing(
  place: RebuildPlace,
  nodes: readonly NodeState[],
): Promise<readonly GraphChange[]> {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const errors = new Map<string, JobError>();
  const visited = new Set<string>();
  const visit = async (node: NodeState): Promise<void> => {
    if (visited.has(node.name) || place.live.get(node.name) !== undefined) return;
    visited.add(node.name);
    for (const child of Object.values(node.children)) {
      const below = byName.get(child);
      if (below !== undefined) await visit(below);
    }
    const error = await open(place, node, errors);
    if (error !== undefined) errors.set(node.name, error);
  };
  for (const node of nodes) await visit(node);
  return nodes.filter(({ name }) => visited.has(name)).flatMap((node) => {
    const bitmaps = place.live.get(node.name)?.bitmaps;
    const kept = bitmaps === undefined ? [] : keptChanges(node, bitmaps);
    return [...changeOf(node, errors.get(node.name)), ...kept];
  });
}

async function open(
  place: RebuildPlace,
  node: NodeState,
  errors: ReadonlyMap<string, JobError>,
): Promise<JobError | undefined> {
  const edges = new Map<string, Edge>();
  for (const [role, child] of Object.entries(node.children)) {
    const error = errors.get(child);
    if (error !== undefined) return error;
    edges.set(role, place.live.edgeTo(child));
  }
  try {
    const recipe = { ...node, node: node.name, isAutoReadOnly: false };
    const block = await openNode(recipe, edges, place.files);
    await useKept(block);
    place.live.add(new LiveNode(recipe, block, edges));
    return undefined;
  } catch (error) {
    const { cause } = error as { readonly cause?: unknown };
    const { errno, number } = place.options.errorOf(cause ?? error);
    return { errno, number, text: place.options.errorOf(error).text };
  }
}

function changeOf(node: NodeState, error: JobError | undefined): readonly GraphChange[] {
  const { name, missing, options, isReadOnly } = node;
  if (error === undefined) {
    if (missing === null) return [];
    return [{ type: "NodeReopened", data: { node: name, options, isReadOnly } }];
  }
  const isKnown = missing !== null && missing.text === error.text;
  return isKnown ? [] : [{ type: "NodeMissing", data: { node: name, error } }];
}
