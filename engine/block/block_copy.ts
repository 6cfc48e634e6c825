/**
 * Copying the clusters of a node to another one, for a job and for writers that must wait for it.
 *
 * ```text
 * pending --take--> in work --done--> done
 *    ^-------------- failed
 * ```
 *
 * - A cluster is in work for one at a time; who needs it copied waits for whoever copies it.
 * - A cluster that failed is pending again, and no write may pass it by.
 * - Source and target are equally long; the source is the node below the copy-before-write filter.
 *
 * Used by `filters/copy_before_write.ts` for writers and by drivers for their own passes.
 * Source: QEMU 7.2 block/block-copy.c.
 */

import { copyPieces } from "./copy.ts";
import { type DirtyArea, DirtyMap } from "./dirty_map.ts";
import { BlockError, blockErrorOf } from "./errors.ts";
import type { BlockNode, ExtentKind } from "./node.ts";
import { RangeList } from "./range_list.ts";

/** Most bytes that are copied in one go for a writer. */
const GUEST_CHUNK_MAX = 1_048_576;

/** What was done with a part of a task. */
export interface CopiedPiece {
  /** First byte. */
  readonly offset: number;
  /** Bytes, 1 or more. */
  readonly length: number;
  /** What the source's map said of it: `data` was copied, the others were made zero. */
  readonly kind: ExtentKind;
}

/** How the clusters of a node are copied. */
export interface BlockCopyOptions {
  /** Where bytes come from: never through the filter that forestalls writers. */
  readonly source: BlockNode;
  /** Where they go. */
  readonly target: BlockNode;
  /** Bytes that are copied together: a power of two. */
  readonly cluster: number;
  /** What is to be copied. @default everything */
  readonly pending?: DirtyMap;
  /** True if the target is known to read as zeros: then zeros are not written. @default false */
  readonly isTargetZero?: boolean;
  /** Called when a task was copied because somebody was about to write. */
  readonly onGuestCopy?: (task: DirtyArea, pieces: readonly CopiedPiece[]) => void;
}

/** A failed task, which side failed, and with what. */
export class BlockCopyError extends BlockError {
  /** True if the source failed, false if the target did. */
  readonly isRead: boolean;

  /** @param cause what the node threw; anything but a `BlockError` counts as EIO */
  constructor(isRead: boolean, node: BlockNode, cause: unknown) {
    const operation = isRead ? "read" : "write";
    const error = blockErrorOf(operation, `${operation} "${node.name}"`, node.name, cause);
    super(error.code, error.message, {
      operation: error.operation,
      subject: error.subject,
      cause,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    });
    this.isRead = isRead;
  }
}

/** The state of one copy. */
export class BlockCopy {
  /** Where bytes come from. */
  readonly source: BlockNode;
  /** Where they go. */
  readonly target: BlockNode;
  /** Bytes that are copied together. */
  readonly cluster: number;
  /**
   * What is still to be copied, without what is in work. Others may take clusters out at any time,
   * and put them in again as long as no writer was let through to them.
   */
  readonly pending: DirtyMap;
  /** What was copied. */
  readonly done: DirtyMap;
  readonly #inWork = new RangeList();
  readonly #options: BlockCopyOptions;

  /** @param options see there */
  constructor(options: BlockCopyOptions) {
    const { source, target, cluster } = options;
    [this.source, this.target, this.cluster] = [source, target, cluster];
    this.#options = options;
    this.done = new DirtyMap(source.size, cluster);
    this.pending = options.pending ?? new DirtyMap(source.size, cluster);
    if (options.pending === undefined) this.pending.mark(0, source.size);
  }

  /** Bytes in work. */
  get inWorkBytes(): number {
    return this.#inWork.bytes;
  }

