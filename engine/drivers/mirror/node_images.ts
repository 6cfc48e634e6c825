/**
 * A mirror between two nodes of the graph, by name.
 *
 * ```text
 * guests, parents --> filter (an edge of the job's) --> [tap] --> edge of the graph --> source
 *                                                                 after a pivot     --> target
 * ```
 *
 * - The filter is put in when the job is opened; the job holds and leads its edge as it likes.
 * - A pivot leads the graph's edge to the target, durably before anything is written there, while
 *   the job holds the filter.
 *
 * Used by `mirror.ts`. Source: QEMU 7.2 blockdev.c blockdev_mirror_common; block/mirror.c
 * mirror_start_job, mirror_exit_common.
 */

import { JoblogError } from "../../../events/log/errors.ts";
import { type DrainedEdge, Edge } from "../../block/edge.ts";
import { BlockError } from "../../block/errors.ts";
import type { BlockNode } from "../../block/node.ts";
import { extentOfNothing, formatNodeOf, isNode } from "../backup/node_images.ts";
import { demandRoot, isFilterNode, referenceOf } from "../chain/nodes.ts";
import { checkFilterName } from "../chain/filter_name.ts";
import type { ClosingContext, JsonObject, OpenContext } from "../driver.ts";
import { ProbedRawNode } from "../images/probe.ts";
import type { JobNodes, RecordChanges } from "../nodes.ts";
import { isOneHole, type MirrorImages, type MirrorSource, type MirrorTarget } from "./images.ts";
import { granularityOf, type MirrorParameters } from "./parameters.ts";
import { existingTarget, namedTarget, newTarget, type TargetNode } from "./target_nodes.ts";

function refuse(subject: string, message: string, hint: string): never {
  throw new JoblogError("invalidParameter", message, { subject, hint });
}

/** Source: QEMU 7.2 blockdev.c blockdev_mirror_common, block.c bdrv_recurse_can_replace. */
function checkReplaces(nodes: JobNodes, replaces: string, source: string): void {
  const hint = "Leave it out to replace the source.";
  if (!isNode(nodes, replaces)) {
    refuse("replaces", `Failed to find node with node-name='${replaces}'`, hint);
  }
  nodes.check(replaces, "replace");
  if (isShownBy(nodes, source, replaces)) return;
  const why = "because it cannot be guaranteed that doing so would not lead to an abrupt change " +
    "of visible data";
  const pair = `Cannot replace '${replaces}' by a node mirrored from '${source}'`;
  refuse("replaces", `${pair}, ${why}`, hint);
}

/** True if a node shows the bytes of another, itself or through filters alone. */
function isShownBy(nodes: JobNodes, source: string, replaces: string): boolean {
  const chain = nodes.chain(source);
  const index = chain.findIndex(({ name }) => name === replaces);
  return index >= 0 && chain.slice(0, index).every(isFilterNode);
}

/**
 * Refuses a pivot whose premise is gone.
 *
 * @throws {BlockError} EPERM. Source: QEMU 7.2 block/mirror.c mirror_exit_common
 */
function demandShown(nodes: JobNodes, source: string, replaced: string, target: string): void {
  if (isNode(nodes, replaced) && isShownBy(nodes, source, replaced)) return;
  const why = "because it can no longer be guaranteed that doing so would not lead to an abrupt " +
    "change of visible data";
  const message = `Can no longer replace '${replaced}' by '${target}', ${why}`;
  throw new BlockError("EPERM", message, {
    operation: "open",
    subject: replaced,
    hint: "Start a new mirror that replaces what its source shows now.",
  });
}

function checkUses(
  nodes: JobNodes,
  names: {
    readonly source: string;
    readonly target: string | undefined;
    readonly replaces: Parameter;
  },
): void {
  const { source, target, replaces } = names;
  nodes.check(source, "mirror-source");
  if (target !== undefined) nodes.check(target, "mirror-target");
  if (typeof replaces !== "string") return;
  checkReplaces(nodes, replaces, source);
}

type Parameter = JsonObject[string] | undefined;

