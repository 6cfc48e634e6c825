/**
 * Opens what a definition plans, with the backing files that only an image's header names.
 *
 * - Nodes are opened children first. If one fails, those opened before it are closed again and the
 *   graph is as it was.
 * - A backing file that no option speaks of is opened read-only, by the name in the header, which
 *   is meant from the folder of its overlay; its nodes are implicit.
 *
 * Called by `graph.ts`. Source: QEMU 7.2 block.c bdrv_open_inherit, bdrv_open_backing_file.
 */
import type { Edge } from "../block/edge.ts";
import { BlockError } from "../block/errors.ts";
import { backingPath, CHAIN_DEPTH_MAX } from "../block/qcow2/chain.ts";
import type { AddedNode, GraphChange, Recorder } from "./changes.ts";
import { type Definition, definitionOf } from "./definition.ts";
import type { GraphView } from "./graph_view.ts";
import { keptChanges, useKept } from "./kept_bitmaps.ts";
import { LiveNode, type LiveNodes } from "./live_nodes.ts";
import { type FileOpener, isQcow2, openNode, readQcow2Header } from "./node_files.ts";
import { type PlannedNode, planNodes, type PlanOptions } from "./plan_nodes.ts";
import { graphError, openFailed } from "./refusals.ts";

/** How a file is opened that is no node yet. */
export interface PathOptions {
  /** @default false */
  readonly readOnly?: boolean;
  /** Name of the format driver; absent = qcow2 if it begins like one, else raw. */
  readonly format?: string;
}

/** A node that was opened and is not in the graph yet. */
export interface OpenedNode {
  /** What is to be recorded. */
  readonly added: AddedNode;
  /** The open node; the graph has it already, so that its parents could be opened. */
  readonly live: LiveNode;
}

/** Opens the nodes of one definition. Used once. */
export class Opening {
  readonly #view: GraphView;
  readonly #nodes: LiveNodes;
  readonly #files: FileOpener;
  readonly #options: PlanOptions;
  readonly #opened: OpenedNode[] = [];
  readonly #taken = new Set<string>();
  #nameCount = 0;
  #depth = 0;

  /** Nothing is opened yet. */
  constructor(view: GraphView, nodes: LiveNodes, files: FileOpener, options: PlanOptions) {
    this.#view = view;
    this.#nodes = nodes;
    this.#files = files;
    this.#options = options;
  }

  /**
   * Opens all of it.
   *
   * @returns the nodes, children first; the last one is the definition's own
   * @throws {JoblogError} as `planNodes` and `openNode`
   */
  async open(definition: Definition): Promise<readonly OpenedNode[]> {
    try {
      await this.#openPlan(definition, this.#options);
      return this.#opened;
    } catch (error) {
      await this.undo();
      throw error;
    }
  }

  /**
   * Records what was opened, or closes it again.
   *
   * @param check looks at it in the same turn; what it throws refuses it
   * @returns the name of the definition's own node
   */
  async record(
    check: (opened: readonly OpenedNode[]) => void,
    record: Recorder,
  ): Promise<string> {
    try {
      check(this.#opened);
      for (const { live } of this.#opened) await this.#use(live);
      await record(this.#opened.flatMap(({ added: data, live }): readonly GraphChange[] => [
        { type: "NodeAdded", data },
        ...keptChanges({ name: data.node, bitmaps: [] }, live.bitmaps),
      ]));
      return this.#opened.at(-1)!.added.node;
    } catch (error) {
      await this.undo();
      throw error;
    }
  }

  async #use({ name, block }: LiveNode): Promise<void> {
    try {
      await useKept(block);
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      throw graphError(openFailed(error.message), name, error);
    }
  }

  /** Closes what was opened, the uppermost first. */
  async undo(): Promise<void> {
    for (const { live } of this.#opened.splice(0).reverse()) {
      this.#nodes.take(live.name);
      await live.close();
    }
  }

  async #openPlan(definition: Definition, options: PlanOptions): Promise<string> {
    const taken = new Set([...this.#taken, ...options.taken ?? []]);
    const plan = planNodes(this.#view, definition, {
      ...options,
      taken,
      opened: new Set(this.#opened.map(({ added }) => added.node)),
      nameCount: this.#nameCount,
    });
    for (const { added } of plan) this.#note(added.node);
    for (const planned of plan) await this.#openNode(planned);
    return plan.at(-1)!.added.node;
  }

  #note(name: string): void {
    this.#taken.add(name);
    const number = name.startsWith("#block") ? Number(name.slice("#block".length)) : 0;
    this.#nameCount = Math.max(this.#nameCount, number);
  }

  async #openNode(planned: PlannedNode): Promise<void> {
    if (planned.refusal !== undefined) throw planned.refusal;
    const backing = planned.needsBacking ? await this.#openBacking(planned) : undefined;
    const added = backing === undefined ? planned.added : withBacking(planned.added, backing);
    const edges = new Map<string, Edge>();
    for (const [role, child] of Object.entries(added.children)) {
      edges.set(role, this.#nodes.edgeTo(child));
    }
    const recipe = { ...added, isAutoReadOnly: planned.isAutoReadOnly };
    const block = await openNode(recipe, edges, this.#files);
    const isReadOnly = added.isReadOnly || block.isReadOnly;
    const live = new LiveNode({ node: added.node, isReadOnly }, block, edges);
    this.#nodes.add(live);
    this.#opened.push({ added: { ...added, isReadOnly }, live });
  }

  /** The name of the node behind the file that the header names; undefined = it names none. */
  async #openBacking({ added }: PlannedNode): Promise<string | undefined> {
    const file = this.#nodes.get(added.children["file"]!)!;
    const path = this.#pathOf(added.children["file"]!);
    try {
      const { backingName, backingFormat } = await readQcow2Header(file.node);
      if (backingName === undefined) return undefined;
      this.#depth += 1;
      if (this.#depth >= CHAIN_DEPTH_MAX) {
        const text = `Cannot open node "${added.node}": its backing chain has more than ` +
          `${CHAIN_DEPTH_MAX} files`;
        throw graphError(openFailed(text), added.node);
      }
      const filename = backingPath(path, backingName);
      return await this.#openImplicit(filename, backingFormat);
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      throw graphError(openFailed(error.message), added.node, error);
    }
  }

  #pathOf(name: string): string {
    const opened = this.#opened.find(({ added }) => added.node === name)?.added;
    return (opened ?? this.#view.node(name))?.path ?? "";
  }

  async #openImplicit(filename: string, format: string | undefined): Promise<string> {
    const options = {
      ...this.#options,
      isExplicit: false,
      parent: { isReadOnly: true, isAutoReadOnly: false },
    };
    const file = await this.#openPlan(definitionOf({ driver: "file", filename }), options);
    const driver = format ?? (await isQcow2(this.#nodes.get(file)!.node) ? "qcow2" : "raw");
    if (driver === "file") return file;
    const implicit = { driver, file: PLACEHOLDER };
    const definition = definitionOf(implicit);
    return await this.#openPlan({ ...definition, children: new Map([["file", file]]) }, options);
  }
}

/** Stands for a node that the definition's children are then given by name. */
const PLACEHOLDER = "node";

function withBacking(added: AddedNode, backing: string): AddedNode {
  return {
    ...added,
    options: { ...added.options, backing },
    children: { ...added.children, backing },
  };
}
