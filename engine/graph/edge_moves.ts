/**
 * Decisions that lead edges elsewhere: a filter comes in or goes, a mirror pivots, an overlay gets
 * another backing file or none.
 *
 * - No decision makes a ring: an edge of a node that lies below the new child stays where it is.
 * - Guests on a root go with its parents; jobs stay on the node that they were made for.
 *
 * Source: QEMU 7.2 block.c bdrv_replace_node, should_update_child, bdrv_set_backing_hd.
 */
import type { NodeState } from "../../events/job/graph_state.ts";
import type { GraphChange } from "./changes.ts";
import type { GraphView } from "./graph_view.ts";
import { cascade } from "./removal.ts";
import { graphError, NODE_READ_ONLY, noSuchNode, parameterFault } from "./refusals.ts";

function demand(view: GraphView, name: string): NodeState {
  const node = view.node(name);
  if (node === undefined) throw graphError(noSuchNode(name), name);
  return node;
}

function hasOuterWriters(view: GraphView, name: string, inner: ReadonlySet<string>): boolean {
  const isGuestWriter = view.usesOf(name).some(({ kind, isWriter }) =>
    kind === "guest" && isWriter
  );
  return isGuestWriter ||
    view.parents(name).some(({ parent, role }) =>
      !inner.has(parent.name) && role !== "backing" && !parent.isReadOnly
    );
}

/**
 * Everybody who leads to one node leads to another one from here on.
 *
 * @param after may be a node that is about to be added
 * @param led what that one leads to beside the node before
 * @throws {JoblogError} code "unknownNode" for the node before; "nodeReadOnly" when somebody writes
 * there and may not write to the node after
 */
export function decideReplaceNode(
  view: GraphView,
  before: string,
  after: string,
  led: readonly string[] = [],
): readonly GraphChange[] {
  demand(view, before);
  const below = new Set([after, ...led].flatMap((name) => [...view.below(name)]));
  const isReadOnly = view.node(after)?.isReadOnly === true;
  if (isReadOnly && hasOuterWriters(view, before, below)) throw graphError(NODE_READ_ONLY, after);
  const changes = view.parents(before).filter(({ parent }) => !below.has(parent.name))
    .map(({ parent, role }): GraphChange => ({
      type: "EdgeReplaced",
      data: { parent: parent.name, role, before, after },
    }));
  const hasGuests = view.usesOf(before).some(({ kind }) => kind === "guest");
  if (!hasGuests) return changes;
  return [...changes, {
    type: "EdgeReplaced",
    data: { parent: null, role: "root", before, after },
  }];
}

/**
 * As `decideReplaceNode`; told also when nobody leads to the node now: it is the end of a job.
 */
export function decidePivot(
  view: GraphView,
  before: string,
  after: string,
): readonly GraphChange[] {
  const changes = decideReplaceNode(view, before, after);
  if (changes.length > 0) return changes;
  return [{ type: "EdgeReplaced", data: { parent: null, role: "root", before, after } }];
}

/**
 * One edge of a node leads elsewhere or nowhere; what nothing leads to then and nobody added goes.
 *
 * @param after null = nowhere
 * @throws {JoblogError} code "unknownNode", or "invalidParameter" when it would make a ring
 */
export function decideSetChild(
  view: GraphView,
  parent: string,
  role: string,
  after: string | null,
): readonly GraphChange[] {
  const node = demand(view, parent);
  const before = node.children[role] ?? null;
  if (before === after) return [];
  if (after !== null) {
    const isReadOnly = demand(view, after).isReadOnly && role !== "backing" && !node.isReadOnly;
    if (isReadOnly) throw graphError(NODE_READ_ONLY, after);
    if (view.below(after).has(parent)) {
      const text = `Making '${after}' a ${role} child of '${parent}' would create a cycle`;
      throw graphError(parameterFault(text), after);
    }
  }
  const moved: GraphChange = { type: "EdgeReplaced", data: { parent, role, before, after } };
  const left = before === null ? undefined : view.node(before);
  const others = left === undefined ? 0 : view.parents(left.name).length - 1;
  const isKept = left === undefined || left.isExplicit || others > 0 ||
    view.usesOf(left.name).length > 0 || after !== null && view.below(after).has(left.name);
  const kept = new Set(after === null ? [] : view.below(after));
  return isKept ? [moved] : [moved, ...cascade(view, [left], kept)];
}
