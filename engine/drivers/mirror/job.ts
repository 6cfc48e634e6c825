/**
 * One mirror's life: copies what is dirty until nothing is, stays in step, and ends in step.
 *
 * ```text
 * run      = begin -> turn* -> leave
 * turn     = pause point, take a run of dirty granules or wait; nothing dirty: flush, ready, or end
 * leave    = hold the source, flush, note the end; it stays held until a closing callback
 * prepare  = [pivot, if complete was asked for] -> filter out -> let the source go on
 * ```
 *
 * - Ready is told once; what is written afterwards makes the job dirty, not unready.
 * - Before it is ready a cancel abandons everything; a ready one is ended softly by the same way as
 *   by complete, without the pivot.
 * - A checkpoint is taken only where nothing was written to the source since the one before: with
 *   the source's stamp it proves, after a crash, that what it says is still all that is dirty.
 *
 * Used by `mirror.ts`. Source: QEMU 7.2 block/mirror.c mirror_run, mirror_exit_common.
 */

import type { JobState } from "../../../events/job/state.ts";
import {
  type ClosingContext,
  type DriverContext,
  type DriverJob,
  JobParked,
  type JsonObject,
} from "../driver.ts";
import type { MirrorImages } from "./images.ts";
import { MirrorEnd } from "./mirror_end.ts";
import { MirrorWork } from "./mirror_work.ts";
import type { MirrorCopyMode, MirrorParameters } from "./parameters.ts";
import { SourceHold } from "./source_hold.ts";

/** How long a mirror in step sleeps before it looks again. Source: QEMU BLOCK_JOB_SLICE_TIME. */
const IDLE_MS = 100;

/** Pause before another try when an ignored error came back without any progress between. */
const IGNORED_RETRY_MS = 100;

/** Longest sleep for the limit, so that an error that ends the job is not seen too late. */
const LIMIT_SLEEP_MS = 1_000;

function isReady(job: JobState): boolean {
  return job.status === "ready" || job.status === "standby";
}

/** A mirror in the engine's hands. */
export class MirrorJob implements DriverJob {
  readonly #parameters: MirrorParameters;
  readonly #images: MirrorImages;
  readonly #end: MirrorEnd;
  #work: MirrorWork | undefined;
  #hasRun = false;
  #pauseCount = 0;

  /** @param images both images; the job owns them and closes them */
  constructor(parameters: MirrorParameters, images: MirrorImages) {
    this.#parameters = parameters;
    this.#images = images;
    this.#end = new MirrorEnd(images);
  }

  /** Mirrors until it is told to end. Source: QEMU 7.2 block/mirror.c mirror_run. */
  async run(context: DriverContext): Promise<void> {
    this.#hasRun = true;
    const work = await MirrorWork.begin(this.#images, this.#parameters, context);
    if (work === undefined) return;
    this.#work = work;
    this.changed(context.job.parameters);
    this.#end.lay(work.tap, work.target);
    const { copies } = work;
    try {
      await work.fill();
      while (!copies.isCancelled && !await this.#turn(context, work)) {
        // Each turn asks everything anew.
      }
      if (!copies.isCancelled) work.tell();
    } catch (error) {
      if (error instanceof JobParked) await work.park();
      throw error;
    } finally {
      if (copies.isCancelled) copies.abandon();
      else await copies.idle();
    }
  }

  /** Waits for what is in flight, and takes a checkpoint if one is worth anything. */
  async pause(): Promise<void> {
    this.#pauseCount++;
    await this.#work?.settle();
  }

  /** Remembered by the job's state; the next turn of `run` sees it. */
  complete(): void {
    this.#images.complete?.();
  }

  /** Source: QEMU 7.2 block/mirror.c mirror_complete. */
  completeRefusal(): string | undefined {
    return this.#images.completeRefusal?.();
  }

  /** Source: QEMU 7.2 block/mirror.c mirror_cancel. */
  canCancelSoftly(job: JobState): boolean {
    return isReady(job);
  }

  /** Nobody's write waits for the target any more. */
  cancel(force: boolean): void {
    if (force) this.#work?.giveUp();
  }

  /** Source: QEMU 8.2 block/mirror.c mirror_change. */
  changed(parameters: JsonObject): void {
    const mode = parameters["copy-mode"] as MirrorCopyMode | undefined;
    this.#work?.sync.setMode(mode ?? this.#parameters["copy-mode"]);
  }

  /** Pivots if that was asked for, and lets the source go on. */
  async prepare(context: ClosingContext): Promise<void> {
    await this.#end.prepare(context);
  }

  /** Lets the source go on as it was. Does nothing after `prepare`. */
  async abort(): Promise<void> {
    await this.#end.undo();
  }

  /** Takes the filter out, whatever came before. */
  async clean(): Promise<void> {
    await this.#end.undo();
  }

  /** Closes both images. */
  async close(): Promise<void> {
    try {
      await this.#end.undo();
    } finally {
      await this.#images.close(this.#hasRun);
    }
  }

  /** One turn; true = the job ends. */
  async #turn(context: DriverContext, work: MirrorWork): Promise<boolean> {
    work.throwFailure();
    const { stopCount } = work;
    await context.pausePoint();
    const { copies } = work;
    if (copies.isCancelled) return true;
    work.tell();
    await context.stepsSaved();
    if (work.isBusy) {
      await this.#copy(context, work, stopCount);
      return false;
    }
    return await this.#inStep(context, work);
  }

