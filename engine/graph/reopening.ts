/**
 * Opening a node anew with other options, under whoever uses it.
 *
 * - Nothing is in flight while it happens: requests are held, the old node is closed, the new one
 *   opened, and only then they go on. If the new one cannot be opened, the old one is opened again.
 * - A file below that no user named follows its parent from writable to read-only and back.
 * - Bitmaps stay.
 *
 * Called by `graph.ts` and `node_session.ts`. Source: QEMU 7.2 blockdev.c qmp_blockdev_reopen;
 * block.c bdrv_reopen_multiple.
 *
 * Differs from QEMU: only `read-only`, `auto-read-only` and `backing` can change.
 */
import type { JobError } from "../../events/job/errno.ts";
import type { NodeState } from "../../events/job/graph_state.ts";
import type { JsonObject } from "../../events/log/event.ts";
import type { Edge } from "../block/edge.ts";
import type { GraphChange, Recorder } from "./changes.ts";
import { type Definition, definitionOf } from "./definition.ts";
import { decideSetChild } from "./edge_moves.ts";
import type { GraphView } from "./graph_view.ts";
import type { ImageLocks } from "./image_locks.ts";
import { keptChanges, useKept } from "./kept_bitmaps.ts";
import { LiveNode, type LiveNodes } from "./live_nodes.ts";
import { type FileOpener, openNode } from "./node_files.ts";
import * as refusals from "./refusals.ts";
import { graphError } from "./refusals.ts";

/** What opening anew needs of the graph. */
export interface ReopenPlace {
  /** The graph as decisions see it. */
  readonly view: GraphView;
  /** The open nodes. */
  readonly live: LiveNodes;
  /** Who uses which image file. */
  readonly locks: ImageLocks;
  /** Opens files. */
  readonly files: FileOpener;
  /** Names errors; records what no command is behind. */
  readonly options: {
    readonly errorOf: (thrown: unknown) => JobError;
    readonly record: Recorder;
  };
  /** Closes one open node and forgets it. */
  closeNode(name: string): Promise<void>;
  /** Closes nodes whose removal is durable. */
  closeRemoved(changes: readonly GraphChange[]): Promise<void>;
}

/**
 * A node is to be writable or read-only, with the files that follow it.
 *
 * @throws {JoblogError} code "nodeReadOnly" when somebody writes who may not any more
 */
export function decideReadOnly(
  view: GraphView,
  node: NodeState,
  isReadOnly: boolean,
): readonly GraphChange[] {
  const isRevoked = isReadOnly && !node.isReadOnly && view.hasWriters(node.name);
  if (isRevoked) throw graphError(refusals.writersInTheWay(node.name), node.name);
  return followed(view, node, isReadOnly);
}

function followed(
  view: GraphView,
  node: NodeState,
  isReadOnly: boolean,
): readonly GraphChange[] {
  if (node.isReadOnly === isReadOnly && node.missing === null) return [];
  const options = { ...node.options, "read-only": isReadOnly };
  const changes: GraphChange[] = [
    { type: "NodeReopened", data: { node: node.name, options, isReadOnly } },
  ];
  for (const [role, child] of Object.entries(node.children)) {
    const below = role === "backing" || role === "target" ? undefined : view.node(child);
    if (below === undefined || below.isExplicit) continue;
    changes.unshift(...followed(view, below, isReadOnly));
  }
  return changes;
}

const MAY_CHANGE: ReadonlySet<string> = new Set(["read-only", "auto-read-only", "backing"]);

function checkFixed(definition: Definition, node: NodeState): void {
  const { driver, options } = definition;
  if (driver !== node.driver) throw graphError(refusals.optionFixed("driver"), node.name);
  for (const name of new Set([...Object.keys(options), ...Object.keys(node.options)])) {
    const isChild = node.children[name] !== undefined || name === "node-name";
    if (isChild || MAY_CHANGE.has(name)) continue;
    const same = JSON.stringify(options[name]) === JSON.stringify(node.options[name]);
    if (!same) throw graphError(refusals.optionFixed(name), node.name);
  }
  for (const [role, child] of definition.children) {
    if (role === "backing" || child === node.children[role]) continue;
    throw graphError(refusals.optionFixed(role), node.name);
  }
}

/**
 * A user gives a node other options. Those that are not given go back to their defaults, as the
 * options of a new node would.
 *
 * @param input QEMU's option object; children by name
 * @throws {JoblogError} code "invalidParameter", "unknownNode" or "nodeNotReopened"
 */
export function decideReopen(view: GraphView, input: JsonObject): readonly GraphChange[] {
  const definition = definitionOf(input);
  const { name } = definition;
  if (name === undefined) {
    throw graphError({ code: "invalidParameter", text: "node-name not specified" });
  }
  const node = view.node(name);
  if (node === undefined) throw graphError(refusals.noSuchNode(name), name);
  checkFixed(definition, node);
  const changes = decideReadOnly(view, node, definition.isReadOnly ?? false);
  const backing = definition.children.get("backing");
  if (backing === undefined) return changes;
  if (backing !== null && typeof backing !== "string") {
    throw graphError(refusals.optionFixed("backing"), name);
  }
  return [...decideSetChild(view, name, "backing", backing), ...changes];
}

