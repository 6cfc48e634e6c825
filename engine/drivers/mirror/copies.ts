/**
 * The copying of a mirror: runs of dirty granules are taken, cut into operations of one kind, and
 * up to 16 of these are in flight, or 4 once the images copy between themselves.
 *
 * ```text
 * dirty     ..#########....##..      reset when a run is taken, set again by writes and failures
 * run         |=======|              up to buf-size
 * stretch     |data |0|              one kind, one step in the log
 * operation   |--|--|-|              up to buf-size / 16 or 1 MiB; then buf-size / 4
 * ```
 *
 * - A granule is taken before anything is asked about it: what is written later sets it again.
 * - A range is in work until its operation has ended and, if it failed, the policy has been asked;
 *   no other operation touches it meanwhile.
 * - Steps are recorded in the order in which their stretches were begun.
 *
 * Used by `job.ts`. Source: QEMU 7.2 block/mirror.c mirror_iteration, mirror_perform.
 */

import { copyByBuffer } from "../../block/copy.ts";
import type { DirtyArea } from "../../block/dirty_map.ts";
import { BlockError } from "../../block/errors.ts";
import type { Extent } from "../../block/node.ts";
import type { IoOperation } from "../../../events/job/error_policy.ts";
import type { DriverContext } from "../driver.ts";
import { MIRROR_IN_FLIGHT_MAX, MIRROR_OFFLOADED_MAX, type MirrorGrain } from "./parameters.ts";
import { Run } from "./run.ts";
import { Stretch, type StretchKind } from "./stretch.ts";
import type { MirrorSet } from "./mirror_set.ts";

/** What the copies need beside the images. */
export interface MirrorCopiesOptions {
  /** How work is cut. */
  readonly grain: MirrorGrain;
  /** True lets ranges of zeros give up their space in the target. */
  readonly unmap: boolean;
  /** Asks the policy about an error; resolves when the answer has taken effect. */
  readonly consult: (operation: IoOperation, error: unknown) => Promise<void>;
}

/** The operations in flight, and what is to be copied by them. */
export class MirrorCopies {
  readonly #set: MirrorSet;
  readonly #options: MirrorCopiesOptions;
  readonly #context: DriverContext;
  readonly #stretches = new Set<Stretch>();
  readonly #areas = new Set<DirtyArea>();
  #waiting: (() => void)[] = [];
  #cursor = 0;
  #slotCount = MIRROR_IN_FLIGHT_MAX;
  #operationBytes: number;
  #count = 0;
  #bytes = 0;
  #doneBytes = 0;
  #failedCount = 0;
  #seenDoneBytes = 0;
  #seenFailedCount = 0;

  /** A cancel wakes whoever waits for an operation. */
  constructor(set: MirrorSet, options: MirrorCopiesOptions, context: DriverContext) {
    this.#set = set;
    this.#options = options;
    this.#operationBytes = options.grain.operationBytes;
    this.#context = context;
    context.signal.addEventListener("abort", () => this.wake(), { once: true });
  }

  /** True after a force cancel, as soon as either sign of it shows. */
  get isCancelled(): boolean {
    return this.#context.isCancelled || this.#context.signal.aborted;
  }

  /** Operations in flight. */
  get count(): number {
    return this.#count;
  }

  /** Bytes of all operations that ended well. */
  get doneBytes(): number {
    return this.#doneBytes;
  }

  /** True if operations failed since the last call and none ended well. */
  isStuck(): boolean {
    const hasFailed = this.#failedCount > this.#seenFailedCount;
    const isStuck = hasFailed && this.#doneBytes === this.#seenDoneBytes;
    this.#seenFailedCount = this.#failedCount;
    this.#seenDoneBytes = this.#doneBytes;
    return isStuck;
  }

