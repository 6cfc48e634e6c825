import type { GraphEventData } from "../../events/job/graph_events.ts";
import type { JsonObject } from "../../events/log/event.ts";
import type { Edge } from "../block/edge.ts";
import type { BlockNode } from "../block/node.ts";
import type { GraphChange } from "./changes.ts";
import { decideReplaceNode } from "./edge_moves.ts";
import type { GraphView, Use } from "./graph_view.ts";
import { nameRefusal, planNodes } from "./plan_nodes.ts";
import { graphError } from "./refusals.ts";

/** A filter to put in. */
export interface FilterRequest {
  /** The node that it is put above. */
  readonly above: string;
  /** Name of its driver, such as `copy-before-write` or `mirror_top`. */
  readonly driver: string;
  /** Its name. @default a generated one */
  readonly name?: string;
  /** What the node below is to it. @default "file" */
  readonly role?: "file" | "backing";
  /** Further children by role, such as `target`. */
  readonly others?: Readonly<Record<string, string>>;
  /** Options for the record, beside names and children. */
  readonly options?: JsonObject;
  /** Makes the filter over its edges; called while nothing is in flight. */
  readonly make: (child: Edge, others: ReadonlyMap<string, Edge>) => BlockNode;
}

/**
 * What is recorded about a job's filter.
 *
 * @param owner run id of the job
 * @param children every child by role
 * @throws {JoblogError} code "invalidNodeName" or "duplicateNode"
 */
export function filterAdded(
  place: { readonly view: GraphView; readonly options: { readonly folder: string } },
  owner: string,
  request: FilterRequest,
  children: Readonly<Record<string, string>>,
): { readonly type: "NodeAdded"; readonly data: GraphEventData["NodeAdded"] } {
  const { driver, name, options = {}, above } = request;
  const { view } = place;
  const refusal = name === undefined ? undefined : nameRefusal(view, name);
  if (refusal !== undefined) throw graphError(refusal, name);
  const isReadOnly = view.node(above)?.isReadOnly === true;
  // A definition without children, for the sake of its name.
  const definition = { driver, name, options: { driver, ...options }, children: new Map() };
  const flags = { isReadOnly, isAutoReadOnly: false };
  const plan = { isExplicit: false, owner, folder: place.options.folder };
  const { added } = planNodes(view, { ...definition, ...flags }, plan)[0]!;
  return {
    type: "NodeAdded",
    data: { ...added, options: { ...added.options, ...children }, children },
  };
}

/**
 * Whoever leads to a node leads to a job's new filter above it. What the job writes through the
 * filter is below that, too: it goes on leading to the node itself, or there would be a ring.
 *
 * @throws {JoblogError} as `decideReplaceNode`
 */
export function filterMoves(
  view: GraphView,
  owner: string,
  above: string,
  filter: string,
): readonly GraphChange[] {
  const isWritten = (use: Use) => use.owner === owner && use.as === "backup-target";
  return decideReplaceNode(
    view,
    above,
    filter,
    view.uses.filter(isWritten).map(({ node }) => node),
  );
}
