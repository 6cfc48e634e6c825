/**
 * A commit within the graph of nodes, by name.
 *
 * ```text
 * inner    overlays --> commit_top --> top --> ... --> base <-- the job writes
 * active   guests --> commit_top (an edge of the job's) --> device --> ... --> base
 * ```
 *
 * - Everything from the top down to the base is held, the base, too.
 * - A filter above the top says that there is a job, and stands for the top with those above it.
 *
 * Used by `commit.ts`. Source: QEMU 7.2 blockdev.c qmp_block_commit; block/commit.c commit_start;
 * block/mirror.c commit_active_start.
 *
 * Differs from QEMU: the filter of an active commit is called commit_top, too.
 */

import type { NodeState } from "../../../events/job/graph_state.ts";
import { Edge } from "../../block/edge.ts";
import type { BlockNode } from "../../block/node.ts";
import type { BackingReference } from "../../block/qcow2/mod.ts";
import type { ChainLayer } from "../chain/layer.ts";
import {
  demandRoot,
  findFileIn,
  findNodeIn,
  headerNameOf,
  imageOf,
  isFilterNode,
  isNodeName,
  layerOf,
  layersOf,
  referenceOf,
  whileWritable,
} from "../chain/nodes.ts";
import type { JsonObject, OpenContext } from "../driver.ts";
import type { JobNodes, RecordChanges } from "../nodes.ts";
import { ActiveNodes } from "./active_nodes.ts";
import { BaseNode } from "./base_node.ts";
import type { OpenedCommit } from "./files.ts";
import type { CommitImages, CommitOverlay } from "./images.ts";
import type { CommitParameters } from "./parameters.ts";
import { type CommitRange, commitRange } from "./range.ts";

/** Nodes as the images of a commit of inner layers. */
class InnerNodes implements CommitImages {
  readonly name: string;
  readonly layers: readonly ChainLayer[];
  readonly goal: BackingReference;
  readonly #nodes: JobNodes;
  readonly #above: string;
  readonly #base: BaseNode;
  readonly #edge: Edge;
  #filter: string | undefined;

  private constructor(
    nodes: JobNodes,
    parameters: CommitParameters,
    found: { readonly chain: readonly NodeState[]; readonly base: BaseNode },
    filter: string,
  ) {
    const { chain, base } = found;
    const isMasked = parameters["backing-mask-protocol"];
    const below = nodes.find(base.name);
    const { format } = layerOf(nodes, below, isMasked);
    this.#nodes = nodes;
    this.#above = chain[0]!.name;
    this.#base = base;
    this.#filter = filter;
    this.#edge = nodes.attach(this.#above);
    this.name = chain.find((node) => !isFilterNode(node))!.name;
    this.layers = layersOf(nodes, chain);
    const overlays = nodes.parents(filter).filter(({ role }) => role === "backing")
      .map(({ parent }) => parent.name);
    const file = parameters["backing-file"] ?? headerNameOf(nodes, below, overlays);
    this.goal = { name: file, format };
  }

  /** @param chain from the top down to above the base */
  static async open(
    nodes: JobNodes,
    parameters: CommitParameters,
    chain: readonly NodeState[],
    base: BaseNode,
  ): Promise<InnerNodes> {
    const { "filter-node-name": name } = parameters;
    const filter = await nodes.insertFilter({
      above: chain[0]!.name,
      driver: "commit_top",
      role: "backing",
      ...(name === undefined ? {} : { name }),
      // The way below is the graph's: it is closed there.
      make: (child) => new Edge(child, { release: () => {} }),
    });
    await base.admit(filter);
    return new InnerNodes(nodes, parameters, { chain, base }, filter);
  }

  get top(): BlockNode {
    return this.#edge;
  }

  get wasReadOnly(): boolean {
    return this.#base.wasReadOnly;
  }

  openBase(): Promise<BlockNode> {
    return this.#base.open();
  }

