/**
 * The filter above the source of a mirror.
 *
 * - No write passes it without a bit that says so, or without reaching the target, too.
 * - It decides nothing about the job: `MirrorState` holds what both know.
 *
 * May be used by drivers and by whoever builds graphs of nodes.
 */

import type { MirrorState } from "../mirror_state.ts";
import type { BlockNode, LentRange, Loan } from "../node.ts";
import { FilterNode } from "./filter_node.ts";

/**
 * Sits above the source of a mirror and tells it of every write, or brings the write to the target.
 *
 * - In the background the bits are set when the write has settled, also if it failed.
 * - While writes are blocking, a write is acknowledged when both have it; it waits for copies of
 *   the same granules. A failing target does not fail the writer: the range is dirty again, and the
 *   job is told.
 *
 * Differs from QEMU: a discard is only noted, never passed on to the target, since what a discarded
 * range reads as may differ from node to node. The job then copies what the source shows.
 * Source: QEMU 7.2 block/mirror.c bdrv_mirror_top_do_write, do_sync_target_write.
 */
export class MirrorTop extends FilterNode {
  /** The mirror. */
  readonly mirror: MirrorState;

  /**
   * @param child the source
   * @param mirror the mirror's state
   */
  constructor(child: BlockNode, mirror: MirrorState) {
    super(child);
    this.mirror = mirror;
  }

  /** {@inheritDoc BlockNode.write} */
  override async write(offset: number, bytes: Uint8Array): Promise<void> {
    const { target } = this.mirror;
    await this.#both(offset, bytes.byteLength, () => super.write(offset, bytes), (at, length) => {
      return target.write(at, bytes.subarray(at - offset, at - offset + length));
    });
  }

  /** {@inheritDoc BlockNode.zero} */
  override async zero(offset: number, length: number): Promise<void> {
    const { target } = this.mirror;
    await this.#both(
      offset,
      length,
      () => super.zero(offset, length),
      (at, count) => target.zero(at, count),
    );
  }

  /** {@inheritDoc BlockNode.discard} */
  override async discard(offset: number, length: number): Promise<void> {
    await this.#noting(offset, length, () => super.discard(offset, length));
  }

  /** {@inheritDoc BlockNode.truncate} The mirror does not follow: it finds that sizes differ. */
  override async truncate(size: number): Promise<void> {
    await super.truncate(size);
  }

  /** {@inheritDoc BlockNode.lend} */
  lend(
    offset: number,
    length: number,
    use: (range: LentRange) => Promise<void>,
  ): Promise<Loan> {
    return this.lendChild(offset, length, use);
  }

  async #both(
    offset: number,
    length: number,
    onSource: () => Promise<void>,
    onTarget: (offset: number, length: number) => Promise<void>,
  ): Promise<void> {
    const { mirror } = this;
    if (!mirror.isBlocking || !this.#isInside(offset, length)) {
      return await this.#noting(offset, length, onSource);
    }
    await mirror.alone(offset, length, async () => {
      try {
        await onSource();
      } catch (error) {
        // Nobody knows how much of it was written.
        mirror.note(offset, length);
        throw error;
      }
      if (mirror.isBlocking) await mirror.follow(offset, length, onTarget);
      else mirror.note(offset, length);
    });
  }

  async #noting(offset: number, length: number, change: () => Promise<void>): Promise<void> {
    try {
      await change();
    } finally {
      if (this.#isInside(offset, length)) this.mirror.note(offset, length);
    }
  }

  #isInside(offset: number, length: number): boolean {
    return length > 0 && offset >= 0 && offset + length <= this.mirror.bitmap.size;
  }
}
