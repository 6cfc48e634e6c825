/**
 * What a mirror and the writers beside it know of each other: which granules differ, and which are
 * being copied.
 *
 * ```text
 * clean --write--> dirty --take--> in work --settled--> clean
 *                    ^---- failed, or written meanwhile ----'
 * ```
 *
 * - A bit is reset before the bytes are read; a write that settles later sets it again.
 * - While writes are blocking, a write and a copy of the same granules never overlap.
 *
 * Used by `filters/mirror_top.ts` for writers and by drivers for their own rounds.
 * Source: QEMU 7.2 block/mirror.c.
 */

import type { DirtyArea } from "./dirty_map.ts";
import { DirtyBitmap } from "./dirty_bitmap.ts";
import type { BlockNode } from "./node.ts";
import { type ListedRange, RangeList } from "./range_list.ts";

/** Whether writers wait until the target has their bytes, too. */
export type MirrorCopyMode = "background" | "write-blocking";

/** What a mirror is made of. */
export interface MirrorOptions {
  /** Where bytes go. As long as the source. */
  readonly target: BlockNode;
  /** Length of the source in bytes. */
  readonly size: number;
  /** Bytes of one bit: a power of two from 512. */
  readonly granularity: number;
  /** @default background */
  readonly copyMode?: MirrorCopyMode;
  /** True leaves granules that a writer writes in part to the job. @default false */
  readonly isWhole?: boolean;
  /** Called when the target failed under a writer, whose write is good all the same. */
  readonly onTargetError?: (error: unknown) => void;
  /** Called when a writer's bytes begin their way to the target, and when they are there. */
  readonly onActiveWrite?: (length: number, isDone: boolean) => void;
}

/** The state of one mirror. */
export class MirrorState {
  /** Where bytes go. */
  readonly target: BlockNode;
  /** Which granules differ; without a name. Bits may be set at any time. */
  readonly bitmap: DirtyBitmap;
  /** Whether writers wait for the target. May be changed at any time. */
  copyMode: MirrorCopyMode;
  readonly #options: MirrorOptions;
  readonly #inWork = new RangeList();
  #jobBytes = 0;
  #activeBytes = 0;
  #isStopped = false;

  /** @param options see there; nothing is dirty at first */
  constructor(options: MirrorOptions) {
    const { target, size, granularity } = options;
    this.#options = options;
    this.target = target;
    this.copyMode = options.copyMode ?? "background";
    this.bitmap = new DirtyBitmap(size, { granularity });
  }

  /** Bytes that were taken and not settled. */
  get inWorkBytes(): number {
    return this.#jobBytes;
  }

  /** Bytes that writers are bringing to the target. */
  get activeBytes(): number {
    return this.#activeBytes;
  }

  /** True when nothing differs and nothing is on its way. */
  get isClean(): boolean {
    return this.bitmap.dirtyBytes === 0 && this.#inWork.count === 0;
  }

  /** True if a write that begins now goes to the target, too. */
  get isBlocking(): boolean {
    return this.copyMode === "write-blocking" && !this.#isStopped;
  }

  /** Writers no longer wait: the job failed, was cancelled or has ended. They are noted. */
  stop(): void {
    this.#isStopped = true;
  }

  /**
   * Takes the first dirty run that nobody has in work: resets its bits and keeps others off it
   * until it is settled. Its bytes must be read afterwards.
   *
   * @param from where to look from
   * @param lengthMax most bytes, rounded up to a granule
   * @returns undefined if there is none from there to the end
   */
  take(from: number, lengthMax: number): DirtyArea | undefined {
    for (let at = from; at < this.bitmap.size;) {
      const found = this.bitmap.nextDirty(at, lengthMax);
      if (found === undefined) return undefined;
      const taken = this.#inWork.firstOverlap(found.offset, found.length);
      if (taken !== undefined && taken.offset <= found.offset) {
        at = taken.offset + taken.length;
        continue;
      }
      const length = taken === undefined ? found.length : taken.offset - found.offset;
      const area = { offset: found.offset, length };
      this.bitmap.reset(area.offset, area.length);
      this.#inWork.add(area);
      this.#jobBytes += area.length;
      return area;
    }
    return undefined;
  }

