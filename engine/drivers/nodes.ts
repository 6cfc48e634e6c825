/**
 * What a driver may ask of the graph of open nodes: `OpenContext.nodes`.
 *
 * The session begins with the driver's `open` and ends after its `close`: edges are closed, filters
 * and files that the job opened are taken out, holds are dropped. A driver that goes on after a
 * stop of the process asks for everything again.
 *
 * Refusals are `JoblogError`s with QEMU's texts: let them through, they refuse the creation.
 */
import type { GraphEventData } from "../../events/job/graph_events.ts";
import type { NodeState } from "../../events/job/graph_state.ts";
import type { JsonObject } from "../../events/log/event.ts";
import type { DirtyBitmap } from "../block/dirty_bitmap.ts";
import type { DirtyArea } from "../block/dirty_map.ts";
import type { Edge } from "../block/edge.ts";
import type { BlockNode } from "../block/node.ts";
import type { FileUse } from "../block/permissions.ts";

/** A bitmap that a job has taken: to all others it is busy until it is released. */
export interface JobBitmap {
  /** Its bits; once it is frozen they are those of that moment. */
  readonly bits: DirtyBitmap;
  /** True once writes are noted apart. */
  readonly isFrozen: boolean;
  /** Notes writes apart from here on. Once; while nothing is in flight above the node. */
  freeze(): void;
  /**
   * Lets go of it; what it becomes is durable first. One that was never frozen is as it was. Safe
   * to call twice; the end of the session does it with `everything`.
   *
   * @param left areas that are set besides
   */
  release(
    becomes: GraphEventData["BitmapReleased"]["becomes"],
    left?: Iterable<DirtyArea>,
  ): Promise<void>;
}

/** An event of the graph that was decided and is to be recorded. */
export type NodeChange = {
  [T in keyof GraphEventData]: { readonly type: T; readonly data: GraphEventData[T] };
}[keyof GraphEventData];

/** Records changes of the graph; resolves when they are durable. */
export type RecordChanges = (changes: readonly NodeChange[]) => Promise<void>;

/** How a job uses a node, or something else that other jobs may want too. */
export type Use = FileUse;

/** What a job may do to a node, and forbid others to do. Source: QEMU 7.2 BlockOpType. */
export type NodeOperation =
  | "backup-source"
  | "backup-target"
  | "change"
  | "commit-source"
  | "commit-target"
  | "drive-del"
  | "mirror-source"
  | "mirror-target"
  | "replace"
  | "resize"
  | "stream";

/** A filter to put in above a node. */
export interface NodeFilter {
  /** The node. */
  readonly above: string;
  /** Name of the filter's driver, such as `copy-before-write` or `mirror_top`. */
  readonly driver: string;
  /** Its name. @default a generated one */
  readonly name?: string;
  /** What the node below is to it. @default "file" */
  readonly role?: "file" | "backing";
  /** Further children by role, such as `target`. */
  readonly others?: Readonly<Record<string, string>>;
  /** Options for the record. */
  readonly options?: JsonObject;
  /** Makes the filter; called while nothing is in flight above the node. */
  readonly make: (child: Edge, others: ReadonlyMap<string, Edge>) => BlockNode;
}

/** See the head of this file. Names are node names. */
export interface JobNodes {
  /** A node by name. @throws {JoblogError} code "unknownNode" or "nodeMissing" */
  find(name: string): NodeState;
  /** True if no other node leads to it, and no job holds it. */
  isRoot(name: string): boolean;
  /** Who leads to a node, and as what. */
  parents(name: string): readonly { readonly parent: NodeState; readonly role: string }[];
  /** Its backing chain, itself first, filters included. */
  chain(name: string): readonly NodeState[];
  /** The block behind a node, such as a `Qcow2Node`, for what only its format can say. */
  block(name: string): BlockNode;
  /** A bitmap of a node; undefined = none. */
  bitmap(node: string, bitmap: string): DirtyBitmap | undefined;
  /**
   * Keeps all others off a bitmap.
   *
   * @throws {JoblogError} code "unknownBitmap" or "bitmapUnusable"
   */
  takeBitmap(node: string, bitmap: string): JobBitmap;
  /** Node by name, or else the file at a path, opened for this job; its name. */
  resolve(
    reference: string,
    options?: { readonly readOnly?: boolean; readonly format?: string },
  ): Promise<string>;
  /** Opens nodes for this job by QEMU's option object; the name of the uppermost. */
  open(options: JsonObject): Promise<string>;
  /**
   * Asks whether an operation is allowed, and changes nothing.
   *
   * @throws {JoblogError} code "nodeBusy" when somebody forbids the operation
   */
  check(name: string, operation: NodeOperation): void;
  /**
   * Keeps all others off a node.
   *
   * @param allowed what others may do all the same. @default nothing
   * @param by who does, as refusals name it. @default the job by its type
   */
  hold(name: string, allowed?: readonly NodeOperation[], by?: string): void;
  /** A way to a node; it stays below filters that come later. @param as how. @default "read" */
  attach(name: string, as?: Use): Edge;
  /**
   * Checks that one more writer goes together with all who use a node, read-only or not.
   *
   * @throws {JoblogError} code "permissionConflict" in QEMU's words
   */
  checkWriter(name: string): void;
  /** Puts a filter above a node, under whoever uses it; its name. */
  insertFilter(filter: NodeFilter): Promise<string>;
  /** Takes a filter of this job out again. */
  removeFilter(name: string, record?: RecordChanges): Promise<void>;
  /** Whoever leads to one node leads to another: a pivot, durable before anything moves. */
  replace(before: string, after: string, record?: RecordChanges): Promise<void>;
  /** An overlay gets another backing node, or none. */
  setBacking(overlay: string, backing: string | null, record?: RecordChanges): Promise<void>;
  /** Makes a node and the file below it writable or read-only. */
  setReadOnly(name: string, isReadOnly: boolean): Promise<void>;
}
