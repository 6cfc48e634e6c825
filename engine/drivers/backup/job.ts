/**
 * One backup's life: passes over what is still to be copied until nothing is left.
 *
 * ```text
 * run   = prepare -> pass* -> flush
 * pass  = (pause point, checkpoint if due, limit, take the next area, start its task)*
 *         ends when nothing is left, at the first failure, or at a cancel
 * ```
 *
 * - `dirty` holds what must still be copied; a task takes its clusters out when it starts and puts
 *   them back when it fails. `unflushed` holds what was written since the last flush.
 * - A checkpoint is taken only while nothing is in flight, so that the steps recorded before it and
 *   what it says is left are two halves of one image.
 * - After a cancel nothing is waited for: tasks in flight end by themselves, their tickets are
 *   dropped, and `close` waits for them.
 *
 * Used by `backup.ts`. Source: QEMU 7.2 block/backup.c backup_loop; block/block-copy.c.
 */

import { type DirtyArea, DirtyMap } from "../../block/dirty_map.ts";
import { type DriverContext, type DriverJob, JobParked } from "../driver.ts";
import type { BackupImages } from "./images.ts";
import { BACKUP_CLUSTER, type BackupParameters, chunkBytes, workerCount } from "./parameters.ts";
import { checkSize, prepareTarget } from "./preparation.ts";
import { resumePointOf } from "./resume_point.ts";
import { type CopyFailure, type CopyPlan, CopyTasks } from "./tasks.ts";

/** Pause before a new pass when an ignored error came back without any progress between. */
const IGNORED_RETRY_MS = 100;

/** How a pass ended. */
type PassEnd = "done" | "cancelled" | CopyFailure;

/** A backup in the engine's hands. */
export class BackupJob implements DriverJob {
  readonly #parameters: BackupParameters;
  readonly #images: BackupImages;
  readonly #dirty: DirtyMap;
  readonly #unflushed: DirtyMap;
  #tasks: CopyTasks | undefined;
  #stamp: string | undefined;
  #hasRun = false;

  /** @param images both images; the job owns them and closes them */
  constructor(parameters: BackupParameters, images: BackupImages) {
    this.#parameters = parameters;
    this.#images = images;
    this.#dirty = new DirtyMap(images.source.size, BACKUP_CLUSTER);
    this.#unflushed = new DirtyMap(images.source.size, BACKUP_CLUSTER);
  }

  /** Copies until nothing is left. Source: QEMU 7.2 block/backup.c backup_run, backup_loop. */
  async run(context: DriverContext): Promise<void> {
    this.#hasRun = true;
    const plan = await this.#prepare(context);
    const tasks = new CopyTasks(plan, context);
    this.#tasks = tasks;
    // From here on a later process can tell whether the source is still what it was at the start.
    if (context.resumeFrom === undefined) await this.#checkpoint(context);
    try {
      for (let end = await this.#pass(context, tasks); end !== "done";) {
        if (end === "cancelled") return;
        await this.#recover(context, tasks, end);
        end = await this.#pass(context, tasks);
      }
      if (!tasks.isCancelled) await this.#checkUnchanged();
    } catch (error) {
      if (error instanceof JobParked) await this.#leave(context, tasks);
      throw error;
    } finally {
      if (tasks.isCancelled) tasks.abandon();
      else await tasks.idle();
    }
  }

