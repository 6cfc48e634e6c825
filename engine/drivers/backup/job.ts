/**
 * One backup's life: passes over what is still to be copied until nothing is left.
 *
 * ```text
 * run   = prepare -> filter in -> [scan of the top layer] -> pass* -> flush -> filter out
 * pass  = (pause point, checkpoint if due, limit, take the next piece, start its task)*
 *         ends when nothing is left, at the first failure, or at a cancel
 * none  = wait for a cancel; only those who write the source have something copied
 * ```
 *
 * - `BlockCopy` holds what must still be copied and what is in work. `unflushed` holds what was
 *   written since the last flush.
 * - A checkpoint is taken only while no task is in flight, so that the steps recorded before it and
 *   what it says is left are two halves of one image.
 * - After a cancel nothing is waited for: tasks in flight end by themselves, their tickets are
 *   dropped, and `close` waits for them.
 *
 * Used by `backup.ts`. Source: QEMU 7.2 block/backup.c backup_run, backup_loop; block/block-copy.c.
 */

import { DirtyMap } from "../../block/dirty_map.ts";
import { type DriverContext, type DriverJob, JobParked } from "../driver.ts";
import { chunkBytes } from "./chunks.ts";
import { skipUnallocated } from "./layer_scan.ts";
import type { BackupImages } from "./opening.ts";
import { type BackupParameters, workerCount } from "./parameters.ts";
import { checkSize, type Preparation, prepareTarget } from "./preparation.ts";
import { firstPoint } from "./resume_point.ts";
import type { CopyFailure } from "./tasks.ts";
import { beginWork, type Work } from "./work.ts";

/** Pause before a new pass when an ignored error came back without any progress between. */
const IGNORED_RETRY_MS = 100;

/** How a pass ended. */
type PassEnd = "done" | "cancelled" | CopyFailure;

/** A backup in the engine's hands. */
export class BackupJob implements DriverJob {
  readonly #parameters: BackupParameters;
  readonly #images: BackupImages;
  #work: Work | undefined;
  #brokenBy: { readonly error: unknown } | undefined;
  #hasRun = false;
  /** Takes the filter above the source out of the graph. Absent = there is none. */
  readonly clean?: () => Promise<void>;

  /** @param images both images; the job owns them and closes them */
  constructor(parameters: BackupParameters, images: BackupImages) {
    this.#parameters = parameters;
    this.#images = images;
    const { gate } = images;
    if (gate?.close !== undefined) this.clean = async () => await gate.close!();
  }

