/**
 * The graph of open image nodes: names, parents, filters, holds, bitmaps.
 *
 * - Decisions are pure functions over the folded stream `graph` (`GraphView`) that give changes or
 *   throw a refusal in QEMU's words; `Graph` records and does them.
 * - Guests write through `Graph.writer`, jobs work through a `NodeSession`.
 *
 * @example Opens two nodes, writes as a guest, and looks at what was recorded
 * ```ts
 * import { Graph } from "./mod.ts";
 * import { evolveGraph, INITIAL_GRAPH, jobErrorOf } from "../../events/job/mod.ts";
 *
 * let head = INITIAL_GRAPH;
 * const graph = new Graph({
 *   head: () => head,
 *   record: (changes) => {
 *     for (const change of changes) {
 *       const position = head.position + 1;
 *       head = evolveGraph(head, { ...change, position, version: position });
 *     }
 *     return Promise.resolve();
 *   },
 *   folder: "/",
 *   errorOf: jobErrorOf,
 * });
 * const file = { driver: "null-co", size: 65_536 };
 * await graph.add({ driver: "raw", "node-name": "disk", file });
 * const guest = graph.writer("disk");
 * await guest.write(0, new Uint8Array(512));
 * if (head.nodes.map(({ name }) => name).join() !== "#block100,disk") throw new Error("other");
 * await graph.close();
 * ```
 *
 * @module
 */
export type { Edge } from "../block/edge.ts";
export type { GraphChange, Recorder } from "./changes.ts";
export { definitionOf } from "./definition.ts";
export { Graph, type GraphOptions } from "./graph.ts";
export {
  filteredRole,
  GraphView,
  type Hold,
  isFilter,
  type Operation,
  type Use,
} from "./graph_view.ts";
export type { FileOpener } from "./node_files.ts";
export type { FilterRequest } from "./filter_request.ts";
export { type BitmapInfo, type NodeInfo, nodeInfos } from "./node_info.ts";
export { BitmapChanges } from "./bitmap_changes.ts";
export type { BitmapAction, BitmapRequest, BitmapVerb } from "./bitmap_verbs.ts";
export { NodeSession } from "./node_session.ts";
export type { PathOptions } from "./opening.ts";
export {
  deviceNotFound,
  graphError,
  type GraphRefusal,
  type GraphRefusalCode,
  graphRefusalOf,
  noSuchDevice,
  noSuchNode,
  noSuchReference,
  NOT_ROOT,
} from "./refusals.ts";
export type { SessionOwner } from "./session_owner.ts";
export { type BitmapFate, TakenBitmap } from "./taken_bitmap.ts";
export { TurnQueue } from "./turn_queue.ts";
