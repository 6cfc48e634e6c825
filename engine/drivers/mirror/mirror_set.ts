/**
 * The books of a mirror: what is dirty and in work (`MirrorState`), what is not flushed yet, where
 * a target that was blank may hold something by now, and what writers brought to the target
 * themselves.
 *
 * - Everything that is written to the target goes through a filter of this file, so that the books
 *   are right whoever writes: the job's copies, or writers while writes are blocking.
 *
 * Used by the files of this folder. Source: QEMU 7.2 block/mirror.c MirrorBlockJob.
 */

import { DirtyMap } from "../../block/dirty_map.ts";
import { FilterNode } from "../../block/filters/filter_node.ts";
import { MirrorTop } from "../../block/filters/mirror_top.ts";
import { type MirrorCopyMode, MirrorState } from "../../block/mirror_state.ts";
import { BlockError } from "../../block/errors.ts";
import type { BlockNode } from "../../block/node.ts";

/** What a mirror is made of. */
export interface MirrorSetOptions {
  /** What is read: never through the filter that notes writes. */
  readonly source: BlockNode;
  /** What is written; at least of the same size. */
  readonly target: BlockNode;
  /** True if the target reads as zeros all over. */
  readonly isTargetBlank: boolean;
  /** True if writers may bring only whole granules to the target. @default false */
  readonly isTargetDetached?: boolean;
  /** Bytes of one dirty bit. */
  readonly granularity: number;
  /** Whether writers wait for the target. */
  readonly copyMode: MirrorCopyMode;
  /** Called when the target failed under a writer. */
  readonly onTargetError: (error: unknown) => void;
}

/** What writers brought to the target: from where to where, and how many bytes in all. */
export interface WrittenSpan {
  /** First byte. */
  offset: number;
  /** Byte after the last one. */
  end: number;
  /** Sum of the lengths. */
  bytes: number;
}

/** The target with an eye on what is written to it. */
class BookedTarget extends FilterNode {
  readonly #begin: (offset: number, length: number) => void;
  readonly #end: (offset: number, length: number) => void;

  constructor(
    child: BlockNode,
    begin: (offset: number, length: number) => void,
    end: (offset: number, length: number) => void,
  ) {
    super(child);
    this.#begin = begin;
    this.#end = end;
  }

  override async write(offset: number, bytes: Uint8Array): Promise<void> {
    this.#begin(offset, bytes.byteLength);
    await super.write(offset, bytes);
    this.#end(offset, bytes.byteLength);
  }

  override async zero(offset: number, length: number): Promise<void> {
    await super.zero(offset, length);
    this.#end(offset, length);
  }

  copyRange(
    source: BlockNode,
    from: number,
    to: number,
    length: number,
  ): Promise<void> | undefined {
    const copying = this.child.copyRange?.(source, from, to, length);
    if (copying === undefined) return undefined;
    this.#begin(to, length);
    return this.#booked(copying, to, length);
  }

  async #booked(copying: Promise<void>, to: number, length: number): Promise<void> {
    await copying;
    this.#end(to, length);
  }
}

/** The target under writers, who are let go when the job gives up a target that hangs. */
class WritersTarget extends FilterNode {
  readonly #done: (offset: number, length: number) => void;
  readonly #waiting = new Set<() => void>();

  constructor(child: BlockNode, done: (offset: number, length: number) => void) {
    super(child);
    this.#done = done;
  }

  override async write(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#unlessGivenUp(super.write(offset, bytes));
    this.#done(offset, bytes.byteLength);
  }

  override async zero(offset: number, length: number): Promise<void> {
    await this.#unlessGivenUp(super.zero(offset, length));
    this.#done(offset, length);
  }

  /** Nobody waits any more for what is under way. */
  giveUp(): void {
    for (const stop of this.#waiting) stop();
  }

  #unlessGivenUp(work: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = () => {
        reject(
          new BlockError("EINTR", `Cannot write "${this.name}": its job gave it up`, {
            operation: "write",
            subject: this.name,
          }),
        );
      };
      this.#waiting.add(stop);
      work.then(resolve, reject).then(() => this.#waiting.delete(stop));
    });
  }
}

