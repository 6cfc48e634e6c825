/**
 * The changes of bitmaps that belong to one transaction: done one by one, recorded together, or
 * undone together.
 *
 * ```text
 * apply, apply, ... --> changes --one append with the jobs--> keep
 *                               --refused------------------> undo
 * ```
 *
 * - Each is decided against the recorded graph with those before it, and done at once, so that the
 *   actions and jobs behind it find it done.
 * - Nothing of it is recorded before all of it is: a crash leaves all or nothing.
 * - A bitmap is as it was after `undo`, with what was written meanwhile, as if nobody had touched
 *   it. Those touched last come first.
 * - A bitmap that is removed is busy until `keep`, as in QEMU; then it is gone.
 *
 * Others must be kept from changing the graph by commands meanwhile. Called by `engine/run`.
 * Source: QEMU 7.2 blockdev.c block_dirty_bitmap_*_prepare, _abort, _commit.
 */
import type { BitmapName } from "../../events/job/graph_events.ts";
import type { GraphState } from "../../events/job/graph_state.ts";
import type { BitmapSet } from "../block/bitmap_set.ts";
import type { DirtyBitmap } from "../block/dirty_bitmap.ts";
import { type BitmapAction, decideBitmapAction } from "./bitmap_verbs.ts";
import type { GraphChange } from "./changes.ts";
import type { Graph } from "./graph.ts";
import { GraphView } from "./graph_view.ts";
import { dropRemoved } from "./kept_bitmaps.ts";
import { applyToBitmaps } from "./live_nodes.ts";

/** The graph with changes that are not recorded yet; throws when they do not fit. */
export type FoldChanges = (graph: GraphState, changes: readonly GraphChange[]) => GraphState;

/** A bitmap as it was before the transaction. */
interface SavePoint {
  readonly set: BitmapSet;
  readonly bitmap: DirtyBitmap;
  readonly bits: DirtyBitmap;
  readonly isRecording: boolean;
  /** What was written since. */
  readonly since: DirtyBitmap;
}

/** See the head of this file. */
export class BitmapChanges {
  readonly #graph: Graph;
  readonly #fold: FoldChanges;
  readonly #changes: GraphChange[] = [];
  readonly #saved = new Map<DirtyBitmap, SavePoint>();
  readonly #undo: (() => void)[] = [];
  readonly #removed: DirtyBitmap[] = [];

  /**
   * Nothing is changed yet.
   *
   * @param graph whose bitmaps are changed
   * @param fold folds changes without recording them
   */
  constructor(graph: Graph, fold: FoldChanges) {
    this.#graph = graph;
    this.#fold = fold;
  }

  /** All changes so far, in their order: to be recorded in one append. */
  get changes(): readonly GraphChange[] {
    return this.#changes;
  }

  /** Throws if the graph has become another meanwhile and the changes fit no more. */
  check(): void {
    this.#fold(this.#graph.view.state, this.#changes);
  }

  /**
   * Does one action.
   *
   * @throws {JoblogError} as `decideBitmapAction`; nothing was done then
   */
  apply(action: BitmapAction): Promise<void> {
    const graph = this.#graph;
    return graph.alone(async () => {
      const { state, holds, uses } = graph.view;
      // One that is to be removed is there until the end.
      const done = this.#changes.filter(({ type }) => type !== "BitmapRemoved");
      const view = new GraphView(this.#fold(state, done), holds, uses);
      const changes = decideBitmapAction(view, graph.facts, action);
      // deno-lint-ignore require-await -- done at the moment at which nothing is in flight
      await graph.betweenWrites(changes, async () => {
        for (const change of changes) this.#apply(change);
      });
    });
  }

  /** The changes are recorded: what was kept for undoing them is dropped. */
  keep(): void {
    this.#dropSaved();
    for (const bitmap of this.#removed) bitmap.hold(false);
    for (const change of this.#changes) {
      if (change.type === "BitmapRemoved") applyToBitmaps(this.#graph.live, change);
    }
    // Whoever looks at the graph next finds them gone from their images, too.
    const changes = [...this.#changes];
    void this.#graph.alone(() => dropRemoved(this.#graph, changes));
  }

  /** Takes everything back, the last first. */
  undo(): void {
    for (const undo of this.#undo.splice(0).toReversed()) undo();
    this.#dropSaved();
    this.#changes.length = 0;
  }

  #apply(change: GraphChange): void {
    const { live } = this.#graph;
    const name = change.data as BitmapName;
    const bitmap = this.#graph.bits(name);
    this.#changes.push(change);
    if (change.type === "BitmapAdded") {
      applyToBitmaps(live, change);
      this.#undo.push(() => this.#forget(name));
    } else if (bitmap !== undefined && change.type === "BitmapRemoved") {
      bitmap.hold(true);
      this.#removed.push(bitmap);
      this.#undo.push(() => bitmap.hold(false));
    } else if (bitmap !== undefined) {
      this.#save(name, bitmap);
      applyToBitmaps(live, change);
    }
  }

  #forget({ node, bitmap }: BitmapName): void {
    const set = this.#graph.live.get(node)?.bitmaps;
    const added = set?.find(bitmap);
    if (added !== undefined) set?.remove(added);
  }

  #save({ node }: BitmapName, bitmap: DirtyBitmap): void {
    if (this.#saved.has(bitmap)) return;
    const set = this.#graph.live.get(node)!.bitmaps;
    const { granularity, isRecording } = bitmap;
    const since = set.create({ granularity });
    const saved = { set, bitmap, bits: bitmap.copy(), isRecording, since };
    this.#saved.set(bitmap, saved);
    this.#undo.push(() => restore(saved));
  }

  #dropSaved(): void {
    for (const { set, since } of this.#saved.values()) set.remove(since);
    this.#saved.clear();
  }
}

/** The bitmap as if nobody had touched it. */
function restore({ bitmap, bits, isRecording, since }: SavePoint): void {
  bits.resize(bitmap.size);
  bitmap.clear();
  bitmap.adopt(bits);
  bitmap.isRecording = isRecording;
  if (isRecording) bitmap.adopt(since);
}
