/**
 * The folded state of the graph, plain JSON, and the fold itself.
 *
 * - Nodes stand in the order in which they were added: a child before its first parents.
 * - Names are unique, an edge leads to a node that is there, a node that is removed has no parent:
 *   a history that breaks this throws, because its writer has a bug.
 * - Pure; every history ever written folds.
 *
 * Source: DESIGN.md, The job machine, Graph.
 */
import type { JsonObject } from "../log/event.ts";
import { JoblogError } from "../log/errors.ts";
import type { JobError } from "./errno.ts";
import type {
  BitmapName,
  GraphEvent,
  GraphEventData,
  GraphEventType,
  NodeChildren,
} from "./graph_events.ts";

/** What is true of one dirty bitmap; its bits are never recorded. */
export type BitmapState = {
  /** Unique on its node. */
  readonly name: string;
  /** Bytes for each bit: a power of two. */
  readonly granularity: number;
  /** True if writes are recorded. */
  readonly isEnabled: boolean;
  /** True once its bits went with their process, or with that which wrote its image last. */
  readonly isLost: boolean;
  /** True if the image of its node keeps it. */
  readonly isPersistent: boolean;
};

/** What is true of one node. */
export type NodeState = {
  /** Unique in the graph. */
  readonly name: string;
  /** Name of the block driver, as in QEMU. */
  readonly driver: string;
  /** Complete options; children by name. */
  readonly options: JsonObject;
  /** Absolute path of the file behind it; null = none, or that of its children. */
  readonly path: string | null;
  /** Where its edges lead. */
  readonly children: NodeChildren;
  /** True if a user added it. */
  readonly isExplicit: boolean;
  /** True if it may not be written. */
  readonly isReadOnly: boolean;
  /** Run id of the job that it belongs to. */
  readonly owner: string | null;
  /** Why the last opening could not open it; null = it is open. */
  readonly missing: JobError | null;
  /** Its bitmaps, oldest first. */
  readonly bitmaps: readonly BitmapState[];
  /** Global position of the event that added it. */
  readonly position: number;
};

/** Everything that is true of the graph. */
export type GraphState = {
  /** The nodes, oldest first. */
  readonly nodes: readonly NodeState[];
  /** Highest number that was given to a node without a name. */
  readonly nameCount: number;
  /** Version of the stream. */
  readonly version: number;
  /** Global position of the last event folded. */
  readonly position: number;
};

/** No node. */
export const INITIAL_GRAPH: GraphState = { nodes: [], nameCount: 0, version: 0, position: 0 };

/** Beginning of the names of nodes that nobody named; users cannot give such names. */
export const GENERATED_NAME = "#block";

/** The node of a name. */
export function nodeOf(graph: GraphState, name: string): NodeState | undefined {
  return graph.nodes.find((node) => node.name === name);
}

/** The bitmap of a name on a node. */
export function bitmapOf(node: NodeState, bitmap: string): BitmapState | undefined {
  return node.bitmaps.find(({ name }) => name === bitmap);
}

/** Edges that lead to a node, those of the oldest parents first. */
export function parentsOf(
  graph: GraphState,
  name: string,
): readonly { readonly parent: NodeState; readonly role: string }[] {
  return graph.nodes.flatMap((parent) =>
    Object.entries(parent.children).filter(([, child]) => child === name)
      .map(([role]) => ({ parent, role }))
  );
}

type Fold<T extends GraphEventType> = (
  graph: GraphState,
  data: GraphEventData[T],
  position: number,
) => Partial<GraphState>;

function broken(subject: string, expected: string, actual: string): JoblogError {
  const text = `Cannot fold the graph: "${subject}" is ${actual}, expected ${expected}`;
  return new JoblogError("forbiddenGraphChange", text, { subject, expected, actual });
}

function demand(graph: GraphState, name: string): NodeState {
  const node = nodeOf(graph, name);
  if (node === undefined) throw broken(name, "a node", "none");
  return node;
}

function changed(
  graph: GraphState,
  name: string,
  change: (node: NodeState) => Partial<NodeState>,
): Partial<GraphState> {
  const node = demand(graph, name);
  const index = graph.nodes.indexOf(node);
  return { nodes: graph.nodes.with(index, { ...node, ...change(node) }) };
}

function changedBitmap(
  graph: GraphState,
  { node, bitmap }: BitmapName,
  change: Partial<BitmapState> | null,
): Partial<GraphState> {
  return changed(graph, node, ({ bitmaps }) => {
    const index = bitmaps.findIndex(({ name }) => name === bitmap);
    if (index < 0) throw broken(`${node}:${bitmap}`, "a bitmap", "none");
    if (change === null) return { bitmaps: bitmaps.toSpliced(index, 1) };
    return { bitmaps: bitmaps.with(index, { ...bitmaps[index]!, ...change }) };
  });
}