/** The filter over the source, which also counts the changes that begin. */
export class SourceTap extends MirrorTop {
  #writeCount = 0;

  /** Changes of the source that were begun. */
  get writeCount(): number {
    return this.#writeCount;
  }

  /** {@inheritDoc BlockNode.write} */
  override write(offset: number, bytes: Uint8Array): Promise<void> {
    this.#writeCount++;
    return super.write(offset, bytes);
  }

  /** {@inheritDoc BlockNode.zero} */
  override zero(offset: number, length: number): Promise<void> {
    this.#writeCount++;
    return super.zero(offset, length);
  }

  /** {@inheritDoc BlockNode.discard} */
  override discard(offset: number, length: number): Promise<void> {
    this.#writeCount++;
    return super.discard(offset, length);
  }
}

/** See the head of this file. */
export class MirrorSet {
  /** What is read. */
  readonly source: BlockNode;
  /** What is written, with an eye on it. */
  readonly target: BlockNode;
  /** What is dirty and what is in work. */
  readonly state: MirrorState;
  readonly #writers: WritersTarget;
  #unflushed: DirtyMap;
  // Where a blank target may hold something by now; undefined = it was never blank.
  readonly #touched: DirtyMap | undefined;
  #failure: { readonly error: unknown } | undefined;
  #written: WrittenSpan | undefined;

  /** @param options see there */
  constructor(options: MirrorSetOptions) {
    const { source, target, granularity, copyMode, onTargetError } = options;
    const { size } = source;
    const touch = (offset: number, length: number) => this.#touched?.mark(offset, length);
    const end = (offset: number, length: number) => this.#unflushed.mark(offset, length);
    this.source = source;
    this.target = new BookedTarget(target, touch, end);
    this.#writers = new WritersTarget(this.target, (...range) => this.#noteWriter(...range));
    this.state = new MirrorState({
      target: this.#writers,
      size,
      granularity,
      copyMode,
      isWhole: options.isTargetDetached === true,
      onTargetError,
    });
    this.#unflushed = new DirtyMap(size, granularity);
    this.#touched = options.isTargetBlank ? new DirtyMap(size, granularity) : undefined;
  }

  /** Bytes that must still be copied, in whole granules; those in work do not count. */
  get dirtyBytes(): number {
    return this.state.bitmap.dirtyBytes;
  }

  /** The error that ends the job, once there is one. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure;
  }

  /** True if the job is to end with an error. */
  get isFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** Takes the error that ends the job; the first one counts. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.state.stop();
  }

  /** Nobody's write waits for the target any more. */
  detach(): void {
    this.state.stop();
    this.#writers.giveUp();
  }

  /** True if nobody has written to this range of a target that was blank. */
  isTargetZero(offset: number, length: number): boolean {
    if (this.#touched === undefined) return false;
    const next = this.#touched.next(offset, length);
    return next === undefined || next.offset >= offset + length;
  }

  /** Hands out what writers brought to the target since the last call. */
  takeWritten(): WrittenSpan | undefined {
    const written = this.#written;
    this.#written = undefined;
    return written;
  }

  /**
   * Flushes the target. After a failed flush the system may call pages clean that it never wrote:
   * everything since the last good one is dirty again.
   */
  async flush(): Promise<void> {
    const flushing = this.#unflushed;
    // What is written meanwhile belongs to the next flush.
    this.#unflushed = new DirtyMap(flushing.size, flushing.cluster);
    try {
      await this.target.flush();
    } catch (error) {
      for (const { offset, length } of flushing.areas()) this.state.note(offset, length);
      throw error;
    }
  }

  #noteWriter(offset: number, length: number): void {
    const span = this.#written ??= { offset, end: offset, bytes: 0 };
    span.offset = Math.min(span.offset, offset);
    span.end = Math.max(span.end, offset + length);
    span.bytes += length;
  }
}
