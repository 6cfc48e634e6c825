/**
 * The open nodes of one engine: decides changes, records them, and does them.
 *
 * - One change at a time: each is decided against the recorded state at the head, and the live
 *   nodes are equal to it again before the next one is looked at.
 * - What is opened is opened first and recorded then; what is moved or closed is recorded first,
 *   durably, while nothing is in flight where edges move. So no write is acknowledged that goes
 *   where the log does not say.
 * - A job's nodes go with the job. After a stop of the process they are taken out of the recorded
 *   graph, and the jobs that go on make them again.
 *
 * Called by `engine/run`, which folds and appends. Source: DESIGN.md, The job machine, Graph.
 */
import type { JobError } from "../../events/job/errno.ts";
import type { BitmapName } from "../../events/job/graph_events.ts";
import type { GraphState, NodeState } from "../../events/job/graph_state.ts";
import type { JsonObject } from "../../events/log/event.ts";
import type { DirtyBitmap } from "../block/dirty_bitmap.ts";
import type { Edge } from "../block/edge.ts";
import * as bitmaps from "./bitmap_verbs.ts";
import type { GraphChange, Recorder } from "./changes.ts";
import { definitionOf } from "./definition.ts";
import { decideDissolve } from "./dissolving.ts";
import { GraphView, type Hold, type Use } from "./graph_view.ts";
import { ImageLocks } from "./image_locks.ts";
import { BitmapFacts, dropRemoved } from "./kept_bitmaps.ts";
import { applyToBitmaps, LiveNodes, type LiveUse } from "./live_nodes.ts";
import { type FileOpener, FILES } from "./node_files.ts";
import { Opening } from "./opening.ts";
import { checkWriter } from "./permission_uses.ts";
import { reopenMissing } from "./rebuilding.ts";
import { decideReopen, reopenNode } from "./reopening.ts";
import * as refusals from "./refusals.ts";
import { graphError } from "./refusals.ts";
import { decideRemove } from "./removal.ts";
import { TurnQueue } from "./turn_queue.ts";

/** What a graph stands on. */
export interface GraphOptions {
  /** The recorded graph with what is on its way to the disk. */
  readonly head: () => GraphState;
  /** Records changes that no command is behind. */
  readonly record: Recorder;
  /** Folder against which relative file names resolve: absolute. */
  readonly folder: string;
  /** Opens files. @default those of this machine */
  readonly files?: FileOpener;
  /** Any thrown value as an error with an errno. */
  readonly errorOf: (thrown: unknown) => JobError;
  /** Told of a node whose closing failed; it is gone all the same. */
  readonly onFault?: (node: string, error: unknown) => void;
}

/** See the head of this file. */
export class Graph {
  /** The open nodes; for the files of this room. */
  readonly live = new LiveNodes();
  /** What decisions about bitmaps ask of them. */
  readonly facts = new BitmapFacts(this.live);
  /** Who uses which image file. */
  readonly locks: ImageLocks = new ImageLocks(this);
  /** What it stands on. */
  readonly options: GraphOptions;
  readonly #holds = new Set<Hold>();
  readonly #turns = new TurnQueue();

  /** Nothing is opened yet: see `rebuild`. */
  constructor(options: GraphOptions) {
    this.options = options;
  }

  /** Opens files. */
  get files(): FileOpener {
    return this.options.files ?? FILES;
  }

