/**
 * Copy-before-write: the old bytes of a cluster reach the target before a writer changes them.
 *
 * ```text
 * writer --> CopyBeforeWrite --(copied? then)--> child
 *                  |                              |
 *                  '---- BlockCopy: old bytes --> target
 * ```
 *
 * - So the target becomes the source as it was when the filter was put in, whatever is written. Put
 *   it in while the edges above are drained, with a copy whose source is the child.
 * - A write waits for the copy of its clusters, by whomever. It is not slowed otherwise.
 * - Once the snapshot is broken nothing is copied any more and nothing can be read of it.
 *
 * May be used by drivers and by whoever builds graphs of nodes.
 * Source: QEMU 7.2 block/copy-before-write.c.
 */

import type { BlockCopy } from "../block_copy.ts";
import type { BlockNode, LentRange, Loan } from "../node.ts";
import { type ListedRange, RangeList } from "../range_list.ts";
import { FilterNode } from "./filter_node.ts";

/** What happens to a write whose old bytes cannot be copied. */
export type OnCbwError = "break-guest-write" | "break-snapshot";

/** How writers are forestalled. */
export interface CopyBeforeWriteOptions {
  /** The copy; its source is the child of the filter, or leads to the same bytes. */
  readonly copy: BlockCopy;
  /** @default break-guest-write: the write fails, the snapshot stays whole */
  readonly onCbwError?: OnCbwError;
  /** Called once, when a failed copy has broken the snapshot. */
  readonly onBroken?: (error: unknown) => void;
}

/** A filter that copies old bytes away before they change. */
export class CopyBeforeWrite extends FilterNode {
  readonly #options: CopyBeforeWriteOptions;
  readonly #frozen = new RangeList();
  #snapshotError: unknown;

  /**
   * @param child what is shown and written
   * @param options the copy and what happens to writes when it fails
   */
  constructor(child: BlockNode, options: CopyBeforeWriteOptions) {
    super(child);
    this.#options = options;
  }

  /** The copy. */
  get copy(): BlockCopy {
    return this.#options.copy;
  }

  /** What broke the snapshot; undefined while it is whole. */
  get snapshotError(): unknown {
    return this.#snapshotError;
  }

  /** {@inheritDoc BlockNode.write} */
  override async write(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#forestall(offset, bytes.byteLength);
    await super.write(offset, bytes);
  }

  /** {@inheritDoc BlockNode.zero} */
  override async zero(offset: number, length: number): Promise<void> {
    await this.#forestall(offset, length);
    await super.zero(offset, length);
  }

  /** {@inheritDoc BlockNode.discard} */
  override async discard(offset: number, length: number): Promise<void> {
    await this.#forestall(offset, length);
    await super.discard(offset, length);
  }

  /** {@inheritDoc BlockNode.truncate} What is cut off is copied first. */
  override async truncate(size: number): Promise<void> {
    const end = Math.min(this.size, this.copy.source.size);
    if (size < end) await this.#forestall(size, end - size);
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

  /** Runs `read` while writes to the range wait: what it finds in the child is the old state. */
  async frozen<T>(range: ListedRange, read: () => Promise<T>): Promise<T> {
    this.#frozen.add(range);
    try {
      return await read();
    } finally {
      this.#frozen.remove(range);
    }
  }

  async #forestall(offset: number, length: number): Promise<void> {
    // A range that does not lie inside is refused below, and overwrites nothing.
    if (length <= 0 || offset < 0 || offset + length > this.size) return;
    if (this.#snapshotError === undefined) await this.#copyOld(offset, length);
    await this.#frozen.waitFree(offset, length);
  }

  async #copyOld(offset: number, length: number): Promise<void> {
    const inside = Math.min(length, this.copy.source.size - offset);
    if (inside <= 0) return;
    try {
      await this.copy.copyBeforeWrite(offset, inside);
    } catch (error) {
      if (this.#options.onCbwError !== "break-snapshot") throw error;
      if (this.#snapshotError !== undefined) return;
      this.#snapshotError = error;
      this.#options.onBroken?.(error);
    }
  }
}