  /**
   * Takes the first pending run of clusters into work.
   *
   * @param from where to look from
   * @param lengthMax most bytes, rounded up to a cluster
   * @param end where to stop looking, exclusive. @default the end of the source
   * @returns undefined if nothing is pending there; some of it may be in work
   */
  take(from: number, lengthMax: number, end = this.source.size): DirtyArea | undefined {
    const found = this.pending.next(from, lengthMax);
    if (found === undefined || found.offset >= end) return undefined;
    const stop = Math.ceil(end / this.cluster) * this.cluster;
    const length = Math.min(found.length, stop - found.offset);
    const task = { offset: found.offset, length };
    this.pending.clear(task.offset, task.length);
    this.#inWork.add(task);
    return task;
  }

  /** Ends a task that was taken: its clusters are done, or pending again. */
  settle(task: DirtyArea, isDone: boolean): void {
    (isDone ? this.done : this.pending).mark(task.offset, task.length);
    this.#inWork.remove(task);
  }

  /**
   * Copies a task that was taken, and settles it.
   *
   * @returns what was done, in order, covering the task
   * @throws {BlockCopyError} when a node failed; all of the task is pending again
   */
  async run(task: DirtyArea): Promise<readonly CopiedPiece[]> {
    let isDone = false;
    try {
      const pieces = await this.#copy(task);
      isDone = true;
      return pieces;
    } finally {
      this.settle(task, isDone);
    }
  }

  /**
   * Copies whatever of a range was not copied yet. When it resolves, nothing of the range is
   * pending or in work, and its bytes may be overwritten.
   *
   * @throws {BlockCopyError} when a node failed
   */
  async copyBeforeWrite(offset: number, length: number): Promise<void> {
    if (length === 0) return;
    const first = Math.floor(offset / this.cluster) * this.cluster;
    const end = Math.ceil((offset + length) / this.cluster) * this.cluster;
    do {
      for (;;) {
        const task = this.take(first, GUEST_CHUNK_MAX, end);
        if (task === undefined) break;
        const pieces = await this.run(task);
        this.#options.onGuestCopy?.(task, pieces);
      }
      // What somebody else had in work may have failed: then it is pending again.
    } while (await this.#inWork.waitOne(first, end - first));
  }

  /** All clusters that this copy is about: pending, in work, or done. */
  covered(): DirtyMap {
    const map = new DirtyMap(this.source.size, this.cluster);
    map.markAll(this.pending);
    map.markAll(this.done);
    for (const { offset, length } of this.#inWork.list()) map.mark(offset, length);
    return map;
  }

  /** Marks what is in work. */
  markInWork(map: DirtyMap): void {
    for (const { offset, length } of this.#inWork.ranges()) map.mark(offset, length);
  }

  /** Waits until nothing is in work. */
  async waitIdle(): Promise<void> {
    await this.#inWork.waitEmpty();
  }

  async #copy(task: DirtyArea): Promise<readonly CopiedPiece[]> {
    const pieces: CopiedPiece[] = [];
    const end = task.offset + task.length;
    for (let at = task.offset; at < end;) {
      const found = await this.#reading(() => this.source.extent(at, end - at));
      const { offset, length, kind } = found;
      if (kind === "data") await this.#copyData(offset, length);
      else if (this.#options.isTargetZero !== true) {
        await this.#writing(() => this.target.zero(offset, length));
      }
      pieces.push({ offset, length, kind });
      at += length;
    }
    return pieces;
  }

  async #copyData(offset: number, length: number): Promise<void> {
    const { source, target } = this;
    try {
      const copying = target.copyRange?.(source, offset, offset, length);
      if (copying !== undefined) return await copying;
    } catch {
      // Which side failed is not told: the two steps below tell, if it fails again.
    }
    await copyPieces(length, {
      read: (done, bytes) => this.#reading(() => source.read(offset + done, bytes)),
      write: (done, bytes) => this.#writing(() => target.write(offset + done, bytes)),
    });
  }

  async #reading<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      throw new BlockCopyError(true, this.source, error);
    }
  }

  async #writing(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      throw new BlockCopyError(false, this.target, error);
    }
  }
}