/** Asks for the nodes before the parameters, as QEMU's commands do. */
export function precheckMirror(
  input: JsonObject,
  nodes: JobNodes,
  named: readonly string[],
): void {
  const { source, target, replaces } = input;
  if (typeof source !== "string" || !isNode(nodes, source)) return;
  demandRoot(nodes, source);
  if (!named.includes("target")) return nodes.check(source, "mirror-source");
  if (typeof target !== "string" || !isNode(nodes, target)) return;
  granularityOf(input);
  checkUses(nodes, { source, target, replaces });
}

/** Nodes as the images of a mirror. */
class MirrorNodes implements MirrorImages {
  readonly source: MirrorSource;
  readonly #nodes: JobNodes;
  readonly #source: string;
  readonly #parameters: MirrorParameters;
  readonly #target: TargetNode;
  #edge: Edge | undefined;
  #filter: string | undefined;

  private constructor(
    nodes: JobNodes,
    source: string,
    parameters: MirrorParameters,
    found: {
      readonly gate: Edge;
      readonly filter: string;
      readonly target: TargetNode;
      readonly edge: Edge | undefined;
    },
  ) {
    this.#nodes = nodes;
    this.#source = source;
    this.#parameters = parameters;
    this.#filter = found.filter;
    this.#target = found.target;
    this.#edge = found.edge;
    const { gate } = found;
    const layer = formatNodeOf(gate);
    const hasLayer = layer.layerExtent !== undefined;
    const nothing = extentOfNothing(layer);
    this.source = {
      edge: gate,
      extent: hasLayer ? (offset, length) => gate.extent(offset, length) : nothing,
      topExtent: hasLayer ? layer.layerExtent!.bind(layer) : nothing,
    };
  }

  /** Claims both nodes and puts the filter in. */
  static async open(
    nodes: JobNodes,
    parameters: MirrorParameters,
    source: string,
    target: TargetNode,
  ): Promise<MirrorNodes> {
    const { replaces, "filter-node-name": name } = parameters;
    checkUses(nodes, { source, target: target.name, replaces });
    checkFilterName(nodes, name, "");
    nodes.hold(source);
    const gates: Edge[] = [];
    const filter = await nodes.insertFilter({
      above: source,
      driver: "mirror_top",
      ...(name === undefined ? {} : { name }),
      make(child) {
        // The way below is the graph's: it is closed there.
        const gate = new Edge(child, { release: () => {} });
        gates.push(gate);
        return gate;
      },
    });
    // The source is asked for first, as in QEMU.
    const edge = target.name === undefined ? undefined : take(nodes, target.name);
    return new MirrorNodes(nodes, source, parameters, { gate: gates[0]!, filter, target, edge });
  }

  get replaced(): string {
    return this.#parameters.replaces ?? this.#source;
  }