  /**
   * Takes the next dirty run and starts its operations, waiting for free slots.
   *
   * @returns bytes that count against the speed limit; undefined if all that is dirty is in work
   */
  async iterate(): Promise<number | undefined> {
    const { state } = this.#set;
    const { bufferBytes } = this.#options.grain;
    const run = state.take(this.#cursor, bufferBytes) ?? state.take(0, bufferBytes);
    if (run === undefined) return undefined;
    this.#cursor = run.offset + run.length;
    const work = new Run(state, run);
    try {
      return await this.#work(work);
    } finally {
      work.giveBack();
    }
  }

  /** Resolves when an operation has ended, and at a cancel. */
  nextEnd(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Resolves when nothing is in flight, and at a cancel. */
  async idle(): Promise<void> {
    while (this.#count > 0 && !this.isCancelled) await this.nextEnd();
  }

  /** Gives up what is in flight: nothing of it is recorded, and no writer waits for it any more. */
  abandon(): void {
    for (const stretch of this.#stretches) stretch.drop();
    this.#stretches.clear();
    for (const area of this.#areas) this.#set.state.settle(area, false);
    this.#areas.clear();
  }

  /** Wakes whoever waits for an operation. */
  wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  async #work(run: Run): Promise<number> {
    let stretch: Stretch | undefined;
    let charged = 0;
    try {
      while (run.rest !== undefined && !this.#isOver) {
        const extent = await this.#classify(run.rest);
        if (this.#isOver) break;
        const kind = this.#kindOf(extent);
        if (stretch?.kind !== kind) {
          stretch?.close();
          stretch = this.#open(kind, extent.offset);
        }
        if (kind === "hole") this.#skip(stretch, run.take(extent.length));
        else charged += await this.#start(stretch, run, extent.length);
      }
    } finally {
      stretch?.close();
    }
    return charged;
  }

  /** True if nothing more is to be started. */
  get #isOver(): boolean {
    return this.#set.isFailed || this.isCancelled;
  }

  /** Starts the operations of one extent; ends early when nothing more is to be started. */
  async #start(stretch: Stretch, run: Run, length: number): Promise<number> {
    const { bufferBytes } = this.#options.grain;
    let done = 0;
    while (done < length) {
      const bytes = Math.min(this.#operationBytes, length - done);
      while (
        this.#count >= this.#slotCount ||
        (this.#count > 0 && this.#bytes + bytes > bufferBytes)
      ) {
        await this.nextEnd();
        if (this.#isOver) return done;
      }
      void this.#perform(stretch, run.take(bytes));
      done += bytes;
    }
    return done;
  }

  #open(kind: StretchKind, offset: number): Stretch {
    const stretch = new Stretch(this.#context, kind, offset, () => this.#stretches.delete(stretch));
    this.#stretches.add(stretch);
    return stretch;
  }

  /** Zeros in a target that reads as zeros there: nothing to do. */
  #skip(stretch: Stretch, area: DirtyArea): void {
    stretch.skip(area.length);
    this.#doneBytes += area.length;
    this.#set.state.settle(area, true);
  }

  #kindOf(extent: Extent): StretchKind {
    if (extent.kind === "data") return "copied";
    return this.#set.isTargetZero(extent.offset, extent.length) ? "hole" : "zeroed";
  }

  /** What a range begins with, fitted to granules. One that cannot be told is data. */
  async #classify({ offset, length }: DirtyArea): Promise<Extent> {
    const { granularity } = this.#options.grain;
    const operationBytes = this.#operationBytes;
    const first = await this.#look(offset, length);
    // Reading will say what is wrong, and then the policy is asked.
    if (first === undefined) {
      return { offset, length: Math.min(length, operationBytes), kind: "data" };
    }
    const isData = first.kind === "data";
    const wanted = isData ? Math.min(length, operationBytes) : length;
    let joined = first.length;
    while (joined < wanted && !this.#isOver) {
      const next = await this.#look(offset + joined, length - joined);
      if (next === undefined || (next.kind === "data") !== isData) break;
      joined += next.length;
    }
    if (joined >= length) return { ...first, length };
    const whole = joined - joined % granularity;
    if (whole > 0) return { ...first, length: whole };
    return { offset, length: Math.min(length, granularity), kind: "data" };
  }

  async #look(offset: number, length: number): Promise<Extent | undefined> {
    try {
      return await this.#set.source.extent(offset, length);
    } catch {
      return undefined;
    }
  }

  async #perform(stretch: Stretch, area: DirtyArea): Promise<void> {
    stretch.begin(area.length);
    this.#areas.add(area);
    this.#count++;
    this.#bytes += area.length;
    let isDone = false;
    try {
      await (stretch.kind === "copied" ? this.#copy(area) : this.#zero(area));
      isDone = true;
      this.#doneBytes += area.length;
      stretch.end(area, true);
    } catch (error) {
      this.#failedCount++;
      stretch.end(area, false);
      await this.#consult(stretch, error);
    } finally {
      if (this.#areas.delete(area)) this.#set.state.settle(area, isDone);
      this.#count--;
      this.#bytes -= area.length;
      this.wake();
    }
  }

  async #consult(stretch: Stretch, error: unknown): Promise<void> {
    if (this.isCancelled) return;
    const isRead = stretch.kind === "copied" && error instanceof BlockError &&
      error.operation === "read";
    await this.#options.consult(isRead ? "read" : "write", error);
  }

  async #copy({ offset, length }: DirtyArea): Promise<void> {
    const { source, target } = this.#set;
    const offloaded = target.copyRange?.(source, offset, offset, length);
    if (offloaded !== undefined) this.#offload();
    await (offloaded ?? copyByBuffer({ source, from: offset, target, to: offset, length }));
  }

  /** The images copy between themselves: few and large operations are better then. */
  #offload(): void {
    this.#slotCount = MIRROR_OFFLOADED_MAX;
    this.#operationBytes = this.#options.grain.offloadedBytes;
  }

  /** A target may have to read in order to zero; that is no failure of the source. */
  async #zero({ offset, length }: DirtyArea): Promise<void> {
    const { target } = this.#set;
    if (this.#options.unmap) await target.discard(offset, length);
    await target.zero(offset, length);
  }
}
