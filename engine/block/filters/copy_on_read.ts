/**
 * Copy-on-read: what lies below a layer and is read through it is copied into it.
 *
 * ```text
 * reader --> CopyOnRead --(copied, unless it was there)--> layer --> its backing chain
 * writer --> CopyOnRead --(waits for copies of its clusters)--> layer
 * job    --> pull(range): the same copy, and its failure is told
 * ```
 *
 * - A copy is alone with its clusters: a write that comes meanwhile waits, one that came before is
 *   waited for, and what it wrote is not copied over.
 * - Bytes never change by it, only the layer in which they lie.
 * - A reader never fails because of a copy: it reads what is below.
 *
 * May be used by drivers and by whoever builds graphs of nodes. Source: QEMU 7.2
 * block/copy-on-read.c; block/io.c bdrv_co_do_copy_on_readv.
 */

import { copyPieces } from "../copy.ts";
import { type BlockNode, writeCompressedTo } from "../node.ts";
import { type ListedRange, RangeList } from "../range_list.ts";
import { FilterNode } from "./filter_node.ts";

/** What is to be done with the beginning of a range. */
export interface PullExtent {
  /** Bytes, 1 or more. */
  readonly length: number;
  /** `data`: copy them. `zero`: make them zero. `none`: they are there, or are to stay below. */
  readonly kind: "data" | "zero" | "none";
}

/** How bytes are copied up. */
export interface CopyOnReadOptions {
  /** Says what is to be copied, as things are now. */
  readonly look: (offset: number, length: number) => Promise<PullExtent>;
  /** Bytes that the layer gives out at once: 1 or more. */
  readonly cluster: number;
}

/** A filter that copies up what is read through it. */
export class CopyOnRead extends FilterNode {
  readonly #options: CopyOnReadOptions;
  readonly #inWork = new RangeList();
  readonly #writes = new RangeList();
  #isOver = false;

  /**
   * @param child the layer; read through its chain, written itself
   * @param options see there
   */
  constructor(child: BlockNode, options: CopyOnReadOptions) {
    super(child);
    this.#options = options;
  }

  /** Readers have nothing copied any more. */
  stop(): void {
    this.#isOver = true;
  }

  /**
   * Copies up what is to be copied of the clusters of a range.
   *
   * @throws {BlockError} when the chain cannot be read or the layer cannot be written
   */
  async pull(offset: number, length: number): Promise<void> {
    const range = this.#clusters(offset, length);
    if (range.length === 0) return;
    await this.#inWork.enter(range);
    try {
      await this.#writes.waitFree(range.offset, range.length);
      await this.#copy(range);
    } finally {
      this.#inWork.remove(range);
    }
  }

  /** Resolves when no copy is in flight. */
  async idle(): Promise<void> {
    await this.#inWork.waitEmpty();
  }

  /** {@inheritDoc BlockNode.read} */
  override async read(offset: number, bytes: Uint8Array): Promise<void> {
    if (!this.#isOver && this.#isInside(offset, bytes.byteLength)) {
      try {
        await this.pull(offset, bytes.byteLength);
      } catch {
        // The bytes are where they were; reading them says what is wrong, if anything is.
      }
    }
    await super.read(offset, bytes);
  }

  /** {@inheritDoc BlockNode.write} */
  override async write(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#apart(offset, bytes.byteLength, () => super.write(offset, bytes));
  }

  /** That of the child. */
  get canCompress(): boolean {
    return this.child.canCompress === true;
  }

  /** {@inheritDoc BlockNode.writeCompressed} */
  async writeCompressed(offset: number, bytes: Uint8Array): Promise<void> {
    const write = () => writeCompressedTo(this.child, offset, bytes);
    await this.#apart(offset, bytes.byteLength, write);
  }

  /** {@inheritDoc BlockNode.zero} */
  override async zero(offset: number, length: number): Promise<void> {
    await this.#apart(offset, length, () => super.zero(offset, length));
  }

  /** {@inheritDoc BlockNode.discard} */
  override async discard(offset: number, length: number): Promise<void> {
    await this.#apart(offset, length, () => super.discard(offset, length));
  }

  /** {@inheritDoc BlockNode.truncate} */
  override async truncate(size: number): Promise<void> {
    await this.#apart(0, Math.max(size, this.size), () => super.truncate(size));
  }

  /** Runs a change while nothing is copied there. */
  async #apart(offset: number, length: number, change: () => Promise<void>): Promise<void> {
    // A range that does not lie inside is refused below, and changes nothing.
    if (length <= 0 || offset < 0) return await change();
    const range = this.#clusters(offset, length);
    // The last look and the entry are one turn, so that no copy comes in between.
    while (this.#inWork.firstOverlap(range.offset, range.length) !== undefined) {
      await this.#inWork.waitOne(range.offset, range.length);
    }
    this.#writes.add(range);
    try {
      await change();
    } finally {
      this.#writes.remove(range);
    }
  }

  async #copy({ offset, length }: ListedRange): Promise<void> {
    const end = offset + length;
    for (let at = offset; at < end;) {
      const found = await this.#options.look(at, end - at);
      if (found.kind === "zero") await super.zero(at, found.length);
      else if (found.kind === "data") await this.#copyData(at, found.length);
      at += found.length;
    }
  }

  async #copyData(offset: number, length: number): Promise<void> {
    await copyPieces(length, {
      read: (at, bytes) => super.read(offset + at, bytes),
      write: (at, bytes) => super.write(offset + at, bytes),
    });
  }

  #isInside(offset: number, length: number): boolean {
    return length > 0 && offset >= 0 && offset + length <= this.size;
  }

  /** Whole clusters, but for the one that the layer ends in. */
  #clusters(offset: number, length: number): ListedRange {
    const { cluster } = this.#options;
    const first = Math.floor(offset / cluster) * cluster;
    const end = Math.ceil((offset + length) / cluster) * cluster;
    return { offset: first, length: Math.max(0, Math.min(end, this.size) - first) };
  }
}
