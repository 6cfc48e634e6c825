/**
 * Flushes of the target and checkpoints after them.
 *
 * - What a checkpoint calls done was written before the flush began that it follows.
 * - While others write the source, one is taken only if no write came since that flush began: a
 *   cluster that was overwritten meanwhile could not be copied again.
 * - After a failed flush the system may call pages clean that it never wrote: everything since the
 *   last good one is to be copied again; what was overwritten by then is lost, and the job with it.
 *
 * Used by `job.ts`.
 */

import { DirtyMap } from "../../block/dirty_map.ts";
import { BlockError } from "../../block/errors.ts";
import type { DriverContext } from "../driver.ts";
import type { GuestFilter } from "./guests.ts";
import { resumePointOf } from "./resume_point.ts";
import type { CopyPlan, CopyTasks } from "./tasks.ts";

/** What checkpoints are made of. */
export interface CheckpointParts {
  /** The plan. */
  readonly plan: CopyPlan;
  /** The tasks. */
  readonly tasks: CopyTasks;
  /** The context of the job. */
  readonly context: DriverContext;
  /** Those who write beside the job. */
  readonly guests: GuestFilter | undefined;
  /** The source's stamp when the job began, if nobody writes beside the job. */
  readonly stamp: string | undefined;
  /** Its stamp now. */
  readonly stampNow: () => Promise<string | undefined>;
}

/** What was done until a flush began, and whether it still is all there is to know. */
interface Moment {
  readonly left: DirtyMap;
  readonly writeCount: number;
}

/** The checkpoints of one run. */
export class Checkpoints {
  readonly #parts: CheckpointParts;
  #frontier: number;
  #layer: "none" | "unknown" | "known";
  #retryFrom = 0;
  /** What there was to tell when the last one was taken; undefined = none is. */
  #told: string | undefined;
  // For an image of a tebibyte each map has 2 MiB: they are used again and again.
  #spare: DirtyMap;
  readonly #left: DirtyMap;

  /**
   * @param parts what they are made of
   * @param layer `none`: all is copied; `unknown`: the top layer is yet to be scanned
   * @param frontier where passes begin
   */
  constructor(parts: CheckpointParts, layer: "none" | "unknown", frontier: number) {
    const { size, cluster } = parts.plan.copy.pending;
    this.#spare = new DirtyMap(size, cluster);
    this.#left = new DirtyMap(size, cluster);
    this.#parts = parts;
    this.#layer = layer;
    this.#frontier = frontier;
  }

  /** The top layer was scanned. */
  layerIsKnown(): void {
    this.#layer = "known";
  }

  /** A pass has come so far. */
  reached(offset: number): void {
    this.#frontier = Math.max(this.#frontier, offset);
  }

  /** True when one is due, and when it may be had. */
  get isDue(): boolean {
    const { context } = this.#parts;
    return context.progress.current >= this.#retryFrom && context.isCheckpointDue();
  }

  /** What a checkpoint would tell, in short: another text means that there is more to tell. */
  get #news(): string {
    const { tasks, guests } = this.#parts;
    return [tasks.doneCount, guests?.writeCount ?? 0, this.#frontier, this.#layer].join();
  }

  /** As `take`, but only if there is something that the last checkpoint does not tell. */
  async takeNews(): Promise<void> {
    const isFlushed = this.#parts.plan.unflushed.markedBytes === 0;
    if (!isFlushed || this.#news !== this.#told) await this.take();
  }

  /**
   * Flushes the target and takes a checkpoint. Nothing of the job may be in flight.
   *
   * A failure becomes that of the pass.
   *
   * @returns false after a failure and at a cancel
   */
  async take(): Promise<boolean> {
    const moment = this.#moment();
    const news = this.#news;
    if (!await this.flush()) return false;
    const { context, guests } = this.#parts;
    if (context.isCancelled) return false;
    const stamp = await this.#stamp();
    if (guests?.isWriting === true || (guests?.writeCount ?? 0) !== moment.writeCount) {
      this.#retryFrom = context.progress.current + 67_108_864;
      return true;
    }
    await this.#record(moment.left, stamp);
    this.#told = news;
    return true;
  }

  /** Those who come through the filter change it, and are on record. */
  async #stamp(): Promise<string | undefined> {
    const { guests, stamp, stampNow } = this.#parts;
    return guests === undefined ? stamp : await stampNow();
  }

  /** Flushes the target; false after a failure, which becomes that of the pass, and at a cancel. */
  async flush(): Promise<boolean> {
    const { plan, tasks } = this.#parts;
    const { unflushed: flushing, copy } = plan;
    plan.unflushed = this.#spare;
    this.#spare = flushing;
    try {
      const done = copy.target.flush().then(() => true);
      const isFlushed = await tasks.untilCancelled(done) !== undefined;
      flushing.clearAll();
      return isFlushed;
    } catch (error) {
      if ((this.#parts.guests?.writeCount ?? 0) > 0) throw this.#lost(error);
      copy.pending.markAll(flushing);
      this.#told = undefined;
      for (const { offset, length } of flushing.areas()) copy.done.clear(offset, length);
      flushing.clearAll();
      tasks.fail({ operation: "write", error });
      return false;
    }
  }

  #lost(cause: unknown): BlockError {
    const { name } = this.#parts.plan.copy.target;
    const why = "it could not be flushed, and the source was written since the flush before";
    return new BlockError("EIO", `Cannot go on with the target "${name}": ${why}`, {
      operation: "flush",
      subject: name,
      hint: "What was copied may not have reached the disk; check it, and start a new backup.",
      cause,
    });
  }

  #moment(): Moment {
    const { plan, guests } = this.#parts;
    const { copy } = plan;
    const left = this.#left;
    left.clearAll();
    left.markAll(copy.pending);
    copy.markInWork(left);
    guests?.forget();
    return { left, writeCount: guests?.writeCount ?? 0 };
  }

  async #record(left: DirtyMap, stamp: string | undefined): Promise<void> {
    const { context, guests } = this.#parts;
    const { size } = left;
    if (this.#layer === "unknown") {
      const own = stamp === undefined ? {} : { stamp };
      const layerFrom = this.#frontier;
      await context.checkpoint({ offset: layerFrom, todo: [], layerFrom, size, ...own });
      return;
    }
    const isLayerWhole = this.#layer === "known" && (guests?.writeCount ?? 0) === 0;
    const frontier = this.#frontier;
    await context.checkpoint(resumePointOf({ left, frontier, isLayerWhole, stamp }));
  }
}