  /** What decisions look at now. */
  get view(): GraphView {
    return new GraphView(this.options.head(), [...this.#holds], this.live.uses);
  }

  /** Runs one change alone; others wait. Must not be called from within one. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#turns.run(work);
  }

  /** Keeps others off a node until the returned function is called, which is safe twice. */
  hold(hold: Hold): () => void {
    this.#holds.add(hold);
    return () => void this.#holds.delete(hold);
  }

  /**
   * Takes up what an earlier process left: removes the nodes of its jobs, opens the others, and
   * records which bitmaps lost their bits and which nodes are missing. Never rejects because of a
   * node.
   */
  rebuild(): Promise<void> {
    return this.alone(async () => {
      const lost = this.view.state.nodes.flatMap((node) =>
        node.bitmaps.filter(({ isLost, isPersistent }) => !isLost && !isPersistent)
          .map(({ name: bitmap }): GraphChange => ({
            type: "BitmapLost",
            data: { node: node.name, bitmap },
          }))
      );
      const gone = decideDissolve(this.view, () => true);
      // A bitmap of a node that goes goes with it.
      const names = new Set(gone.map(({ data }) => "node" in data ? data.node : ""));
      const first = lost.filter(({ data }) => !("node" in data && names.has(data.node)));
      if (gone.length + first.length > 0) await this.options.record([...first, ...gone]);
      const found = await reopenMissing(this, this.view.state.nodes);
      if (found.length > 0) await this.options.record(found);
    });
  }

  /**
   * Adds a node, and the nodes that its definition has in place.
   *
   * @param input QEMU's option object
   * @param record records the changes, with the command if there is one
   * @returns the node's name
   * @throws {JoblogError} code "invalidParameter", "invalidNodeName", "duplicateNode",
   * "unknownNode", "nodeMissing", "openFailed", "nodeReadOnly" or "permissionConflict"
   */
  async add(input: JsonObject, record: Recorder = this.options.record): Promise<string> {
    const definition = definitionOf(input);
    if (definition.name === undefined) throw graphError(refusals.NODE_NAME_MISSING);
    return await this.alone(async () => {
      const { folder } = this.options;
      const plan = { isExplicit: true, owner: null, folder };
      const opening = new Opening(this.view, this.live, this.files, plan);
      await opening.open(definition);
      return await opening.record((opened) => this.locks.checkAdded(opened), record);
    });
  }

  /**
   * Deletes a node that a user added.
   *
   * @throws {JoblogError} as `decideRemove`
   */
  remove(name: string, record: Recorder = this.options.record): Promise<void> {
    return this.alone(async () => {
      const changes = decideRemove(this.view, name);
      await record(changes);
      await this.closeRemoved(changes);
    });
  }

  /**
   * Gives nodes other options, one after the other; those that were changed before one fails stay
   * so. A node that was missing and can be opened is there again.
   *
   * @throws {JoblogError} as `decideReopen`, and "openFailed" when it cannot be opened in this way
   */
  reopen(
    inputs: readonly JsonObject[],
    record: Recorder = this.options.record,
  ): Promise<void> {
    return this.alone(async () => {
      for (const input of inputs) {
        const changes = decideReopen(this.view, input);
        const name = String(input["node-name"]);
        await reopenNode(this, name, changes, record);
      }
    });
  }

  /**
   * Adds a bitmap, or changes one.
   *
   * @throws {JoblogError} as the decisions in `bitmap_verbs.ts`
   */
  bitmap(
    verb: "add" | bitmaps.BitmapVerb,
    name: bitmaps.BitmapRequest,
    record: Recorder = this.options.record,
  ): Promise<void> {
    const action = { ...name, action: `block-dirty-bitmap-${verb}` } as const;
    return this.#changeBitmaps(action, record);
  }

  /** Merges bitmaps into one; errors as `decideBitmapMerge`. */
  mergeBitmaps(
    target: BitmapName,
    sources: readonly (string | BitmapName)[],
    record: Recorder = this.options.record,
  ): Promise<void> {
    const action = { ...target, action: "block-dirty-bitmap-merge", sources } as const;
    return this.#changeBitmaps(action, record);
  }

  /** The bits of a bitmap. */
  bits({ node, bitmap }: BitmapName): DirtyBitmap | undefined {
    return this.live.get(node)?.bitmaps.find(bitmap);
  }

  /**
   * Lets a guest, or any writer that is no job, write through a node: its writes pass the filters
   * that are above it then, and those that come later. Closing the edge ends it.
   *
   * @throws {JoblogError} code "unknownNode", "nodeMissing", "nodeReadOnly" or "permissionConflict"
   */
  writer(name: string): Edge {
    const { view } = this;
    this.demand(name);
    if (this.live.get(name)!.node.isReadOnly) throw graphError(refusals.NODE_READ_ONLY, name);
    checkWriter(view, name);
    // What passes a job's filter is what that job expects of others.
    const top = view.belowGuests(name);
    const entry = this.live.get(top) === undefined ? name : top;
    const hold = entry === name ? view.holds.find((each) => each.node === entry) : undefined;
    if (hold !== undefined) throw graphError(refusals.nodeBusy(name, hold.reason), name);
    return this.use({ node: entry, kind: "guest", isWriter: true }).edge;
  }

  /** Lets somebody read a node, as `writer`; a read-only one will do, and one in a chain. */
  reader(name: string): Edge {
    this.demand(name);
    return this.use({ node: name, kind: "guest", isWriter: false }).edge;
  }

  /** Lets somebody from outside in. @throws {JoblogError} code "permissionConflict" */
  use(use: Use): LiveUse {
    this.locks.checkUse(use);
    return this.live.use(use);
  }

  /** A node that is there and open. @throws {JoblogError} code "unknownNode" or "nodeMissing" */
  demand(name: string): NodeState {
    const node = this.view.node(name);
    if (node === undefined) throw graphError(refusals.noSuchDevice(name), name);
    const missing = this.view.missing(node);
    if (missing !== undefined) throw graphError(missing, name);
    return node;
  }

  /** Closes everything, parents before their children. */
  close(): Promise<void> {
    return this.alone(async () => {
      for (const { edge } of this.live.uses) await edge.close();
      const left = new Map(this.live.list().map((node) => [node.name, node]));
      while (left.size > 0) {
        const below = new Set(
          [...left.values()].flatMap(({ edges }) => [...edges.values()].map(({ child }) => child)),
        );
        const upper = [...left.values()].find(({ node }) => !below.has(node)) ??
          [...left.values()][0]!;
        left.delete(upper.name);
        await this.closeNode(upper.name);
      }
    });
  }

  /** Closes nodes whose removal is durable. */
  async closeRemoved(changes: readonly GraphChange[]): Promise<void> {
    for (const { type, data } of changes) {
      if (type === "NodeRemoved") await this.closeNode(data.node);
    }
  }

  /** Closes one open node and forgets it. */
  async closeNode(name: string): Promise<void> {
    try {
      await this.live.take(name)?.close();
    } catch (error) {
      this.options.onFault?.(name, error);
    }
  }

  #changeBitmaps(action: bitmaps.BitmapAction, record: Recorder): Promise<void> {
    return this.alone(async () => {
      const changes = bitmaps.decideBitmapAction(this.view, this.facts, action);
      await this.betweenWrites(changes, async () => {
        await record(changes);
        for (const change of changes) applyToBitmaps(this.live, change);
      });
      await dropRemoved(this, changes);
    });
  }

  /** Writes that were answered before the work are in a bitmap of these or not, all of them. */
  async betweenWrites(changes: readonly GraphChange[], work: () => Promise<void>): Promise<void> {
    const names = new Set(changes.flatMap(({ data }) => "bitmap" in data ? [data.node] : []));
    const edges = [...names].flatMap((name) => this.live.edgesTo(name));
    await this.live.during(edges, work);
  }
}
