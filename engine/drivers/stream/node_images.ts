/**
 * A stream within the graph of nodes, by name.
 *
 * ```text
 * guests, overlays --> copy-on-read --> device [--> filters] --> top --> between ... --> base
 * ```
 *
 * - The device and everything down to the base is held; the base is not: it may go meanwhile, and
 *   then what has come in its place stays below.
 *
 * Used by `stream.ts`. Source: QEMU 7.2 blockdev.c qmp_block_stream; block/stream.c stream_start,
 * stream_prepare.
 */

import type { NodeState } from "../../../events/job/graph_state.ts";
import type { BlockNode } from "../../block/node.ts";
import type { BackingReference, LayerExtent } from "../../block/qcow2/mod.ts";
import { checkFilterName } from "../chain/filter_name.ts";
import { LaidFilter } from "../chain/laid_filter.ts";
import type { ChainLayer } from "../chain/layer.ts";
import {
  findFileIn,
  findNodeIn,
  headerNameOf,
  imageOf,
  isFilterNode,
  isNodeName,
  layerOf,
  layersOf,
  referenceOf,
} from "../chain/nodes.ts";
import type { OpenContext } from "../driver.ts";
import type { JobNodes, RecordChanges } from "../nodes.ts";
import { baseIndex, checkBackingFile } from "./base.ts";
import type { StreamImages } from "./images.ts";
import type { StreamParameters } from "./parameters.ts";

/** Nodes as the images of a stream. */
class StreamNodes implements StreamImages {
  readonly name: string;
  readonly wasReadOnly: boolean;
  readonly gate: LaidFilter;
  readonly between: readonly ChainLayer[];
  readonly #nodes: JobNodes;
  readonly #parameters: StreamParameters;
  readonly #lowest: string;
  #isClosed = false;

  constructor(
    nodes: JobNodes,
    parameters: StreamParameters,
    streamed: readonly NodeState[],
    gate: LaidFilter,
  ) {
    const top = topOf(streamed);
    this.wasReadOnly = top.isReadOnly;
    this.#nodes = nodes;
    this.#parameters = parameters;
    this.#lowest = streamed.at(-1)!.name;
    this.name = top.name;
    this.between = layersOf(nodes, streamed.slice(streamed.indexOf(top) + 1));
    this.gate = gate;
  }

  get top(): BlockNode {
    return this.#nodes.block(this.name);
  }

  get topExtent(): ((offset: number, length: number) => Promise<LayerExtent>) | undefined {
    const image = imageOf(this.#nodes, this.name);
    return image === undefined ? undefined : (...range) => image.layerExtent(...range);
  }

  get cluster(): number {
    const image = imageOf(this.#nodes, this.name);
    return image === undefined ? 1 : 2 ** image.header.clusterBits;
  }

  get base(): BlockNode | undefined {
    if (this.#below().length === 0) return undefined;
    // By the way that leads there: the node is not held, and may be opened anew at this moment.
    const lowest: BlockNode & { readonly backing?: BlockNode; readonly child?: BlockNode } = this
      .#nodes.block(this.#lowest);
    return lowest.backing ?? lowest.child;
  }

  reference(): BackingReference | undefined {
    return referenceOf(this.#nodes, this.name);
  }

  goal(): BackingReference | undefined {
    const base = this.#below().find((node) => !isFilterNode(node));
    if (base === undefined) return undefined;
    const isMasked = this.#parameters["backing-mask-protocol"];
    const { format } = layerOf(this.#nodes, base, isMasked);
    const name = headerNameOf(this.#nodes, base, [this.name]);
    return { name: this.#parameters["backing-file"] ?? name, format };
  }

  async rewrite(reference: BackingReference | undefined): Promise<void> {
    await imageOf(this.#nodes, this.name)?.setBacking(reference);
  }

  async relink(confirm: RecordChanges): Promise<void> {
    const [below] = this.#below();
    await this.#nodes.setBacking(this.name, below?.name ?? null, confirm);
  }

  async restore(): Promise<void> {
    await this.#nodes.setReadOnly(this.name, true);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.gate.close();
  }

  /** What lies below the lowest node that is streamed, as the graph is now. */
  #below(): readonly NodeState[] {
    return this.#nodes.chain(this.#lowest).slice(1);
  }
}

function topOf(chain: readonly NodeState[]): NodeState {
  return chain.find((node) => !isFilterNode(node)) ?? chain[0]!;
}

async function streamedNodes(
  nodes: JobNodes,
  parameters: StreamParameters,
  context: OpenContext,
): Promise<readonly NodeState[]> {
  const { device, bottom } = parameters;
  const chain = nodes.chain(device);
  if (bottom !== undefined && context.isRecovery && !chain.some(({ name }) => name === bottom)) {
    // The chain was led past it before the process stopped.
    return chain.slice(0, chain.indexOf(topOf(chain)) + 1);
  }
  const index = await baseIndex(parameters, {
    length: chain.length,
    findFile: (file) => Promise.resolve(findFileIn(nodes, chain, file, context.baseFolder)),
    findNode: (name) => findNodeIn(nodes, chain, name),
    isFilter: (at) => isFilterNode(chain[at]!),
    next: (at) => at + 1,
  });
  return chain.slice(0, index);
}

/**
 * Opens a stream of a node, if the device is one by name.
 *
 * @returns undefined if it is not
 * @throws {JoblogError} code "nodeBusy" when somebody forbids it; "nodeReadOnly" when the device
 * cannot be written; "unknownNode" and "invalidParameter" as `baseIndex`
 */
export async function openStreamNodes(
  parameters: StreamParameters,
  context: OpenContext,
): Promise<StreamImages | undefined> {
  const { nodes } = context;
  if (nodes === undefined || !isNodeName(nodes, parameters.device)) return undefined;
  const streamed = await streamedNodes(nodes, parameters, context);
  for (const { name } of streamed) nodes.check(name, "stream");
  checkBackingFile(parameters);
  if (!context.isRecovery) checkFilterName(nodes, parameters["filter-node-name"]);
  for (const { name } of streamed) nodes.hold(name);
  const { name: top, isReadOnly } = topOf(streamed);
  if (isReadOnly) await nodes.setReadOnly(top, false);
  const { device, "filter-node-name": name } = parameters;
  try {
    const gate = await LaidFilter.lay(nodes, { above: device, driver: "copy-on-read", name });
    return new StreamNodes(nodes, parameters, streamed, gate);
  } catch (error) {
    if (isReadOnly) await nodes.setReadOnly(top, true);
    throw error;
  }
}
