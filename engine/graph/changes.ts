import type { GraphEventData, GraphEventType } from "../../events/job/graph_events.ts";

/** One event of the graph that was decided; position, version and time are the appender's. */
export type GraphChange = {
  [T in GraphEventType]: { readonly type: T; readonly data: GraphEventData[T] };
}[GraphEventType];

/** What is recorded about a node that is opened. */
export type AddedNode = GraphEventData["NodeAdded"];

/** Appends changes; resolves when they are durable. The head has them at once. */
export type Recorder = (changes: readonly GraphChange[]) => Promise<void>;