  /** Starts what can be started, or waits for something to end. */
  async #copy(context: DriverContext, work: MirrorWork, stopCount: number): Promise<void> {
    const { copies } = work;
    if (context.isCheckpointDue()) await this.#checkpoint(context, work);
    // What an error has stopped since the pause point is not tried again before the next one.
    if (work.stopCount !== stopCount) return;
    const charged = await copies.iterate();
    if (charged === undefined) {
      await work.nextEnd();
      return;
    }
    const isStuck = copies.isStuck();
    if (work.isFailed) return;
    if (isStuck && work.lastAction === "ignore") await context.sleep(IGNORED_RETRY_MS);
    if (isReady(context.job)) return;
    let delayMs = context.speed.account(charged);
    const pauseCount = this.#pauseCount;
    // A pause drops the rest of the wait, as QEMU's sleep does.
    while (
      delayMs > 0 && !copies.isCancelled && !work.isFailed && pauseCount === this.#pauseCount
    ) {
      // Timers know whole milliseconds; a rest of less would be asked for again and again.
      await context.sleep(Math.min(Math.ceil(delayMs), LIMIT_SLEEP_MS));
      delayMs = context.speed.account(0);
    }
  }

  /** Nothing is dirty or in flight. True = the job ends. */
  async #inStep(context: DriverContext, work: MirrorWork): Promise<boolean> {
    if (!isReady(context.job)) {
      if (!await this.#flushed(context, work)) return false;
      await work.note();
      work.tell();
      await context.ready();
    }
    await work.sync.tell();
    if (work.isBusy) return false;
    if (context.job.isCompleteRequested || context.isCancelRequested) {
      return await this.#leave(context, work);
    }
    const { writeCount } = work.tap;
    await context.sleep(IDLE_MS);
    if (writeCount !== work.tap.writeCount || work.isBusy) return false;
    work.noteQuiet();
    if (context.isCheckpointDue() && work.hasNews) await this.#checkpoint(context, work);
    return false;
  }

  /** Holds the source and makes sure that nothing came in between. */
  async #leave(context: DriverContext, work: MirrorWork): Promise<boolean> {
    const hold = await SourceHold.take(this.#images.source.edge, context.signal);
    if (hold === undefined) return true;
    let failure: { readonly error: unknown } | undefined;
    let isOver = false;
    try {
      if (!work.isBusy) isOver = await work.flush();
      if (isOver) await work.noteEnd();
    } catch (error) {
      failure = { error };
    } finally {
      if (isOver && failure === undefined) this.#end.hold(hold);
      else await hold.release();
    }
    // Asked only now: a pause must not keep the source from going on.
    if (failure !== undefined) await this.#flushFailed(context, work, failure.error);
    return isOver;
  }

  async #checkpoint(context: DriverContext, work: MirrorWork): Promise<void> {
    if (!work.canNote) return;
    await work.copies.idle();
    if (work.canNote && await this.#flushed(context, work)) await work.noteSoon();
  }

  async #flushed(context: DriverContext, work: MirrorWork): Promise<boolean> {
    try {
      return await work.flush();
    } catch (error) {
      await this.#flushFailed(context, work, error);
      return false;
    }
  }

  /** Asks the policy about a failed flush. Source: QEMU 7.2 block/mirror.c mirror_flush. */
  async #flushFailed(context: DriverContext, work: MirrorWork, error: unknown): Promise<void> {
    if (error instanceof JobParked || work.copies.isCancelled) throw error;
    await work.consult("write", error);
    work.throwFailure();
    if (work.lastAction === "ignore") await context.sleep(IGNORED_RETRY_MS);
  }
}