  /** Copies until nothing is left. */
  async run(context: DriverContext): Promise<void> {
    this.#hasRun = true;
    const start = await prepareTarget(this.#images, this.#parameters, context);
    // From here on a later process can tell whether the source is still what it was.
    if (context.resumeFrom === undefined && !context.isCancelled && !start.isByBitmap) {
      await context.checkpoint(firstPoint(start, this.#images.source.node.size));
    }
    const work = await this.#begin(context, start);
    this.#work = work;
    const { tasks } = work;
    try {
      // What a bitmap says is known only at the moment that is copied.
      if (start.isByBitmap && !tasks.isCancelled) await work.checkpoints.take();
      if (start.layerFrom !== undefined) await this.#scan(work, start.layerFrom);
      if (this.#parameters.sync === "none") return await this.#waitForWriters(work);
      for (let end = await this.#pass(work); end !== "done"; end = await this.#pass(work)) {
        if (end === "cancelled") return;
        await this.#recover(work, end);
      }
      if (!tasks.isCancelled) await this.#checkUnchanged();
    } catch (error) {
      if (error instanceof JobParked) await this.#leave(work);
      throw error;
    } finally {
      if (tasks.isCancelled) tasks.abandon();
      else {
        await tasks.idle();
        await work.guests?.remove();
      }
    }
  }

  /** What was not copied, whole clusters; undefined = it never began. */
  get left(): DirtyMap | undefined {
    const copy = this.#work?.plan.copy;
    if (copy === undefined) return undefined;
    const left = new DirtyMap(copy.pending.size, copy.cluster);
    left.markAll(copy.pending);
    copy.markInWork(left);
    return left;
  }

  /** Waits for what is in flight and takes a checkpoint, unless the last one tells it all. */
  async pause(): Promise<void> {
    if (this.#work === undefined) return;
    await this.#work.tasks.idle();
    // A flush that fails here ends the pass, and then the policy is asked.
    await this.#work.checkpoints.takeNews();
    // Writers keep both images at work; without them a paused job holds no descriptor.
    if (this.#work.guests === undefined) await this.#rest();
  }

  async #rest(): Promise<void> {
    const { source, target } = this.#images;
    await source.node.rest?.();
    await target.node.rest?.();
  }

  /** Closes both images; a target that was made for a job that never ran is removed. */
  async close(): Promise<void> {
    const { source, target } = this.#images;
    try {
      await this.#work?.guests?.remove();
      await this.#images.gate?.close?.();
      if (!this.#hasRun) await target.removeCreated();
    } finally {
      await Promise.all([source.node.close(), target.close()]);
      this.#images.release();
    }
  }

  #begin(context: DriverContext, start: Preparation): Promise<Work> {
    const onBroken = (error: unknown) => this.#brokenBy = { error };
    const parts = { images: this.#images, parameters: this.#parameters, context, start };
    return beginWork({ ...parts, onBroken });
  }

  /** Leaves out what the top layer does not hold. */
  async #scan({ context, plan, tasks, checkpoints }: Work, from: number): Promise<void> {
    const { topExtent } = this.#images.source;
    const { pending } = plan.copy;
    if (topExtent === undefined) return;
    const isWhole = await skipUnallocated({
      topExtent,
      pending,
      from,
      onSkipped: (offset, length) => {
        void context.step({ kind: "skipped", offset, length, work: 0 });
      },
      goOn: async () => {
        await context.pausePoint();
        return !tasks.isCancelled;
      },
    });
    if (!isWhole) return;
    checkpoints.layerIsKnown();
    context.progress.setRemaining(pending.markedBytes + plan.copy.inWorkBytes);
  }

  /** One pass over what is left. Source: QEMU 7.2 block/block-copy.c block_copy_dirty_clusters. */
  async #pass(work: Work): Promise<PassEnd> {
    const { context, plan, tasks, checkpoints } = work;
    const workers = workerCount(this.#parameters);
    let from = 0;
    while (tasks.failure === undefined) {
      await context.pausePoint();
      if (tasks.isCancelled) return "cancelled";
      if (this.#brokenBy !== undefined) throw this.#brokenBy.error;
      if (checkpoints.isDue) await this.#takeCheckpoint(work);
      if (await this.#isLimited(context)) continue;
      const next = await this.#start(work, from);
      if (next === undefined) break;
      from = next;
      while (tasks.count >= workers && !tasks.isCancelled) await tasks.nextEnd();
    }
    if (tasks.isCancelled) return "cancelled";
    await tasks.untilCancelled(plan.copy.waitIdle());
    await tasks.idle();
    if (tasks.isCancelled) return "cancelled";
    const isEmpty = tasks.failure === undefined && plan.copy.pending.markedBytes === 0;
    if (isEmpty && await checkpoints.flush()) return "done";
    // What a writer could not have copied is left for another pass.
    return tasks.takeFailure() ?? (tasks.isCancelled ? "cancelled" : await this.#pass(work));
  }

  /** Starts the next task; returns where the one after it is looked for. */
  async #start(work: Work, from: number): Promise<number | undefined> {
    const { context, plan, tasks, checkpoints, reach } = work;
    const saved = context.stepsSaved();
    if (saved !== undefined) await saved;
    const speed = context.speed.bytesPerSecond;
    const { isOffloaded } = tasks;
    const { "max-chunk": limit, compress: isCompressed = false } = this.#parameters;
    const { cluster } = plan.copy;
    const chunk = chunkBytes({ cluster, limit, speed, isOffloaded, isCompressed });
    const piece = await tasks.take(from, limit === 0 ? reach.from(chunk, speed) : chunk, chunk);
    if (piece === undefined) return undefined;
    context.speed.account(piece.length);
    tasks.start(piece);
    reach.learn(piece.isZero, piece.length);
    checkpoints.reached(piece.offset + piece.length);
    return piece.offset + piece.length;
  }

  /** Sleeps if the limit says so. True = look again. */
  async #isLimited(context: DriverContext): Promise<boolean> {
    const delayMs = context.speed.account(0);
    if (delayMs <= 0) return false;
    await context.sleep(delayMs);
    return true;
  }

  /** sync=none: never ends by itself. Source: QEMU 7.2 block/backup.c backup_run. */
  async #waitForWriters(work: Work): Promise<void> {
    const { context, tasks } = work;
    const isBreakable = this.#parameters["on-cbw-error"] === "break-snapshot";
    while (!tasks.isCancelled) {
      if (this.#brokenBy !== undefined) throw this.#brokenBy.error;
      const failure = tasks.takeFailure();
      if (failure !== undefined) await this.#recover(work, failure);
      else if (isBreakable) await context.sleep(1_000);
      else await context.yield();
    }
  }

  /** Asks the policy about a failure and does what it says. */
  async #recover({ context, plan, tasks }: Work, failure: CopyFailure): Promise<void> {
    const { operation, error } = failure;
    const side = operation === "read" ? "on-source-error" : "on-target-error";
    const action = await context.errorAction(this.#parameters[side], operation, error);
    if (action === "report") throw error;
    if (action === "stop") {
      await context.pausePoint();
      // The flush of the pause may have met the same trouble; its clusters are to be copied again.
      tasks.takeFailure();
    } else if (!tasks.hasProgressed()) await context.sleep(IGNORED_RETRY_MS);
    if (!tasks.isCancelled) await this.#checkUnchanged();
    // What a failed flush took back is work again.
    const { pending, inWorkBytes } = plan.copy;
    if (this.#parameters.sync !== "none") {
      context.progress.setRemaining(pending.markedBytes + inWorkBytes);
    }
  }

  /** The process closes: what was copied since the last checkpoint need not be copied again. */
  async #leave({ plan, tasks, checkpoints }: Work): Promise<void> {
    await tasks.idle();
    if (plan.unflushed.markedBytes > 0) await checkpoints.take();
  }

  async #takeCheckpoint({ tasks, checkpoints }: Work): Promise<void> {
    await tasks.idle();
    if (tasks.failure !== undefined || tasks.isCancelled) return;
    await this.#checkUnchanged();
    await checkpoints.take();
  }

  async #checkUnchanged(): Promise<void> {
    const { source, target } = this.#images;
    await checkSize("source", source.node);
    await checkSize("target", target.node);
  }
}
