/**
 * The open nodes: what is behind each name of the folded graph, and the edges in between.
 *
 * ```text
 * parent's block --> Edge --> TrackedNode (bitmaps) --> block (file, raw, qcow2, a job's filter)
 * guest or job   --> Edge ----^
 * ```
 *
 * - Each edge belongs to one parent and role, or to one user. Closing it closes nothing below.
 * - Nothing is decided or recorded here; `graph.ts` keeps this equal to the folded graph.
 *
 * Called by the files of this room.
 */
import type { BitmapState } from "../../events/job/graph_state.ts";
import { BitmapSet } from "../block/bitmap_set.ts";
import { drainedAll, type DrainedEdge, Edge } from "../block/edge.ts";
import { FilterNode } from "../block/filters/filter_node.ts";
import { TrackedNode } from "../block/filters/tracked_node.ts";
import { type BlockNode, checkWritable, type LentRange, type Loan } from "../block/node.ts";
import { NullNode } from "../block/null_node.ts";
import { Qcow2Node } from "../block/qcow2/mod.ts";
import type { GraphChange } from "./changes.ts";
import type { Use } from "./graph_view.ts";

/** A node that is recorded as read-only over something that can be written. */
class ReadOnlyNode extends FilterNode {
  override get isReadOnly(): boolean {
    return true;
  }

  override write(): Promise<void> {
    return this.#refused();
  }

  override zero(): Promise<void> {
    return this.#refused();
  }

  override discard(): Promise<void> {
    return this.#refused();
  }

  override truncate(): Promise<void> {
    return this.#refused();
  }

  lend(
    offset: number,
    length: number,
    use: (range: LentRange) => Promise<void>,
  ): Promise<Loan> {
    return this.lendChild(offset, length, use);
  }

  // deno-lint-ignore require-await -- failures are rejections, as with any node
  async #refused(): Promise<void> {
    checkWritable(this, "write");
  }
}

/** Those of the image, if it keeps some. */
function bitmapsOf(block: BlockNode): BitmapSet {
  return block instanceof Qcow2Node ? block.bitmaps : new BitmapSet(block.size);
}

/** One open node. */
export class LiveNode {
  /** Its name in the graph. */
  readonly name: string;
  /** Edges to its children, by role. */
  readonly edges: ReadonlyMap<string, Edge>;
  /** Its bitmaps; they outlive a reopening. */
  readonly bitmaps: BitmapSet;
  /** What parents lead to. */
  readonly node: TrackedNode;
  readonly #block: BlockNode;

  /**
   * Lays the bitmaps over an opened block.
   *
   * @param recorded its name, and whether it may be written
   */
  constructor(
    recorded: { readonly node: string; readonly isReadOnly: boolean },
    block: BlockNode,
    edges: ReadonlyMap<string, Edge>,
    bitmaps: BitmapSet = bitmapsOf(block),
  ) {
    this.name = recorded.node;
    this.#block = block;
    this.edges = edges;
    this.bitmaps = bitmaps;
    // Also over a block that is read-only now: what is below it may be exchanged.
    const shown = recorded.isReadOnly ? new ReadOnlyNode(block) : block;
    this.node = new TrackedNode(shown, bitmaps);
  }

  /** The block itself, without its bitmaps. */
  get block(): BlockNode {
    return this.#block;
  }

  /** Closes the block; children stay open. */
  async close(): Promise<void> {
    await this.#block.close();
  }
}

/** An edge from outside the graph. */
export interface LiveUse extends Use {
  /** The node that it leads to now. */
  node: string;
  /** The way there. */
  readonly edge: Edge;
}

/** A role that leads nowhere: nothing to be seen, nothing to be written. */
function nowhere(): BlockNode {
  return new NullNode({ name: "nothing", size: 0, readOnly: true });
}

/** See the head of this file. */
export class LiveNodes {
  readonly #nodes = new Map<string, LiveNode>();
  readonly #uses = new Set<LiveUse>();