function withBitmap(
  graph: GraphState,
  { node, bitmap: name, granularity, isEnabled }: GraphEventData["BitmapAdded"],
  state: Pick<BitmapState, "isLost" | "isPersistent">,
): Partial<GraphState> {
  return changed(graph, node, ({ bitmaps }) => {
    const isThere = bitmaps.some((bitmap) => bitmap.name === name);
    if (isThere) throw broken(`${node}:${name}`, "no bitmap", "a bitmap");
    const added = { name, granularity, isEnabled: isEnabled && !state.isLost, ...state };
    return { bitmaps: [...bitmaps, added] };
  });
}

function withChild(children: NodeChildren, role: string, child: string | null): NodeChildren {
  const { [role]: _before, ...rest } = children;
  return child === null ? rest : { ...rest, [role]: child };
}

function numberOf(name: string): number {
  const number = name.startsWith(GENERATED_NAME) ? Number(name.slice(GENERATED_NAME.length)) : 0;
  return Number.isSafeInteger(number) ? number : 0;
}

const FOLDS: { readonly [T in GraphEventType]: Fold<T> } = {
  NodeAdded(graph, data, position) {
    const { node: name, ...rest } = data;
    if (nodeOf(graph, name) !== undefined) throw broken(name, "no node", "a node");
    for (const child of Object.values(rest.children)) demand(graph, child);
    const node: NodeState = { name, ...rest, missing: null, bitmaps: [], position };
    const nameCount = Math.max(graph.nameCount, numberOf(name));
    return { nodes: [...graph.nodes, node], nameCount };
  },
  NodeRemoved(graph, { node: name }) {
    const node = demand(graph, name);
    if (parentsOf(graph, name).length > 0) throw broken(name, "without a parent", "in use");
    return { nodes: graph.nodes.filter((other) => other !== node) };
  },
  NodeReopened: (graph, { node, options, isReadOnly }) =>
    changed(graph, node, () => ({ options, isReadOnly, missing: null })),
  EdgeReplaced(graph, { parent, role, before, after }) {
    if (after !== null) demand(graph, after);
    if (parent === null) return {};
    return changed(graph, parent, ({ children }) => {
      const found = children[role] ?? null;
      if (found !== before) throw broken(`${parent}.${role}`, String(before), String(found));
      return { children: withChild(children, role, after) };
    });
  },
  NodeAdopted: (graph, { node, isExplicit }) =>
    changed(graph, node, () => ({ owner: null, isExplicit })),
  NodeMissing: (graph, { node, error }) => changed(graph, node, () => ({ missing: error })),
  BitmapAdded: (graph, data) => withBitmap(graph, data, { isLost: false, isPersistent: false }),
  BitmapRemoved: (graph, data) => changedBitmap(graph, data, null),
  BitmapCleared: (graph, data) => changedBitmap(graph, data, {}),
  BitmapEnabled: (graph, data) => changedBitmap(graph, data, { isEnabled: true }),
  BitmapDisabled: (graph, data) => changedBitmap(graph, data, { isEnabled: false }),
  BitmapMerged: (graph, data) => changedBitmap(graph, data, {}),
  BitmapReleased(graph, data) {
    const same = changedBitmap(graph, data, {});
    if (data.becomes === "everything") return same;
    // Its successor is in its place now, which is younger than the others.
    return changed(graph, data.node, ({ bitmaps }) => {
      const index = bitmaps.findIndex(({ name }) => name === data.bitmap);
      return { bitmaps: [...bitmaps.toSpliced(index, 1), bitmaps[index]!] };
    });
  },
  BitmapLost: (graph, data) => changedBitmap(graph, data, { isLost: true, isEnabled: false }),
  BitmapKept: (graph, data) => changedBitmap(graph, data, { isPersistent: true }),
  BitmapFound: (graph, { isInconsistent, ...data }) =>
    withBitmap(graph, data, { isLost: isInconsistent, isPersistent: true }),
};

/**
 * Folds one event of the stream `graph`. Records of commands stand there too and change nothing.
 *
 * @param graph the state before; it is not changed
 * @returns the state after
 * @throws {JoblogError} code "forbiddenGraphChange" when the history breaks the rules above
 */
export function evolveGraph(
  graph: GraphState,
  event: Pick<GraphEvent, "position" | "version"> & {
    readonly type: string;
    readonly data: object;
  },
): GraphState {
  const { position, version } = event;
  const fold = Object.hasOwn(FOLDS, event.type)
    ? FOLDS[event.type as GraphEventType] as Fold<GraphEventType>
    : undefined;
  const change = fold?.(graph, event.data as GraphEventData[GraphEventType], position);
  return { ...graph, ...change, version, position };
}