  overlays(): readonly CommitOverlay[] {
    const nodes = this.#nodes;
    if (this.#filter === undefined) return [];
    return nodes.parents(this.#filter).filter(({ role }) => role === "backing")
      .map(({ parent: { name } }) => name)
      .filter((name) => imageOf(nodes, name) !== undefined)
      .map((name) => ({
        name,
        reference: () => referenceOf(nodes, name),
        rewrite: (reference) => whileWritable(nodes, name, (image) => image.setBacking(reference)),
      }));
  }

  async relink(confirm: RecordChanges): Promise<void> {
    const filter = this.#filter;
    // Whoever still counts as a user keeps a node in the graph.
    await this.#edge.close();
    if (filter === undefined) return await confirm([]);
    await this.#nodes.replace(filter, this.#base.name, confirm);
  }

  async restore(wasReadOnly: boolean): Promise<void> {
    const filter = this.#filter;
    this.#filter = undefined;
    await this.#edge.close();
    if (filter !== undefined) await this.#nodes.removeFilter(filter);
    await this.#base.restore(wasReadOnly);
  }

  async close(): Promise<void> {
    await this.#edge.close();
    await this.#base.close();
  }
}

/** What is left to do once the overlays were led past the top, and the process stopped then. */
class PassedNodes implements CommitImages {
  readonly layers = [];
  readonly name: string;
  readonly goal: BackingReference;
  readonly #nodes: JobNodes;
  readonly #base: BaseNode;

  constructor(nodes: JobNodes, name: string, base: BaseNode) {
    const { file, format } = layerOf(nodes, nodes.find(base.name));
    this.#nodes = nodes;
    this.#base = base;
    this.name = name;
    this.goal = { name: file, format };
  }

  get top(): BlockNode {
    return this.#nodes.block(this.#base.name);
  }

  get wasReadOnly(): boolean {
    return false;
  }

  openBase(): Promise<BlockNode> {
    return Promise.resolve(this.top);
  }

  overlays(): readonly CommitOverlay[] {
    return [];
  }

  async relink(confirm: RecordChanges): Promise<void> {
    await confirm([]);
  }

  async restore(wasReadOnly: boolean): Promise<void> {
    await this.#base.restore(wasReadOnly);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** True if the top is in the chain still. */
function isKnown(
  nodes: JobNodes,
  { top, "top-node": node }: CommitParameters,
  chain: readonly NodeState[],
  folder: string,
): boolean {
  if (node !== undefined) return chain.some(({ name }) => name === node);
  return top === undefined || findFileIn(nodes, chain, top, folder) >= 0;
}

function openPassed(
  nodes: JobNodes,
  parameters: CommitParameters,
  chain: readonly NodeState[],
  folder: string,
): OpenedCommit {
  const { base, "base-node": node, "top-node": top = "" } = parameters;
  const lowest = chain.findLastIndex((each) => !isFilterNode(each));
  const named = base === undefined ? lowest : findFileIn(nodes, chain, base, folder);
  const index = node === undefined ? named : findNodeIn(nodes, chain, node);
  const { name } = chain[Math.max(0, index)]!;
  return { isActive: false, images: new PassedNodes(nodes, top, new BaseNode(nodes, name)) };
}

function rangeIn(
  nodes: JobNodes,
  parameters: CommitParameters,
  chain: readonly NodeState[],
  folder: string,
): Promise<CommitRange> {
  return commitRange(parameters, {
    length: chain.length,
    findFile: (file) => Promise.resolve(findFileIn(nodes, chain, file, folder)),
    findNode: (name) => findNodeIn(nodes, chain, name),
    isFilter: (index) => isFilterNode(chain[index]!),
    check: (index) => nodes.check(chain[index]!.name, "commit-target"),
  });
}

function checkDevice(nodes: JobNodes, device: string): void {
  demandRoot(nodes, device);
  nodes.check(device, "commit-source");
}

/** Asks for the device before the parameters, as QEMU's command does. */
export function precheckCommit({ device }: JsonObject, nodes: JobNodes): void {
  if (typeof device === "string" && isNodeName(nodes, device)) checkDevice(nodes, device);
}

/**
 * Opens a commit below a node, if the device is one by name.
 *
 * @returns undefined if it is not
 * @throws {JoblogError} code "notRootNode" when something leads to the device; "nodeBusy" when
 * somebody forbids it; "unknownNode" and "invalidParameter" as `commitRange`
 */
export async function openCommitNodes(
  parameters: CommitParameters,
  context: OpenContext,
): Promise<OpenedCommit | undefined> {
  const { nodes, baseFolder, isRecovery } = context;
  const { device } = parameters;
  if (nodes === undefined || !isNodeName(nodes, device)) return undefined;
  checkDevice(nodes, device);
  const chain = nodes.chain(device);
  if (isRecovery && !isKnown(nodes, parameters, chain, baseFolder)) {
    return openPassed(nodes, parameters, chain, baseFolder);
  }
  const { top, base, isActive } = await rangeIn(nodes, parameters, chain, baseFolder);
  const committed = chain.slice(top, base);
  const baseName = chain[base]!.name;
  for (const { name } of committed) nodes.hold(name);
  nodes.hold(baseName);
  if (!committed.some(({ name }) => name === device)) nodes.hold(device);
  const written = new BaseNode(nodes, baseName);
  if (isActive) {
    const images = await ActiveNodes.open(nodes, parameters, committed, written);
    return { isActive, images, base: baseName };
  }
  return { isActive, images: await InnerNodes.open(nodes, parameters, committed, written) };
}
