import { BitmapSet } from "../bitmap_set.ts";
import { type BlockNode, type LentRange, type Loan, writeCompressedTo } from "../node.ts";
import { FilterNode } from "./filter_node.ts";

/**
 * Tells the bitmaps of a node of every change that goes through.
 *
 * A range is noted when its write has settled, also if it failed: so whoever resets a bit first and
 * reads the bytes afterwards either gets what was written, or finds the bit set again. Whoever
 * needs a moment that parts the writes puts the bitmap in while the edges above are drained.
 *
 * Costs nothing but a call while there are no bitmaps; so a graph may lay one over every node.
 */
export class TrackedNode extends FilterNode {
  /** The bitmaps that are told. */
  readonly bitmaps: BitmapSet;

  /**
   * @param child the node
   * @param bitmaps those of the node, if it had some before
   */
  constructor(child: BlockNode, bitmaps: BitmapSet = new BitmapSet(child.size)) {
    super(child);
    this.bitmaps = bitmaps;
  }

  /** {@inheritDoc BlockNode.write} */
  override write(offset: number, bytes: Uint8Array): Promise<void> {
    return this.#noting(offset, bytes.byteLength, () => super.write(offset, bytes));
  }

  /** That of the child. */
  get canCompress(): boolean {
    return this.child.canCompress === true;
  }

  /** {@inheritDoc BlockNode.writeCompressed} */
  writeCompressed(offset: number, bytes: Uint8Array): Promise<void> {
    const write = () => writeCompressedTo(this.child, offset, bytes);
    return this.#noting(offset, bytes.byteLength, write);
  }

  /** {@inheritDoc BlockNode.zero} */
  override zero(offset: number, length: number): Promise<void> {
    return this.#noting(offset, length, () => super.zero(offset, length));
  }

  /** {@inheritDoc BlockNode.discard} */
  override discard(offset: number, length: number): Promise<void> {
    return this.#noting(offset, length, () => super.discard(offset, length));
  }

  /** {@inheritDoc BlockNode.truncate} */
  override async truncate(size: number): Promise<void> {
    await super.truncate(size);
    this.bitmaps.resize(size);
  }

  /** {@inheritDoc BlockNode.copyRange} */
  copyRange(
    source: BlockNode,
    from: number,
    to: number,
    length: number,
  ): Promise<void> | undefined {
    const copying = this.child.copyRange?.(source, from, to, length);
    return copying === undefined ? undefined : this.#noting(to, length, () => copying);
  }

  /** {@inheritDoc BlockNode.lend} */
  lend(
    offset: number,
    length: number,
    use: (range: LentRange) => Promise<void>,
  ): Promise<Loan> {
    return this.lendChild(offset, length, use);
  }

  async #noting(offset: number, length: number, change: () => Promise<void>): Promise<void> {
    try {
      await change();
    } finally {
      // A range that does not lie inside was refused, and changed nothing.
      if (offset >= 0 && offset + length <= this.size) this.bitmaps.note(offset, length);
    }
  }
}
