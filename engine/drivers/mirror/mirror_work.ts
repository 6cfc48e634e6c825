/**
 * What a running mirror works with: the books, the copies, the filter over the source, and the
 * facts that checkpoints need.
 *
 * - `current` counts each byte when it has been copied; `total` is that and all that is dirty or in
 *   flight. So both grow when the source is written.
 * - Nothing here decides when something happens: that is `job.ts`.
 *
 * Source: QEMU 7.2 block/mirror.c mirror_run, mirror_dirty_init, mirror_flush.
 */

import { BlockError } from "../../block/errors.ts";
import type { BlockNode } from "../../block/node.ts";
import type { ErrorAction, IoOperation } from "../../../events/job/error_policy.ts";
import type { DriverContext } from "../driver.ts";
import { ActiveSync } from "./active_sync.ts";
import { MirrorCopies } from "./copies.ts";
import type { MirrorImages, MirrorTarget } from "./images.ts";
import { checkSizes, resumePointFor } from "./fitness.ts";
import { fillInitialSet } from "./initial_set.ts";
import { MirrorSet, SourceTap } from "./mirror_set.ts";
import { type MirrorGrain, mirrorGrain, type MirrorParameters } from "./parameters.ts";
import { type MirrorResumePoint, mirrorResumePoint } from "./resume_point.ts";
import { SourceHold } from "./source_hold.ts";
import { untilCancelled } from "../until_cancelled.ts";

/** What `begin` has found. */
interface Beginning {
  readonly images: MirrorImages;
  readonly parameters: MirrorParameters;
  readonly context: DriverContext;
  readonly target: MirrorTarget;
  readonly grain: MirrorGrain;
  readonly set: MirrorSet;
  readonly tap: SourceTap;
  readonly point: MirrorResumePoint | undefined;
  /** The source's stamp when the filter came in. */
  readonly stamp: string | undefined;
}

/** See the head of this file. */
export class MirrorWork {
  /** The filter over the source. */
  readonly tap: SourceTap;
  /** Whether writers keep the target in step. */
  readonly sync: ActiveSync;
  /** The copies. */
  readonly copies: MirrorCopies;
  readonly #begun: Beginning;
  readonly #set: MirrorSet;
  readonly #context: DriverContext;
  readonly #startBytes: number;
  /** What is done beside copies: by writers, or because both are zero there. */
  #besidesBytes = 0;
  #lastAction: ErrorAction | undefined;
  #stopCount = 0;
  #quietWriteCount = 0;
  #notedDoneBytes = -1;
  #notedWriteCount = -1;
  #notedStamp: string | undefined;
  #saving: Promise<void> | undefined;

  private constructor(begun: Beginning) {
    const { set, context, grain, parameters } = begun;
    this.#begun = begun;
    this.#set = set;
    this.#context = context;
    this.#startBytes = context.progress.current;
    this.tap = begun.tap;
    this.sync = new ActiveSync(set.state, context);
    const consult = (operation: IoOperation, error: unknown) => this.consult(operation, error);
    const { unmap } = parameters;
    this.copies = new MirrorCopies(set, { grain, unmap, consult }, context);
  }

  /**
   * Opens the target, checks the sizes, and lays the filter under whoever writes the source.
   *
   * @returns undefined if the job was cancelled meanwhile
   * @throws {BlockError} EINVAL when the sizes differ; EIO when an earlier process's work is gone
   */
  static async begin(
    images: MirrorImages,
    parameters: MirrorParameters,
    context: DriverContext,
  ): Promise<MirrorWork | undefined> {
    const { edge } = images.source;
    const point = resumePointFor(context.resumeFrom, edge);
    const target = await images.openTarget(context, point !== undefined);
    checkSizes(edge, target.node);
    const grain = mirrorGrain(parameters, target.clusterSize, target.isDetached);
    const hold = await SourceHold.take(edge, context.signal);
    if (hold === undefined) return undefined;
    try {
      const source = hold.edge.child;
      const stamp = await source.stamp();
      const own: { work?: MirrorWork } = {};
      const set = new MirrorSet({
        source,
        target: target.node,
        isTargetBlank: target.isBlank,
        granularity: grain.granularity,
        copyMode: parameters["copy-mode"],
        isTargetDetached: target.isDetached === true,
        onTargetError: (error) => own.work?.takeTargetError(error),
      });
      const tap = new SourceTap(source, set.state);
      const found = { images, parameters, context, target, grain, set, tap, point, stamp };
      const work = own.work = new MirrorWork(found);
      hold.edge.replace(tap);
      return work;
    } finally {
      await hold.release();
    }
  }

  /** The target as it was opened. */
  get target(): BlockNode {
    return this.#begun.target.node;
  }

  /** True while something is dirty or in flight. */
  get isBusy(): boolean {
    return this.#set.dirtyBytes > 0 || this.copies.count > 0;
  }

  /** True if the job is to end with an error. */
  get isFailed(): boolean {
    return this.#set.isFailed;
  }

  /** What the policy said last. */
  get lastAction(): ErrorAction | undefined {
    return this.#lastAction;
  }

  /** How often the policy has said that the job is to stop. */
  get stopCount(): number {
    return this.#stopCount;
  }

  /** True if anything was copied or written since the last checkpoint. */
  get hasNews(): boolean {
    return this.copies.doneBytes !== this.#notedDoneBytes ||
      this.tap.writeCount !== this.#notedWriteCount;
  }

  /** Throws the error that ends the job, if there is one. */
  throwFailure(): void {
    const { failure } = this.#set;
    if (failure !== undefined) throw failure.error;
  }

