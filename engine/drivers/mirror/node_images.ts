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
import type { BlockNode } from "../../block/node.ts";
import { formatNodeOf, isNode } from "../backup/node_images.ts";
import type { ClosingContext, JsonObject, OpenContext } from "../driver.ts";
import type { JobNodes, RecordChanges } from "../nodes.ts";
import { isOneHole, type MirrorImages, type MirrorSource, type MirrorTarget } from "./images.ts";
import { granularityOf, type MirrorParameters } from "./parameters.ts";

/** Drivers of nodes that show the bytes of one child as they are. */
const FILTERS: ReadonlySet<string> = new Set([
  "blkdebug",
  "copy-before-write",
  "copy-on-read",
  "mirror_top",
  "throttle",
]);

function refuse(subject: string, message: string, hint: string): never {
  throw new JoblogError("invalidParameter", message, { subject, hint });
}

/** Source: QEMU 7.2 blockdev.c blockdev_mirror_common, block.c bdrv_recurse_can_replace. */
function checkReplaces(nodes: JobNodes, replaces: string, source: string): void {
  const hint = "Leave it out to replace the source.";
  if (!isNode(nodes, replaces)) {
    refuse("replaces", `Failed to find node with node-name='${replaces}'`, hint);
  }
  const chain = nodes.chain(source);
  const index = chain.findIndex(({ name }) => name === replaces);
  const isShown = index >= 0 && chain.slice(0, index).every(({ driver }) => FILTERS.has(driver));
  if (isShown) return;
  const why = "because it cannot be guaranteed that doing so would not lead to an abrupt change " +
    "of visible data";
  const pair = `Cannot replace '${replaces}' by a node mirrored from '${source}'`;
  refuse("replaces", `${pair}, ${why}`, hint);
}

function checkUses(
  nodes: JobNodes,
  names: { readonly source: string; readonly target: string; readonly replaces: Parameter },
): void {
  const { source, target, replaces } = names;
  nodes.check(source, "mirror-source");
  nodes.check(target, "mirror-target");
  if (typeof replaces !== "string") return;
  checkReplaces(nodes, replaces, source);
  nodes.check(replaces, "replace");
}

type Parameter = JsonObject[string] | undefined;

function checkRoot(nodes: JobNodes, source: string): void {
  if (nodes.isRoot(source)) return;
  refuse("source", "Need a root block node", "Name the node that no other node leads to.");
}

/** Asks for the nodes before the parameters, as QEMU's commands do. */
export function precheckMirror(
  input: JsonObject,
  nodes: JobNodes,
  named: readonly string[],
): void {
  const { source, target, replaces } = input;
  if (typeof source !== "string" || !isNode(nodes, source)) return;
  checkRoot(nodes, source);
  if (!named.includes("target")) return nodes.check(source, "mirror-source");
  if (typeof target !== "string" || !isNode(nodes, target)) return;
  granularityOf(input);
  checkUses(nodes, { source, target, replaces });
}

/** Nodes as the images of a mirror. */
class MirrorNodes implements MirrorImages {
  readonly source: MirrorSource;
  readonly #nodes: JobNodes;
  readonly #names: { readonly source: string; readonly target: string };
  readonly #parameters: MirrorParameters;
  readonly #target: Edge;
  #filter: string | undefined;

  private constructor(
    nodes: JobNodes,
    names: { readonly source: string; readonly target: string },
    parameters: MirrorParameters,
    found: { readonly gate: Edge; readonly filter: string; readonly target: Edge },
  ) {
    this.#nodes = nodes;
    this.#names = names;
    this.#parameters = parameters;
    this.#filter = found.filter;
    this.#target = found.target;
    const { gate } = found;
    const layer = formatNodeOf(gate);
    const below = nodes.chain(names.source).length > 1;
    const hasLayer = layer.layerExtent !== undefined;
    this.source = {
      edge: gate,
      extent: hasLayer ? (offset, length) => gate.extent(offset, length) : undefined,
      topExtent: hasLayer && below
        ? (offset, length) => layer.layerExtent!(offset, length)
        : undefined,
    };
  }

  /** Claims both nodes and puts the filter in. */
  static async open(nodes: JobNodes, parameters: MirrorParameters, source: string, target: string) {
    const { replaces, "filter-node-name": name } = parameters;
    checkUses(nodes, { source, target, replaces });
    nodes.hold(source);
    nodes.hold(target);
    const attached = nodes.attach(target, true);
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
    const names = { source, target };
    return new MirrorNodes(nodes, names, parameters, { gate: gates[0]!, filter, target: attached });
  }

  get replaced(): string {
    return this.#parameters.replaces ?? this.#names.source;
  }

  async openTarget(_context: ClosingContext, isBegun: boolean): Promise<MirrorTarget> {
    const node = this.#target;
    const { header } = formatNodeOf(node);
    const clusterSize = header === undefined ? 1 : 2 ** header.clusterBits;
    if (isBegun) return { node, isBlank: false, clusterSize };
    const isBlank = this.#parameters["target-is-zero"] ||
      header !== undefined && await isOneHole(node);
    return { node, isBlank, clusterSize };
  }

  completeRefusal(): string | undefined {
    return isNode(this.#nodes, this.replaced)
      ? undefined
      : `Node name '${this.replaced}' not found`;
  }

  async pivot(_source: DrainedEdge, _target: BlockNode, confirm: RecordChanges): Promise<void> {
    await this.#nodes.replace(this.replaced, this.#names.target, confirm);
  }

  async removeFilter(): Promise<void> {
    const filter = this.#filter;
    this.#filter = undefined;
    if (filter !== undefined) await this.#nodes.removeFilter(filter);
  }

  async close(): Promise<void> {
    await this.removeFilter();
    await this.#target.close();
  }
}

/** The node that is mirrored; one that the job opens for itself if only the target is a node. */
async function resolveSource(nodes: JobNodes, parameters: MirrorParameters): Promise<string> {
  const { source, "source-format": format } = parameters;
  const options = { readOnly: true, ...(format === undefined ? {} : { format }) };
  const name = await nodes.resolve(source, options);
  checkRoot(nodes, name);
  return name;
}

/** The node that is written; a file that is no node yet must be there. */
async function resolveTarget(nodes: JobNodes, parameters: MirrorParameters): Promise<string> {
  const { target, mode, format } = parameters;
  if (!isNode(nodes, target) && mode !== "existing") {
    const message = `Cannot mirror a node to "${target}": it is no node`;
    refuse("target", message, 'Name a node; or make the file and give the mode "existing".');
  }
  return await nodes.resolve(target, format === undefined ? {} : { format });
}

/**
 * Opens both images as nodes, if one of them is a node by name.
 *
 * @returns undefined if neither is
 * @throws {JoblogError} code "nodeBusy" when somebody forbids it; code "invalidParameter" when the
 * source has parents, both are the same, or `replaces` is not what the source shows
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
  return await MirrorNodes.open(
    nodes,
    parameters,
    mirrored,
    await resolveTarget(nodes, parameters),
  );
}
