import {
  evolveGraph,
  GRAPH_STREAM,
  type GraphState,
  INITIAL_GRAPH,
  isGraphType,
  type JobEvent,
} from "../job/mod.ts";
import type { Faults } from "./faults.ts";
import { isVerb } from "./txn_rules.ts";

/**
 * The checks of the graph of nodes: its events stand in its stream, and they fold.
 *
 * Once it could not be folded, what follows from that is not reported.
 */
export class GraphCheck {
  readonly #faults: Faults;
  #graph: GraphState = INITIAL_GRAPH;
  #isBroken = false;

  /** @param faults where findings go */
  constructor(faults: Faults) {
    this.#faults = faults;
  }

  /** The graph as of the last event. */
  get graph(): GraphState {
    return this.#graph;
  }

  /** True if an event is this check's to look at. */
  concerns({ stream, type }: JobEvent): boolean {
    return stream === GRAPH_STREAM || isGraphType(type);
  }

  /** Checks one event that it concerns. */
  check(event: JobEvent): void {
    const { position, type, stream } = event;
    const isAtHome = stream === GRAPH_STREAM && (isGraphType(type) || isVerb(type));
    if (!isAtHome) {
      const expected = isGraphType(type) ? `"${GRAPH_STREAM}"` : "another stream";
      this.#faults.add("stream", position, `the stream of its ${type}`, expected, `"${stream}"`);
      return;
    }
    if (this.#isBroken) return;
    try {
      this.#graph = evolveGraph(this.#graph, event);
    } catch (error) {
      const { expected, actual } = error as { expected?: string; actual?: string };
      const found = actual ?? (error as Error).message;
      this.#faults.add("fold", position, `the fold of its ${type}`, expected ?? "no error", found);
      this.#isBroken = true;
    }
  }
}
