/**
 * The graph of nodes over the engine's log: folds the stream `graph`, appends to it, and lends
 * sessions to drivers.
 *
 * - All events of that stream pass through `append`: the head has them at once, the durable state
 *   when they are on the disk.
 * - Nodes are opened once somebody needs them: at an opening for running, or for the first command.
 *
 * Called by the engine's other parts only. Source: DESIGN.md, The job machine, Graph.
 */
import type { EventMetadata } from "../../events/log/event.ts";
import type { AppendRequest, EventReader } from "../../events/log/store.ts";
import {
  evolveGraph,
  GRAPH_STREAM,
  type GraphState,
  INITIAL_GRAPH,
  jobErrorOf,
} from "../../events/job/mod.ts";
import type { DecidedEvent } from "../core/draft.ts";
import {
  BitmapChanges,
  Graph,
  type GraphChange,
  NodeSession,
  type SessionOwner,
  TurnQueue,
} from "../graph/mod.ts";
import { BY_ENGINE } from "./ledger.ts";

/** What the host needs of the engine. */
export interface GraphPlace {
  /** What the engine is made of. */
  readonly options: { readonly store: EventReader; readonly baseFolder: string };
  /** Where events are appended. */
  readonly ledger: {
    readonly position: number;
    prime(stream: string): Promise<void>;
    append(
      events: readonly DecidedEvent[],
      metadata: EventMetadata,
      options?: Pick<AppendRequest, "commandId">,
    ): Promise<void>;
  };
}

/** Changes of the graph as events of its stream. */
export function graphEvents(changes: readonly GraphChange[]): readonly DecidedEvent[] {
  return changes.map(({ type, data }) => ({ stream: GRAPH_STREAM, type, data }));
}

/** The graph with changes that are not recorded; throws when they do not fit. */
function foldChanges(graph: GraphState, changes: readonly GraphChange[]): GraphState {
  return changes.reduce((state, change) => {
    const position = state.position + 1;
    return evolveGraph(state, { ...change, position, version: state.version + 1 });
  }, graph);
}

/** Folds the whole stream of the graph. */
export async function readGraph(reader: EventReader, to?: number): Promise<GraphState> {
  let graph = INITIAL_GRAPH;
  for await (const event of reader.readStream(GRAPH_STREAM)) {
    if (to !== undefined && event.position > to) break;
    graph = evolveGraph(graph, event);
  }
  return graph;
}

/** See the head of this file. */
export class GraphHost {
  /** The nodes. */
  readonly graph: Graph;
  /** Users' commands on the graph, and transactions that change bitmaps: one at a time. */
  readonly turns: TurnQueue = new TurnQueue();
  readonly #place: GraphPlace;
  #head = INITIAL_GRAPH;
  #durable = INITIAL_GRAPH;
  #rebuilt: Promise<void> | undefined;

  /** Nothing is read or opened yet. */
  constructor(place: GraphPlace) {
    this.#place = place;
    this.graph = new Graph({
      head: () => this.#head,
      record: (changes) => this.append(graphEvents(changes), BY_ENGINE),
      folder: place.options.baseFolder,
      errorOf: jobErrorOf,
    });
  }

  /** What everybody outside is told. */
  get durable(): GraphState {
    return this.#durable;
  }

  /** Folds what is recorded; opens nothing. */
  async read(): Promise<void> {
    await this.#place.ledger.prime(GRAPH_STREAM);
    this.#head = this.#durable = await readGraph(this.#place.options.store);
  }

  /** Opens the recorded nodes, once; a node that cannot be opened is recorded as missing. */
  rebuild(): Promise<void> {
    return this.#rebuilt ??= this.graph.rebuild();
  }

  /** Changes of bitmaps that are recorded together with jobs. */
  bitmapChanges(): BitmapChanges {
    return new BitmapChanges(this.graph, foldChanges);
  }

  /** What one opening of a job's driver does with the graph. */
  session(owner: SessionOwner): NodeSession {
    return new NodeSession(this.graph, owner);
  }

  /**
   * Appends events of the graph, and whatever belongs into one append with them.
   *
   * @returns resolves when durable; rejects when it cannot be appended
   */
  async append(
    events: readonly DecidedEvent[],
    metadata: EventMetadata,
    options: Pick<AppendRequest, "commandId"> = {},
  ): Promise<void> {
    const { ledger } = this.#place;
    let { position } = ledger;
    const durable = ledger.append(events, metadata, options);
    if (ledger.position > position) {
      for (const event of events) {
        position += 1;
        if (event.stream !== GRAPH_STREAM) continue;
        const version = this.#head.version + 1;
        this.#head = evolveGraph(this.#head, { ...event, position, version });
      }
    }
    const head = this.#head;
    await durable;
    if (head.version > this.#durable.version) this.#durable = head;
  }

  /** Appends one event of a job and changes of the graph together. */
  writeWith(event: DecidedEvent, changes: readonly GraphChange[]): Promise<void> {
    return this.append([...graphEvents(changes), event], BY_ENGINE);
  }

  /** Closes all nodes. */
  async close(): Promise<void> {
    if (this.#rebuilt !== undefined) await this.graph.close();
  }
}
