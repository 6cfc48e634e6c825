import type { BitmapState, GraphState, NodeState } from "../../events/job/graph_state.ts";
import type { Graph } from "./graph.ts";
import { bitmapFacts } from "./live_nodes.ts";

/** A bitmap as it is now. */
export interface BitmapInfo extends BitmapState {
  /** Bytes whose bits are set; 0 when it is lost. */
  readonly dirtyBytes: number;
  /** True while a job has it. */
  readonly isBusy: boolean;
}

/** A node as it is now: what is recorded of it, and what only the open node can say. */
export interface NodeInfo extends Omit<NodeState, "bitmaps"> {
  /** Its bitmaps, oldest first. */
  readonly bitmaps: readonly BitmapInfo[];
  /** Length in bytes; null = it is not open. */
  readonly sizeBytes: number | null;
  /** Why others are kept off it, the newest holder last. */
  readonly heldBy: readonly string[];
}

/**
 * All nodes, oldest first.
 *
 * @param state what is recorded; usually the durable state
 * @param graph the open nodes; undefined = none is open here
 */
export function nodeInfos(state: GraphState, graph?: Graph): readonly NodeInfo[] {
  const holds = graph?.view.holds ?? [];
  return state.nodes.map((node) => {
    const live = graph?.live.get(node.name);
    return {
      ...node,
      bitmaps: node.bitmaps.map((bitmap) => ({ ...bitmap, ...bitmapFacts(live, bitmap) })),
      sizeBytes: live?.node.size ?? null,
      heldBy: holds.filter((hold) => hold.node === node.name).map(({ reason }) => reason),
    };
  });
}