  /** Waits for what is in flight and takes a checkpoint. */
  async pause(context: DriverContext): Promise<void> {
    if (this.#tasks === undefined) return;
    await this.#tasks.idle();
    // A flush that fails here ends the pass, and then the policy is asked.
    if (await this.#flushed(this.#tasks)) await this.#checkpoint(context);
  }

  /** Closes both images; a target that was made for a job that never ran is removed. */
  async close(): Promise<void> {
    const { source, target } = this.#images;
    try {
      if (!this.#hasRun) await target.removeCreated();
    } finally {
      await Promise.all([source.close(), target.node.close()]);
      this.#images.release();
    }
  }

  async #prepare(context: DriverContext): Promise<CopyPlan> {
    const { source } = this.#images;
    const start = await prepareTarget(this.#images, this.#parameters, context);
    this.#stamp = start.stamp;
    for (const [offset, length] of start.todo) this.#dirty.mark(offset, length);
    context.progress.setRemaining(this.#dirty.markedBytes);
    return {
      source,
      target: this.#images.target.node,
      dirty: this.#dirty,
      unflushed: this.#unflushed,
      zeroKind: this.#parameters.mode === "existing" ? "zeroed" : "hole",
      isTargetBlank: start.isTargetBlank,
    };
  }

  /** One pass over what is left. Source: QEMU 7.2 block/block-copy.c block_copy_dirty_clusters. */
  async #pass(context: DriverContext, tasks: CopyTasks): Promise<PassEnd> {
    const workers = workerCount(this.#parameters);
    const chunkLimit = this.#parameters["max-chunk"];
    let from = 0;
    while (tasks.failure === undefined) {
      await context.pausePoint();
      if (tasks.isCancelled) return "cancelled";
      if (context.isCheckpointDue()) await this.#takeCheckpoint(context, tasks);
      const chunk = chunkBytes(chunkLimit, context.speed.bytesPerSecond, tasks.isOffloaded);
      const area = this.#dirty.next(from, chunk);
      if (area === undefined) break;
      if (await this.#isLimited(context)) continue;
      from = await this.#start(context, tasks, area);
      while (tasks.count >= workers && !tasks.isCancelled) await tasks.nextEnd();
    }
    if (tasks.isCancelled) return "cancelled";
    await tasks.idle();
    if (tasks.isCancelled) return "cancelled";
    if (tasks.failure === undefined && await this.#flushed(tasks)) return "done";
    return tasks.takeFailure() ?? "done";
  }

  /** Starts the copying of an area's beginning; returns where the next one is looked for. */
  async #start(context: DriverContext, tasks: CopyTasks, area: DirtyArea): Promise<number> {
    const saved = context.stepsSaved();
    if (saved !== undefined) await saved;
    const piece = await tasks.classify(area);
    if (piece === undefined || tasks.isCancelled) return area.offset;
    context.speed.account(piece.length);
    tasks.start(piece);
    return piece.offset + piece.length;
  }

  /** Sleeps if the limit says so. True = look again. */
  async #isLimited(context: DriverContext): Promise<boolean> {
    const delayMs = context.speed.account(0);
    if (delayMs <= 0) return false;
    await context.sleep(delayMs);
    return true;
  }

  /** Asks the policy about a failure and does what it says. */
  async #recover(context: DriverContext, tasks: CopyTasks, failure: CopyFailure): Promise<void> {
    const { operation, error } = failure;
    const side = operation === "read" ? "on-source-error" : "on-target-error";
    const action = await context.errorAction(this.#parameters[side], operation, error);
    if (action === "report") throw error;
    if (action === "stop") await context.pausePoint();
    else if (!tasks.hasProgressed()) await context.sleep(IGNORED_RETRY_MS);
    if (!tasks.isCancelled) await this.#checkUnchanged();
    // What a failed flush took back is work again.
    context.progress.setRemaining(this.#dirty.markedBytes);
  }

  /** The process closes: what was copied since the last checkpoint need not be copied again. */
  async #leave(context: DriverContext, tasks: CopyTasks): Promise<void> {
    await tasks.idle();
    const hasNews = this.#unflushed.markedBytes > 0;
    if (hasNews && await this.#flushed(tasks)) await this.#checkpoint(context);
  }

  async #takeCheckpoint(context: DriverContext, tasks: CopyTasks): Promise<void> {
    await tasks.idle();
    if (tasks.failure !== undefined || tasks.isCancelled) return;
    await this.#checkUnchanged();
    if (await this.#flushed(tasks)) await this.#checkpoint(context);
  }

  async #checkpoint(context: DriverContext): Promise<void> {
    if (context.isCancelled) return;
    const { size } = this.#images.source;
    await context.checkpoint(resumePointOf(this.#dirty, size, this.#stamp));
  }

  /**
   * Flushes the target; a failure becomes that of the pass. After a failed flush the system may
   * call pages clean that it never wrote, so everything since the last good one is dirty again.
   */
  async #flushed(tasks: CopyTasks): Promise<boolean> {
    try {
      const flushing = this.#images.target.node.flush().then(() => true);
      if (await tasks.untilCancelled(flushing) === undefined) return false;
      this.#unflushed.clearAll();
      return true;
    } catch (error) {
      this.#dirty.markAll(this.#unflushed);
      this.#unflushed.clearAll();
      tasks.fail({ operation: "write", error });
      return false;
    }
  }

  async #checkUnchanged(): Promise<void> {
    const { source, target } = this.#images;
    await checkSize("source", source);
    await checkSize("target", target.node);
  }
}