  async openTarget(context: ClosingContext, isBegun: boolean): Promise<MirrorTarget> {
    const { isNew, isGuessed } = this.#target;
    const name = await this.#target.make(context, isBegun);
    const edge = this.#edge ??= take(this.#nodes, name);
    const node = isGuessed ? new ProbedRawNode(edge) : edge;
    const layer: ReturnType<typeof formatNodeOf> & { readonly backing?: BlockNode } = formatNodeOf(
      edge,
    );
    const { header, backing } = layer;
    const clusterSize = header === undefined ? 1 : 2 ** header.clusterBits;
    const isDetached = backing === undefined && referenceOf(this.#nodes, name) !== undefined;
    // A raw image holds all of its bytes. Source: QEMU 7.2 block/io.c bdrv_is_allocated_above.
    const bottom = this.#nodes.chain(this.#source).at(-1)!;
    const holdsNothing = formatNodeOf(this.#nodes.block(bottom.name)).holdsNothing === true;
    const isRawBelow = bottom.driver !== "qcow2" && !holdsNothing;
    const known = { node, clusterSize, isDetached, areHolesCounted: !isNew || isRawBelow };
    if (isBegun) return { ...known, isBlank: false };
    const isEmpty = async () => header === undefined ? isNew : await isOneHole(edge);
    const isBlank = this.#parameters["target-is-zero"] || !isDetached && await isEmpty();
    return { ...known, isBlank };
  }

  completeRefusal(): string | undefined {
    return isNode(this.#nodes, this.replaced)
      ? undefined
      : `Node name '${this.replaced}' not found`;
  }

  /** Source: QEMU 7.2 block/mirror.c mirror_complete. */
  complete(): void {
    const { replaces } = this.#parameters;
    if (replaces !== undefined) this.#nodes.hold(replaces, [], "block-job-complete");
  }

  async pivot(_source: DrainedEdge, _target: BlockNode, confirm: RecordChanges): Promise<void> {
    const [nodes, { replaced }] = [this.#nodes, this];
    const target = this.#target.name!;
    demandShown(nodes, this.#source, replaced, target);
    const backing = await this.#target.backing();
    if (backing !== undefined) await nodes.setBacking(target, backing);
    const { isReadOnly } = nodes.find(replaced);
    await nodes.replace(replaced, target, confirm);
    if (!isReadOnly) return;
    await this.#edge?.close();
    await nodes.setReadOnly(target, true);
  }

  async removeFilter(): Promise<void> {
    const filter = this.#filter;
    this.#filter = undefined;
    if (filter !== undefined) await this.#nodes.removeFilter(filter);
  }

  async close(hasRun: boolean): Promise<void> {
    await this.removeFilter();
    await this.#edge?.close();
    await this.#target.close(hasRun);
  }
}

/** The node that is mirrored; one that the job opens for itself if only the target is a node. */
async function resolveSource(nodes: JobNodes, parameters: MirrorParameters): Promise<string> {
  const { source, "source-format": format } = parameters;
  const options = { readOnly: true, ...(format === undefined ? {} : { format }) };
  const name = await nodes.resolve(source, options);
  demandRoot(nodes, name);
  return name;
}

/** The node that is written, as it is named. Source: QEMU 7.2 blockdev.c qmp_drive_mirror. */
async function openTarget(
  nodes: JobNodes,
  parameters: MirrorParameters,
  source: string,
  context: OpenContext,
): Promise<TargetNode> {
  const { target, mode, replaces, "node-name": name } = parameters;
  if (isNode(nodes, target)) return namedTarget(nodes.find(target).name);
  nodes.check(source, "mirror-source");
  if (replaces !== undefined && name === undefined) {
    const text = "a node-name must be provided when replacing a named node of the graph";
    refuse("node-name", text, "Give the target a node-name.");
  }
  if (name !== undefined && isNode(nodes, name)) {
    const hint = "Choose another name for the target.";
    refuse("node-name", `Duplicate nodes with node-name='${name}'`, hint);
  }
  if (mode === "existing") return await existingTarget(nodes, parameters);
  return await newTarget(nodes, parameters, source, context);
}

/** A way to write the target, which nobody else uses from here on. */
function take(nodes: JobNodes, target: string): Edge {
  nodes.check(target, "mirror-target");
  nodes.hold(target);
  return nodes.attach(target, "mirror-target");
}

/**
 * Opens both images as nodes, if one of them is a node by name.
 *
 * @returns undefined if neither is
 * @throws {JoblogError} code "nodeBusy" when somebody forbids it; "notRootNode" when the source has
 * parents; "invalidParameter" when both are the same, or `replaces` is not what the source shows
 */
export async function openMirrorNodes(
  parameters: MirrorParameters,
  context: OpenContext,
): Promise<MirrorImages | undefined> {
  const { nodes } = context;
  const { source, target } = parameters;
  if (nodes === undefined || !isNode(nodes, source) && !isNode(nodes, target)) return undefined;
  if (source === target) {
    refuse("target", "Can't mirror node into itself", "Name another node as the target.");
  }
  const mirrored = await resolveSource(nodes, parameters);
  const written = await openTarget(nodes, parameters, mirrored, context);
  try {
    return await MirrorNodes.open(nodes, parameters, mirrored, written);
  } catch (error) {
    await written.close(false);
    throw error;
  }
}