  /** Finds what is dirty at first. After a stop of the process: what may have changed since. */
  async fill(): Promise<void> {
    const { parameters, point, stamp, target, images } = this.#begun;
    const dirty = this.#set.state.bitmap;
    if (point?.stamp !== undefined && point.stamp === stamp) {
      for (const [offset, length] of point.todo) dirty.set(offset, length);
    } else {
      // Whoever wrote in between, or a write whose mark was lost: nobody knows where it went.
      const sync = point !== undefined && parameters.sync === "none" ? "full" : parameters.sync;
      const { extent, topExtent } = images.source;
      const isTargetBlank = target.isBlank;
      const request = { dirty, sync, isTargetBlank, extent, topExtent };
      const left = await fillInitialSet(request, this.#context);
      if (target.areHolesCounted === true && point === undefined && left > 0) {
        this.#besidesBytes += left;
        void this.#context.step({ kind: "hole", offset: 0, length: dirty.size, work: left });
      }
    }
    this.tell();
  }

  /** Nobody waits any more for a target that may hang. */
  giveUp(): void {
    this.copies.abandon();
    this.#set.detach();
  }

  /** Brings the progress up to date. Source: block/mirror.c job_progress_set_remaining. */
  tell(): void {
    const { progress } = this.#context;
    const { state, dirtyBytes } = this.#set;
    this.#tellWritten();
    // Some of what is done waits for steps that were begun before it.
    const doneBytes = this.copies.doneBytes + this.#besidesBytes;
    const unrecorded = this.#startBytes + doneBytes - progress.current;
    progress.setRemaining(unrecorded + dirtyBytes + state.inWorkBytes + state.activeBytes);
  }

  /** One step for all that writers brought to the target since the last one. */
  #tellWritten(): void {
    const span = this.#set.takeWritten();
    if (span === undefined) return;
    this.#besidesBytes += span.bytes;
    const { offset, end, bytes } = span;
    void this.#context.step({ kind: "written", offset, length: end - offset, work: bytes });
  }

  /** The target failed under a writer, whose write is good all the same. */
  takeTargetError(error: unknown): void {
    if (this.copies.isCancelled) return;
    this.sync.lose().catch((failure) => this.#set.fail(failure));
    // Nobody waits for the answer: a failure to record it ends the job elsewhere.
    this.consult("write", error).catch((failure) => this.#set.fail(failure));
  }

  /** Resolves when an operation has ended, and at a cancel. */
  async nextEnd(): Promise<void> {
    if (this.copies.count > 0) await this.copies.nextEnd();
  }

  /** Asks the policy about an error; `report` ends the job. */
  async consult(operation: IoOperation, error: unknown): Promise<void> {
    const { parameters } = this.#begun;
    const policy = parameters[operation === "read" ? "on-source-error" : "on-target-error"];
    this.#lastAction = await this.#context.errorAction(policy, operation, error);
    if (this.#lastAction === "report") this.#set.fail(error);
    if (this.#lastAction === "stop") this.#stopCount++;
  }

  /** Flushes the target; false if the job was cancelled meanwhile. */
  async flush(): Promise<boolean> {
    const isFlushed = await untilCancelled(
      this.#context.signal,
      this.#set.flush().then(() => true),
    );
    return isFlushed === true;
  }

  /**
   * Waits for what is in flight, and notes how far it is. A flush that fails makes things dirty
   * again, and is told by the next one.
   */
  async settle(): Promise<void> {
    await this.copies.idle();
    if (!this.canNote) return;
    try {
      if (await this.flush()) await this.note();
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
    }
  }

  /** The process closes: what was copied since the last checkpoint need not be copied again. */
  async park(): Promise<void> {
    if (this.hasNews) await this.settle();
    else await this.copies.idle();
  }

  /** From now on the source counts as quiet until it is written. */
  noteQuiet(): void {
    this.#quietWriteCount = this.tap.writeCount;
  }

  /** False if the source was written since it was last quiet: its stamp would prove nothing. */
  get canNote(): boolean {
    const isQuiet = this.tap.writeCount === this.#quietWriteCount;
    return isQuiet && !this.copies.isCancelled && !this.isFailed;
  }

  /** Takes a checkpoint, if it can. Nothing is in flight, and the target was just flushed. */
  async note(): Promise<void> {
    await this.noteSoon();
    await this.#saving;
  }

  /** As `note`, but what follows need not wait until it is durable: it is behind it in the log. */
  async noteSoon(): Promise<void> {
    await this.#saving;
    const stamp = await this.#set.source.stamp();
    if (!this.canNote) return;
    this.#saving = this.#checkpoint(stamp);
    // Whoever comes next hears of a failure; until then it is no unhandled one.
    this.#saving.catch(() => {});
  }

  /** Notes, while the source is held, that both are equal. */
  async noteEnd(): Promise<void> {
    this.tell();
    if (this.#context.isCancelled) return;
    await this.#saving;
    const stamp = await this.#set.source.stamp();
    if (this.hasNews || stamp !== this.#notedStamp) await this.#checkpoint(stamp);
  }

  async #checkpoint(stamp: string | undefined): Promise<void> {
    const { source, state } = this.#set;
    this.#notedStamp = stamp;
    this.#notedDoneBytes = this.copies.doneBytes;
    this.#notedWriteCount = this.tap.writeCount;
    await this.#context.checkpoint(mirrorResumePoint(state.bitmap.areas(), source.size, stamp));
  }
}
