/**
 * One job's dealings with the graph: nodes that it found or opened, edges that it works through,
 * filters that it put in, and what it keeps others from. `release` ends all of it.
 *
 * - Nodes that a job opens by path, and its filters, belong to it: they go when it goes, and after
 *   a stop of the process they are made again by the job that goes on.
 * - A pivot is durable before any write goes the new way, in one append with whatever its caller
 *   adds.
 *
 * Made by `engine/run` for each opening of a driver. Source: QEMU 7.2 blockjob.c
 * block_job_add_bdrv, block_job_remove_all_bdrv; block.c bdrv_insert_node, bdrv_replace_node.
 */
import type { NodeState } from "../../events/job/graph_state.ts";
import type { JsonObject } from "../../events/log/event.ts";
import type { DirtyBitmap } from "../block/dirty_bitmap.ts";
import type { Edge } from "../block/edge.ts";
import type { BlockNode } from "../block/node.ts";
import type { FileUse } from "../block/permissions.ts";
import type { Recorder } from "./changes.ts";
import { definitionOf } from "./definition.ts";
import { decideAdopt, decideDissolve } from "./dissolving.ts";
import { decidePivot, decideSetChild } from "./edge_moves.ts";
import { filterAdded, filterMoves, type FilterRequest } from "./filter_request.ts";
import type { Graph } from "./graph.ts";
import type { GraphView, Operation } from "./graph_view.ts";
import { LiveNode, type LiveUse } from "./live_nodes.ts";
import { isQcow2 } from "./node_files.ts";
import { Opening, type PathOptions } from "./opening.ts";
import { checkUnwritten, checkWriter } from "./permission_uses.ts";
import { absolutePath } from "./plan_nodes.ts";
import { decideReadOnly, reopenNode } from "./reopening.ts";
import { graphError, NODE_READ_ONLY } from "./refusals.ts";
import type { SessionOwner } from "./session_owner.ts";
import { TakenBitmap } from "./taken_bitmap.ts";

/** See the head of this file. */
export class NodeSession {
  readonly #graph: Graph;
  readonly #owner: SessionOwner;
  readonly #uses = new Set<LiveUse>();
  readonly #holds = new Set<() => void>();
  readonly #bitmaps: TakenBitmap[] = [];

  /** Nothing is held yet. */
  constructor(graph: Graph, owner: SessionOwner) {
    this.#graph = graph;
    this.#owner = owner;
  }

  /** The graph as decisions see it now: nodes, parents, chains, blockers. */
  get view(): GraphView {
    return this.#graph.view;
  }

  /** True if no node leads to it, and no job has it for itself. Source: QEMU bdrv_is_root_node. */
  isRoot(name: string): boolean {
    return this.view.isRoot(name) && !this.view.isTaken(name);
  }

  /** Who leads to a node from inside the graph, and as what. */
  readonly parents: GraphView["parents"] = (name) => this.view.parents(name);

  /** The backing chain of a node, itself first, filters included. */
  chain(name: string): readonly NodeState[] {
    return this.view.chain(name);
  }

  /**
   * The block behind a node, such as a `Qcow2Node`, for what only its format can say. Whoever reads
   * or writes goes through `attach`.
   *
   * @throws {JoblogError} code "unknownNode" or "nodeMissing"
   */
  block(name: string): BlockNode {
    return this.#graph.live.get(this.find(name).name)!.block;
  }

  /** The bits of a bitmap; undefined = there is none, or they are lost. */
  bitmap(node: string, bitmap: string): DirtyBitmap | undefined {
    return this.#graph.bits({ node, bitmap });
  }