  /** Edges from outside. */
  get uses(): readonly LiveUse[] {
    return [...this.#uses];
  }

  /** The open node of a name; undefined = none, or it is missing. */
  get(name: string): LiveNode | undefined {
    return this.#nodes.get(name);
  }

  /** All open nodes. */
  list(): readonly LiveNode[] {
    return [...this.#nodes.values()];
  }

  /** Makes an opened node known. */
  add(node: LiveNode): void {
    this.#nodes.set(node.name, node);
  }

  /** Forgets a node; its closing is the caller's. */
  take(name: string): LiveNode | undefined {
    const node = this.#nodes.get(name);
    this.#nodes.delete(name);
    return node;
  }

  /** An edge for a role of a node that is being opened. */
  edgeTo(child: string): Edge {
    const live = this.#nodes.get(child);
    if (live === undefined) throw new Error(`Node "${child}" is not open`);
    return new Edge(live.node, { release: () => {} });
  }

  /** Lets somebody from outside in. Closing the edge ends it. */
  use(asked: Use): LiveUse {
    const live = this.#nodes.get(asked.node);
    if (live === undefined) throw new Error(`Node "${asked.node}" is not open`);
    const edge = new Edge(live.node, { release: () => void this.#uses.delete(use) });
    const use: LiveUse = { ...asked, edge };
    this.#uses.add(use);
    return use;
  }

  /**
   * Leads edges elsewhere, as decided, at one moment at which nothing is in flight on any of them.
   *
   * @param changes the decided changes; those that are no moves are passed over
   * @param commit called at that moment, before anything moves; if it fails, nothing does
   */
  async move(changes: readonly GraphChange[], commit: () => Promise<void>): Promise<void> {
    const moves = changes.flatMap((change) => this.#movesOf(change));
    const move = () =>
      drainedAll(moves.map(({ edge }) => edge), async (drained) => {
        await commit();
        drained.forEach((edge, index) => this.#lead(edge, moves[index]!));
      });
    await aloneAll(changes.flatMap((change) => this.#shortenedBy(change)), move);
  }

  /** Runs work while nothing is in flight on some edges. */
  async during(
    edges: readonly Edge[],
    work: (edges: readonly DrainedEdge[]) => Promise<void>,
  ): Promise<void> {
    await drainedAll(edges, work);
  }

  /** The edges that lead to a node, from parents and from outside. */
  edgesTo(name: string): readonly Edge[] {
    const target = this.#nodes.get(name)?.node;
    const inside = this.list().flatMap((node) =>
      [...node.edges.values()].filter((edge) => edge.child === target)
    );
    return [...inside, ...this.uses.filter((use) => use.node === name).map(({ edge }) => edge)];
  }

  /** An image that gets a shorter backing file: what it asks of the old one must be over. */
  #shortenedBy(change: GraphChange): readonly Qcow2Node[] {
    if (change.type !== "EdgeReplaced" || change.data.parent === null) return [];
    const { parent, role, after } = change.data;
    const { block, edges } = this.#nodes.get(parent) ?? {};
    const size = after === null ? 0 : this.#nodes.get(after)?.node.size ?? 0;
    const isShorter = role === "backing" && size < (edges?.get(role)?.size ?? 0);
    return isShorter && block instanceof Qcow2Node ? [block] : [];
  }

  #movesOf(change: GraphChange): readonly Move[] {
    if (change.type !== "EdgeReplaced") return [];
    const { parent, role, before, after } = change.data;
    if (parent === null) {
      return this.uses.filter((use) => use.kind === "guest" && use.node === before)
        .map((use) => ({ edge: use.edge, after, use }));
    }
    const edge = this.#nodes.get(parent)?.edges.get(role);
    // A parent that is missing has no edges to lead anywhere.
    return edge === undefined ? [] : [{ edge, after }];
  }

  #lead(edge: DrainedEdge, { after, use }: Move): void {
    const live = after === null ? undefined : this.#nodes.get(after);
    edge.replace(live?.node ?? nowhere());
    if (use !== undefined && after !== null) use.node = after;
  }
}

interface Move {
  readonly edge: Edge;
  readonly after: string | null;
  readonly use?: LiveUse;
}

/** Runs work while no request is on its way in some images. */
async function aloneAll(images: readonly Qcow2Node[], work: () => Promise<void>): Promise<void> {
  const [first, ...rest] = images;
  await (first === undefined ? work() : first.alone(() => aloneAll(rest, work)));
}

/** Does to the bits of bitmaps what was decided. */
export function applyToBitmaps(nodes: LiveNodes, change: GraphChange): void {
  if (!change.type.startsWith("Bitmap")) return;
  const data = change.data as { readonly node: string; readonly bitmap: string };
  const bitmaps = nodes.get(data.node)?.bitmaps;
  if (bitmaps === undefined) return;
  if (change.type === "BitmapAdded") {
    const { bitmap: name, granularity, isEnabled } = change.data;
    return void bitmaps.create({ name, granularity, isDisabled: !isEnabled });
  }
  const bitmap = bitmaps.find(data.bitmap);
  if (bitmap === undefined) return;
  if (change.type === "BitmapRemoved") bitmaps.remove(bitmap);
  if (change.type === "BitmapKept") bitmap.isPersistent = true;
  if (change.type === "BitmapCleared") bitmap.clear();
  if (change.type === "BitmapEnabled") bitmap.isRecording = true;
  if (change.type === "BitmapDisabled") bitmap.isRecording = false;
  if (change.type !== "BitmapMerged") return;
  for (const source of change.data.sources) {
    const found = nodes.get(source.node)?.bitmaps.find(source.bitmap);
    if (found !== undefined && found !== bitmap) bitmap.merge(found);
  }
}

/** What is true of a bitmap now, beside what was recorded of it. */
export function bitmapFacts(
  live: LiveNode | undefined,
  { name }: BitmapState,
): { readonly dirtyBytes: number; readonly isBusy: boolean } {
  const bitmap = live?.bitmaps.find(name);
  return { dirtyBytes: bitmap?.dirtyBytes ?? 0, isBusy: bitmap?.isBusy ?? false };
}