  /** Cuts what was taken in two, each of which is settled by itself. The cut is on a granule. */
  cut(area: DirtyArea, length: number): readonly [DirtyArea, DirtyArea] {
    const first = { offset: area.offset, length };
    const second = { offset: area.offset + length, length: area.length - length };
    this.#inWork.add(first);
    this.#inWork.add(second);
    this.#inWork.remove(area);
    return [first, second];
  }

  /** Ends what was taken. If it is not done it is dirty again. */
  settle(area: DirtyArea, isDone: boolean): void {
    if (!isDone) this.bitmap.set(area.offset, area.length);
    this.#inWork.remove(area);
    this.#jobBytes -= area.length;
  }

  /** Waits until one overlapping range in work has ended; false at once if there is none. */
  async waitOne(offset = 0, length = this.bitmap.size): Promise<boolean> {
    return await this.#inWork.waitOne(offset, length);
  }

  /** Waits until nothing is in work any more, neither a job's nor a writer's. */
  async waitIdle(): Promise<void> {
    await this.#inWork.waitEmpty();
  }

  /** Runs a write of the source, and of the target after it, alone on its granules. */
  async alone(offset: number, length: number, work: () => Promise<void>): Promise<void> {
    const range = this.#granules(offset, length);
    await this.#inWork.enter(range);
    try {
      await work();
    } finally {
      this.#inWork.remove(range);
    }
  }

  /** Notes a write of the source that the target does not have. */
  note(offset: number, length: number): void {
    this.bitmap.set(offset, length);
  }

  /**
   * Brings a write of the source to the target. Granules that are dirty already and only partly
   * written are left to the job. Never fails: what the target did not take is dirty.
   */
  async follow(
    offset: number,
    length: number,
    change: (offset: number, length: number) => Promise<void>,
  ): Promise<void> {
    const range = this.#withoutDirtyEnds(offset, length);
    if (range === undefined) return;
    this.#resetInside(range);
    this.#activeBytes += range.length;
    this.#options.onActiveWrite?.(range.length, false);
    try {
      await change(range.offset, range.length);
      this.#options.onActiveWrite?.(range.length, true);
    } catch (error) {
      this.bitmap.set(range.offset, range.length);
      this.#options.onTargetError?.(error);
    } finally {
      this.#activeBytes -= range.length;
    }
  }

  #granules(offset: number, length: number): ListedRange {
    const { granularity } = this.bitmap;
    const first = Math.floor(offset / granularity) * granularity;
    return {
      offset: first,
      length: Math.ceil((offset + length) / granularity) * granularity - first,
    };
  }

  #withoutDirtyEnds(offset: number, length: number): ListedRange | undefined {
    const { granularity, size } = this.bitmap;
    const { isWhole } = this.#options;
    let [first, end] = [offset, offset + length];
    const isCut = (at: number) => at % granularity !== 0 && at !== size;
    const isLeft = (at: number) => isCut(at) && (isWhole === true || this.bitmap.isDirty(at));
    if (isLeft(end)) {
      this.bitmap.set(end, 1);
      end = Math.floor(end / granularity) * granularity;
    }
    if (isLeft(first)) {
      this.bitmap.set(first, 1);
      first = Math.ceil(first / granularity) * granularity;
    }
    return end > first ? { offset: first, length: end - first } : undefined;
  }

  /** Resets the bits of granules that are written whole. */
  #resetInside({ offset, length }: ListedRange): void {
    const { granularity, size } = this.bitmap;
    const first = Math.ceil(offset / granularity) * granularity;
    const end = offset + length;
    const last = end === size ? end : Math.floor(end / granularity) * granularity;
    if (last > first) this.bitmap.reset(first, last - first);
  }
}
