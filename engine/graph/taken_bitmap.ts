/**
 * A bitmap that a job has taken: nobody else uses it until the job lets go of it.
 *
 * ```text
 * taken --freeze--> successor notes writes --release--> written:    the successor
 *   |                                                     everything: itself and the successor
 *   '-----release-----> as it was                         uncopied:   the successor, what is left
 * ```
 *
 * - Until it is frozen it goes on recording, and nothing is recorded about it: so it can be frozen
 *   at the very moment that the job copies.
 * - What it becomes is durable before it becomes that. A process that ends in between loses bits
 *   that were in its memory, whatever was decided: a bitmap that is lost is left as it is.
 *
 * Made by `node_session.ts`. Source: QEMU 7.2 block/dirty-bitmap.c
 * bdrv_dirty_bitmap_create_successor, bdrv_dirty_bitmap_abdicate, bdrv_reclaim_dirty_bitmap;
 * block/backup.c backup_cleanup_sync_bitmap.
 */
import type { BitmapName, GraphEventData } from "../../events/job/graph_events.ts";
import type { DirtyBitmap } from "../block/dirty_bitmap.ts";
import type { DirtyArea } from "../block/dirty_map.ts";
import type { Graph } from "./graph.ts";
import { bitmapBusy, graphError, noSuchBitmap } from "./refusals.ts";

/** What a bitmap becomes when a job lets go of it. */
export type BitmapFate = GraphEventData["BitmapReleased"]["becomes"];

/** See the head of this file. */
export class TakenBitmap {
  readonly #graph: Graph;
  readonly #name: BitmapName;
  readonly #runId: string;
  readonly #bitmap: DirtyBitmap;
  #isFrozen = false;
  #isOver = false;

  /**
   * Takes it.
   *
   * @param runId whose it is from now on
   * @throws {JoblogError} code "unknownBitmap" when there is none, "bitmapUnusable" when it is busy
   */
  constructor(graph: Graph, name: BitmapName, runId: string) {
    const bitmap = graph.bits(name);
    if (bitmap === undefined) throw graphError(noSuchBitmap(name.bitmap), name.bitmap);
    if (bitmap.isBusy) throw graphError(bitmapBusy(name.bitmap), name.bitmap);
    this.#graph = graph;
    this.#name = name;
    this.#runId = runId;
    this.#bitmap = bitmap;
    bitmap.hold(true);
  }

  /** Its bits; once it is frozen they are those of that moment. */
  get bits(): DirtyBitmap {
    return this.#bitmap;
  }

  /** True once writes are noted apart. */
  get isFrozen(): boolean {
    return this.#isFrozen;
  }

  /** Notes writes apart from here on. */
  freeze(): void {
    this.#bitmap.hold(false);
    this.#graph.live.get(this.#name.node)!.bitmaps.freeze(this.#bitmap);
    this.#isFrozen = true;
  }

  /**
   * Lets go of it; safe to call twice, the first call counts.
   *
   * @param becomes what it is then; one that was never frozen is as it was
   * @param left areas that are set besides
   */
  async release(becomes: BitmapFate, left: Iterable<DirtyArea> = []): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    if (!this.#isFrozen) return this.#bitmap.hold(false);
    const { node, bitmap } = this.#name;
    await this.#graph.alone(async () => {
      const { view, options, live } = this.#graph;
      const known = view.node(node);
      if (known?.bitmaps.some(({ name }) => name === bitmap) === true) {
        const data = { node, bitmap, runId: this.#runId, becomes };
        await options.record([{ type: "BitmapReleased", data }]);
      }
      const set = live.get(node)?.bitmaps;
      const kept = becomes === "everything"
        ? set?.reclaim(this.#bitmap)
        : set?.abdicate(this.#bitmap);
      for (const { offset, length } of left) kept?.set(offset, length);
    });
  }
}
