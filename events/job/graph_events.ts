/**
 * Events of the stream `graph`: the open nodes of disk images, the edges between them, and their
 * dirty bitmaps.
 *
 * Types are only added; a meaning never changes. A node is named for its whole life. Children are
 * given by name: a definition that was nested when it came in is recorded as one `NodeAdded` for
 * each node, the lowest first. What a guest writes is never recorded.
 *
 * Source: QEMU 7.2 block.c, blockdev.c, block/monitor/bitmap-qmp-cmds.c for the facts; DESIGN.md,
 * The job machine, Graph.
 */
import type { JsonObject, RecordedEvent } from "../log/event.ts";
import type { JobError } from "./errno.ts";

/** Commands that change the graph, as QEMU names them. */
export type NodeVerb =
  | "blockdev-add"
  | "blockdev-del"
  | "blockdev-reopen"
  | "block-dirty-bitmap-add"
  | "block-dirty-bitmap-remove"
  | "block-dirty-bitmap-clear"
  | "block-dirty-bitmap-enable"
  | "block-dirty-bitmap-disable"
  | "block-dirty-bitmap-merge";

/** Names of children by role: `file`, `backing`, `image` or `target`. */
export type NodeChildren = { readonly [role: string]: string };

/** A bitmap by the node that it belongs to and its name. */
export type BitmapName = { readonly node: string; readonly bitmap: string };

/** Data of each event type of the graph. Since: event version 1, all of them. */
export interface GraphEventData {
  /**
   * A node was opened. `options` is complete, with defaults, and names its children; `path` is
   * absolute, for what opens a file. `isExplicit`: a user added it and may delete it; any other is
   * there for as long as it has a parent. `owner`: the run that it belongs to, which opens it again
   * after a stop of the process; null = it outlives jobs.
   */
  NodeAdded: {
    readonly node: string;
    readonly driver: string;
    readonly options: JsonObject;
    readonly path: string | null;
    readonly children: NodeChildren;
    readonly isExplicit: boolean;
    readonly isReadOnly: boolean;
    readonly owner: string | null;
  };
  /** A node was closed; nothing leads to it any more. */
  NodeRemoved: { readonly node: string };
  /** A node has other options from here on, or is there again after it was missing. */
  NodeReopened: {
    readonly node: string;
    readonly options: JsonObject;
    readonly isReadOnly: boolean;
  };
  /**
   * A parent leads to another node. `parent` null: the users that are no nodes, such as a guest,
   * went from one root to another. `after` null: the parent leads nowhere, as an overlay without a
   * backing file; `before` null: it led nowhere.
   */
  EdgeReplaced: {
    readonly parent: string | null;
    readonly role: string;
    readonly before: string | null;
    readonly after: string | null;
  };
  /** A job's node belongs to the graph from here on, and outlives the job. */
  NodeAdopted: { readonly node: string; readonly isExplicit: boolean };
  /** An opening could not open a node that the log has; jobs on it fail. */
  NodeMissing: { readonly node: string; readonly error: JobError };
  /** A bitmap began to record writes; `granularity` in bytes, a power of two. */
  BitmapAdded: BitmapName & { readonly granularity: number; readonly isEnabled: boolean };
  /** A bitmap is gone. */
  BitmapRemoved: BitmapName;
  /** No bit of it is set any more. */
  BitmapCleared: BitmapName;
  /** It records writes. */
  BitmapEnabled: BitmapName;
  /** It does not record writes. */
  BitmapDisabled: BitmapName;
  /** The bits of the sources were set in it. */
  BitmapMerged: BitmapName & { readonly sources: readonly BitmapName[] };
  /**
   * A job let go of a bitmap that it had taken, at its end or when its process closed. `becomes`:
   * `written` = what was written since the job began, and nothing else; `everything` = that and
   * what it held before; `uncopied` = that and what the job should have copied and did not.
   */
  BitmapReleased: BitmapName & {
    readonly runId: string;
    readonly becomes: "written" | "everything" | "uncopied";
  };
  /**
   * Its bits went with the process that had them, or the image that keeps it was not closed: what
   * it says cannot be used.
   */
  BitmapLost: BitmapName;
  /** The image keeps it: its bits are written there when the node is closed. */
  BitmapKept: BitmapName;
  /**
   * A node was opened and its image keeps this bitmap; `granularity` in bytes, a power of two.
   * `isInconsistent`: who wrote the image last did not close it, so that it cannot be used.
   */
  BitmapFound: BitmapName & {
    readonly granularity: number;
    readonly isEnabled: boolean;
    readonly isInconsistent: boolean;
  };
}

/** Name of an event type of the graph. */
export type GraphEventType = keyof GraphEventData;

/** A recorded event of the graph. */
export type GraphEvent = {
  [T in GraphEventType]: Omit<RecordedEvent, "type" | "data"> & {
    readonly type: T;
    readonly data: GraphEventData[T];
  };
}[GraphEventType];

/** Current schema version of each type. */
export const GRAPH_SCHEMAS: { readonly [T in GraphEventType]: number } = {
  NodeAdded: 1,
  NodeRemoved: 1,
  NodeReopened: 1,
  EdgeReplaced: 1,
  NodeAdopted: 1,
  NodeMissing: 1,
  BitmapAdded: 1,
  BitmapRemoved: 1,
  BitmapCleared: 1,
  BitmapEnabled: 1,
  BitmapDisabled: 1,
  BitmapMerged: 1,
  BitmapReleased: 1,
  BitmapLost: 1,
  BitmapKept: 1,
  BitmapFound: 1,
};

/** Name of the stream of the graph. */
export const GRAPH_STREAM = "graph";

/** Says whether a type is one of the graph's. */
export function isGraphType(type: string): type is GraphEventType {
  return Object.hasOwn(GRAPH_SCHEMAS, type);
}

/** Says whether an event is of the graph, in a shape that this program knows. */
export function isGraphEvent(
  event: Pick<RecordedEvent, "type" | "schema">,
): event is RecordedEvent & GraphEvent {
  return isGraphType(event.type) && GRAPH_SCHEMAS[event.type] === event.schema;
}