  /** Keeps others off a bitmap until this session ends; errors as those of `TakenBitmap`. */
  takeBitmap(node: string, bitmap: string): TakenBitmap {
    const taken = new TakenBitmap(this.#graph, { node, bitmap }, this.#owner.runId);
    this.#bitmaps.push(taken);
    return taken;
  }

  /**
   * The node that a job's argument names.
   *
   * @throws {JoblogError} code "unknownNode" or "nodeMissing"
   */
  find(name: string): NodeState {
    return this.#graph.demand(name);
  }

  /**
   * The node of a name, or else the file at a path, opened as nodes of this job. Asks for the name
   * first; nothing is created.
   *
   * @returns the node's name
   * @throws {JoblogError} code "openFailed" or "nodeMissing"
   */
  async resolve(reference: string, options: PathOptions = {}): Promise<string> {
    if (this.view.node(reference) !== undefined) return this.find(reference).name;
    const isReadOnly = options.readOnly === true;
    const file = { driver: "file", filename: reference, "read-only": isReadOnly };
    const path = absolutePath(this.#graph.options.folder, reference);
    const known = this.view.openedAt(path, this.#owner.runId, isReadOnly);
    if (known !== undefined) return known;
    const name = await this.open(file);
    const format = options.format ?? await this.#formatOf(name);
    return await this.open({ driver: format, file: name, "read-only": isReadOnly });
  }

  /**
   * Opens nodes of this job by QEMU's option object.
   *
   * @returns the name of the uppermost one
   * @throws {JoblogError} as `Graph.add`
   */
  async open(input: JsonObject): Promise<string> {
    const definition = definitionOf(input);
    const graph = this.#graph;
    return await graph.alone(async () => {
      const owner = this.#owner.runId;
      const plan = { isExplicit: false, owner, folder: graph.options.folder };
      const opening = new Opening(graph.view, graph.live, graph.files, plan);
      await opening.open(definition);
      const { locks, options } = graph;
      return await opening.record((opened) => locks.checkAdded(opened), options.record);
    });
  }

  /**
   * Checks that nobody forbids an operation.
   *
   * @throws {JoblogError} code "nodeBusy" with the holder's reason
   */
  check(name: string, operation: Operation): void {
    const refusal = this.view.blocker(name, operation);
    if (refusal !== undefined) throw graphError(refusal, name);
  }

  /** Keeps all others off a node until this session ends: see `JobNodes.hold`. */
  hold(name: string, allowed?: readonly Operation[], by?: string): void {
    const reason = `block device is in use by ${by ?? `block job: ${this.#owner.type}`}`;
    this.#holds.add(this.#graph.hold({ node: name, reason, allowed: new Set(allowed) }));
  }

  /**
   * A way to a node for this job. It does not move when filters come in above the node.
   *
   * @param as how the job uses it
   * @throws {JoblogError} code "unknownNode", "nodeMissing", "nodeReadOnly", "permissionConflict"
   */
  attach(name: string, as: FileUse = "read"): Edge {
    this.find(name);
    const isWriter = as !== "read" && as !== "backup-source";
    if (isWriter) this.#checkTarget(name);
    const owner = this.#owner.runId;
    const use = this.#graph.use({ node: name, kind: "job", isWriter, as, owner });
    this.#uses.add(use);
    return use.edge;
  }

  /** Checks that one more writer goes together with all who use a node. */
  checkWriter(name: string): void {
    checkWriter(this.view, name);
  }

  /**
   * Puts a filter above a node: its parents and the guests on it go through the filter from one
   * moment on, at which none of their requests is in flight.
   *
   * @returns the filter's name
   * @throws {JoblogError} code "unknownNode", "nodeMissing", "nodeReadOnly" or "permissionConflict"
   * for its children, "invalidNodeName" or "duplicateNode"
   */
  insertFilter(request: FilterRequest): Promise<string> {
    const graph = this.#graph;
    return graph.alone(async () => {
      const { above, role = "file", others = {} } = request;
      for (const child of [above, ...Object.values(others)]) this.find(child);
      if (others["target"] !== undefined) this.#checkTarget(others["target"]);
      if (request.driver === "copy-before-write") checkUnwritten(this.view, above);
      const children = { [role]: above, ...others };
      const node = filterAdded(graph, this.#owner.runId, request, children);
      graph.locks.checkFilter(node.data);
      const edges = new Map<string, Edge>(
        Object.entries(children).map(([each, child]) => [each, graph.live.edgeTo(child)]),
      );
      const moves = filterMoves(graph.view, this.#owner.runId, above, node.data.node);
      await graph.live.move(moves, async () => {
        const block = request.make(edges.get(role)!, edges);
        graph.live.add(new LiveNode(node.data, block, edges));
        await graph.options.record([node, ...moves]);
      });
      // That of a commit of inner layers is nobody's main node. Source: block/commit.c.
      if (request.driver !== "commit_top") this.hold(node.data.node);
      return node.data.node;
    });
  }

  /** Takes a filter of this job out again: whoever led to it leads to what it showed. */
  removeFilter(name: string, record: Recorder = this.#graph.options.record): Promise<void> {
    return this.#dissolve((node) => node.name === name, record);
  }

  /**
   * Whoever leads to one node leads to another one from here on: a mirror's pivot.
   *
   * @param record records the changes, with the job's own event; durable before anything moves
   * @throws {JoblogError} code "unknownNode"
   */
  replace(
    before: string,
    after: string,
    record: Recorder = this.#graph.options.record,
  ): Promise<void> {
    return this.#graph.alone(async () => {
      const { view, live } = this.#graph;
      for (const each of [before, after]) this.find(each);
      if (before === after) return;
      const changes = decidePivot(view, before, after);
      const adopted = decideAdopt(this.view, this.#owner.runId, before, after);
      await live.move(changes, () => record([...changes, ...adopted]));
    });
  }

  /**
   * An overlay gets another backing file, or none; what nothing leads to then goes.
   *
   * @throws {JoblogError} code "unknownNode" or "invalidParameter"
   */
  setBacking(
    overlay: string,
    backing: string | null,
    record: Recorder = this.#graph.options.record,
  ): Promise<void> {
    return this.#graph.alone(async () => {
      const { view, live } = this.#graph;
      for (const each of backing === null ? [overlay] : [overlay, backing]) this.find(each);
      const changes = decideSetChild(view, overlay, "backing", backing);
      if (live.get(overlay)?.edges.has("backing") !== true && changes.length > 0) {
        return await reopenNode(this.#graph, overlay, changes, record);
      }
      await live.move(changes, () => record(changes));
      await this.#graph.closeRemoved(changes);
    });
  }

  /** Makes a node writable or read-only, with the files below it that follow it. */
  setReadOnly(name: string, isReadOnly: boolean): Promise<void> {
    return this.#graph.alone(async () => {
      const changes = decideReadOnly(this.view, this.find(name), isReadOnly);
      await reopenNode(this.#graph, name, changes, this.#graph.options.record);
    });
  }

  /** Ends it: edges, filters, own nodes, holds. Safe to call twice. */
  async release(): Promise<void> {
    for (const { edge } of this.#uses) await edge.close();
    this.#uses.clear();
    for (const taken of this.#bitmaps.splice(0)) await taken.release("everything");
    await this.#dissolve(() => true, this.#graph.options.record);
    for (const unhold of this.#holds) unhold();
    this.#holds.clear();
  }

  /** Nodes that this job looks at or works through, with all below them. */
  get used(): ReadonlySet<string> {
    const { view } = this;
    return new Set([...this.#uses].flatMap(({ node }) => [...view.below(node)]));
  }

  #checkTarget(name: string): void {
    this.checkWriter(name);
    if (this.find(name).isReadOnly) throw graphError(NODE_READ_ONLY, name);
  }

  #dissolve(isMeant: (node: NodeState) => boolean, record: Recorder): Promise<void> {
    const [graph, { runId }] = [this.#graph, this.#owner];
    const isMine = (node: NodeState) => node.owner === runId && isMeant(node);
    // Who has nothing there waits for nobody: one that was refused asks again who is about to go.
    if (!this.view.state.nodes.some(isMine)) return Promise.resolve();
    return graph.alone(async () => {
      const changes = decideDissolve(graph.view, isMine);
      if (changes.length === 0) return;
      await graph.live.move(changes, () => record(changes));
      await graph.closeRemoved(changes);
    });
  }

  async #formatOf(file: string): Promise<string> {
    return await isQcow2(this.#graph.live.get(file)!.node) ? "qcow2" : "raw";
  }
}
