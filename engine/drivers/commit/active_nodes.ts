import type { NodeState } from "../../../events/job/graph_state.ts";
import { type DrainedEdge, Edge } from "../../block/edge.ts";
import type { BlockNode } from "../../block/node.ts";
import { layersOf } from "../chain/nodes.ts";
import type { ClosingContext } from "../driver.ts";
import type { MirrorImages, MirrorSource, MirrorTarget } from "../mirror/images.ts";
import type { JobNodes, RecordChanges } from "../nodes.ts";
import { AboveBase, activeSource, activeTarget } from "./active.ts";
import type { BaseNode } from "./base_node.ts";
import type { CommitParameters } from "./parameters.ts";

/** Nodes as the images of a commit of the active layer. */
export class ActiveNodes implements MirrorImages {
  readonly source: MirrorSource;
  readonly #nodes: JobNodes;
  readonly #device: string;
  readonly #base: BaseNode;
  readonly #gate: Edge;
  #filter: string | undefined;
  #isPivoted = false;

  private constructor(
    nodes: JobNodes,
    found: {
      readonly device: string;
      readonly committed: readonly NodeState[];
      readonly base: BaseNode;
      readonly gate: Edge;
      readonly filter: string;
    },
  ) {
    this.#nodes = nodes;
    this.#device = found.device;
    this.#base = found.base;
    this.#gate = found.gate;
    this.#filter = found.filter;
    this.source = activeSource(found.gate, layersOf(nodes, found.committed));
  }

  /**
   * Puts the filter in.
   *
   * @param committed from the top down to above the base
   */
  static async open(
    nodes: JobNodes,
    parameters: CommitParameters,
    committed: readonly NodeState[],
    base: BaseNode,
  ): Promise<ActiveNodes> {
    const { device, "filter-node-name": name } = parameters;
    const gates: Edge[] = [];
    const filter = await nodes.insertFilter({
      above: device,
      driver: "commit_top",
      role: "backing",
      ...(name === undefined ? {} : { name }),
      make(child) {
        // The way below is the graph's: it is closed there.
        const shown = new AboveBase(child, () => nodes.block(base.name));
        gates.push(new Edge(shown, { release: () => {} }));
        return gates[0]!;
      },
    });
    await base.admit(filter);
    return new ActiveNodes(nodes, { device, committed, base, gate: gates[0]!, filter });
  }

  get replaced(): string {
    return this.#device;
  }

  async openTarget(context: ClosingContext): Promise<MirrorTarget> {
    const base: BlockNode = await this.#base.open();
    return await activeTarget(context, base, this.#gate.size, this.#base.clusterSize);
  }

  async pivot(_source: DrainedEdge, _target: BlockNode, confirm: RecordChanges): Promise<void> {
    await this.#nodes.replace(this.#device, this.#base.name, confirm);
    this.#isPivoted = true;
  }

  async removeFilter(): Promise<void> {
    const filter = this.#filter;
    this.#filter = undefined;
    if (filter !== undefined) await this.#nodes.removeFilter(filter);
  }

  /** A base that guests write now stays writable. */
  async close(): Promise<void> {
    await this.removeFilter();
    if (this.#isPivoted) await this.#base.close();
    else await this.#base.restore(this.#base.wasReadOnly);
  }
}