/** The node as it will be. */
function recipeOf(node: NodeState, changes: readonly GraphChange[]) {
  let { options, isReadOnly } = node;
  const children: Record<string, string> = { ...node.children };
  for (const change of changes) {
    if (change.type === "NodeReopened" && change.data.node === node.name) {
      ({ options, isReadOnly } = change.data);
    }
    if (change.type !== "EdgeReplaced" || change.data.parent !== node.name) continue;
    const { role, after } = change.data;
    if (after === null) delete children[role];
    else children[role] = after;
  }
  const { driver, path, name } = node;
  return { node: name, driver, path, options, isReadOnly, isAutoReadOnly: false, children };
}

/** Names of the nodes that are to be opened anew, children first. */
function affected(changes: readonly GraphChange[], top: string): readonly string[] {
  const names = changes.flatMap((change) =>
    change.type === "NodeReopened" ? [change.data.node] : []
  );
  return names.includes(top) ? names : [...names, top];
}

async function openAll(
  graph: ReopenPlace,
  nodes: readonly NodeState[],
  changes: readonly GraphChange[],
  before: ReadonlyMap<string, LiveNode>,
): Promise<void> {
  for (const node of nodes) {
    const recipe = recipeOf(node, changes);
    const edges = new Map<string, Edge>();
    for (const [role, child] of Object.entries(recipe.children)) {
      edges.set(role, graph.live.edgeTo(child));
    }
    const bitmaps = before.get(node.name)?.bitmaps;
    const block = await openNode(recipe, edges, graph.files, bitmaps);
    graph.live.add(new LiveNode(recipe, block, edges, bitmaps));
    await useKept(block);
  }
}

/**
 * Does what was decided for a node and those below it that follow it. Runs inside `Graph.alone`.
 *
 * @throws {JoblogError} code "permissionConflict" when others use a file; nothing is touched then
 * @throws {JoblogError} as `openNode`; the nodes are then as they were, or missing
 */
export async function reopenNode(
  graph: ReopenPlace,
  top: string,
  changes: readonly GraphChange[],
  record: Recorder,
): Promise<void> {
  if (changes.length === 0) return await record(changes);
  const nodesAfter = graph.view.state.nodes.map((node) => {
    const { options, isReadOnly, children } = recipeOf(node, changes);
    return { ...node, options, isReadOnly, children };
  });
  graph.locks.checkNodes(nodesAfter);
  const names = affected(changes, top);
  const { live } = graph;
  const nodes = names.map((name) => graph.view.node(name)!);
  const before = new Map(names.flatMap((name) => {
    const node = live.get(name);
    return node === undefined ? [] : [[name, node] as const];
  }));
  const inner = new Set([...before.values()].flatMap(({ edges }) => [...edges.values()]));
  const outer = names.flatMap((name) =>
    live.edgesTo(name).filter((edge) => !inner.has(edge)).map((edge) => ({ name, edge }))
  );
  await live.during(outer.map(({ edge }) => edge), async (drained) => {
    const lead = () =>
      drained.forEach((edge, index) => {
        const now = live.get(outer[index]!.name);
        if (now !== undefined) edge.replace(now.node);
      });
    for (const name of names.toReversed()) await graph.closeNode(name);
    try {
      await openAll(graph, nodes, changes, before);
    } catch (error) {
      for (const name of names.toReversed()) await graph.closeNode(name);
      await undo(graph, nodes, before, error);
      lead();
      throw error;
    }
    lead();
    const again = nodes.filter(({ name }) => !before.has(name));
    await record([...changes, ...again.flatMap((node) => found(graph, node))]);
  });
  await graph.closeRemoved(changes);
}

/** What the image says of the bitmaps of a node that is there again. */
function found({ live }: ReopenPlace, node: NodeState): readonly GraphChange[] {
  const bitmaps = live.get(node.name)?.bitmaps;
  return bitmaps === undefined ? [] : keptChanges(node, bitmaps);
}

/** Back to the nodes of before; those that cannot be opened again are recorded as missing. */
async function undo(
  graph: ReopenPlace,
  nodes: readonly NodeState[],
  before: ReadonlyMap<string, LiveNode>,
  error: unknown,
): Promise<void> {
  const there = nodes.filter(({ name }) => before.has(name));
  try {
    await openAll(graph, there, [], before);
  } catch {
    const missing = there.filter(({ name }) => graph.live.get(name) === undefined);
    const reason = graph.options.errorOf(error);
    await graph.options.record(missing.map(({ name }): GraphChange => ({
      type: "NodeMissing",
      data: { node: name, error: reason },
    })));
  }
}
