/**
 * The node of a qcow2 image.
 *
 * - Reads of the same cluster run side by side; whoever changes a cluster is alone with it.
 * - The node owns its file and its backing chain and closes both.
 *
 * Made by `openQcow2`; the others know the node interface alone.
 */

import type { BitmapSet } from "../bitmap_set.ts";
import { BlockError, type BlockOperation } from "../errors.ts";
import {
  type BlockNode,
  checkRange,
  checkWritable,
  type Extent,
  type LentRange,
  type Loan,
} from "../node.ts";
import { mendImage } from "./check.ts";
import { writeCompressed } from "./compressed_writer.ts";
import { INCOMPATIBLE } from "./layout.ts";
import { checkMayWrite, type Qcow2Header } from "./header.ts";
import { Qcow2Image } from "./image.ts";
import { NodeBitmaps } from "./node_bitmaps.ts";
import { RangeLock } from "./range_lock.ts";
import { chainExtent, type LayerExtent, layerExtent, lendRun, readImage } from "./reader.ts";
import { type BackingReference, writeBacking } from "./rebase.ts";
import { resizeImage } from "./resize.ts";
import { Qcow2Writer } from "./writer.ts";
import { discardRange, zeroRange } from "./zeroing.ts";

/** What a node is made of, beside its file. */
export interface Qcow2Parts {
  /** True if it may not be written. */
  readonly isReadOnly: boolean;
  /** What shows through where nothing is allocated. */
  readonly backing?: BlockNode | undefined;
  /** Its bitmaps, if it was open until a moment ago. @default none */
  readonly bitmaps?: BitmapSet | undefined;
}

/** A qcow2 image with its backing chain. */
export class Qcow2Node implements BlockNode {
  readonly #image: Qcow2Image;
  readonly #writer: Qcow2Writer | undefined;
  /** The bitmaps that the image keeps. */
  readonly kept: NodeBitmaps;
  readonly #lock = new RangeLock();
  #isClosed = false;

  private constructor(image: Qcow2Image, writer: Qcow2Writer | undefined, bitmaps?: BitmapSet) {
    this.#image = image;
    this.#writer = writer;
    this.kept = new NodeBitmaps(image, writer, this.#lock, bitmaps);
  }

  /** Makes a node of an opened file. The file stays the caller's if this fails. */
  static async over(file: BlockNode, header: Qcow2Header, parts: Qcow2Parts): Promise<Qcow2Node> {
    const image = await Qcow2Image.load(file, header, parts.backing);
    if (parts.isReadOnly) return new Qcow2Node(image, undefined, parts.bitmaps);
    checkMayWrite(file.name, header);
    if ((header.incompatible & INCOMPATIBLE.dirty) !== 0n) await mendImage(image);
    return new Qcow2Node(image, await Qcow2Writer.open(image), parts.bitmaps);
  }

  /** The path as it was given. */
  get name(): string {
    return this.#image.name;
  }

  /** That of the file, marked, since the bytes seen here are not those of the file. */
  get identity(): string {
    return `qcow2 in ${this.#image.file.identity}`;
  }

  /** True if writes are refused with EBADF. */
  get isReadOnly(): boolean {
    return this.#writer === undefined;
  }

  /** Bytes that a guest sees. */
  get size(): number {
    return this.#image.size;
  }

  /** What the header says. */
  get header(): Qcow2Header {
    return this.#image.header;
  }

  /** The next image of the chain. */
  get backing(): BlockNode | undefined {
    return this.#image.backing;
  }

  /** Its bitmaps; those that the image keeps are among them once `kept` has loaded them. */
  get bitmaps(): BitmapSet {
    return this.kept.bitmaps;
  }

  /** {@inheritDoc BlockNode.read} */
  async read(offset: number, bytes: Uint8Array): Promise<void> {
    checkRange(this, "read", offset, bytes.byteLength);
    await this.#during(
      "read",
      [offset, bytes.byteLength],
      () => readImage(this.#image, offset, bytes),
    );
  }

  /** {@inheritDoc BlockNode.write} */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    const range = [offset, bytes.byteLength] as const;
    await this.#change(range, (writer) => writer.write(offset, bytes));
  }

  /** True: the format can. */
  readonly canCompress = true;

  /** {@inheritDoc BlockNode.writeCompressed} */
  async writeCompressed(offset: number, bytes: Uint8Array): Promise<void> {
    const range = [offset, bytes.byteLength] as const;
    await this.#change(range, (writer) => writeCompressed(writer, offset, bytes));
  }

  /** Makes a range read as zeros: by table entries for whole clusters, by bytes for the rest. */
  async zero(offset: number, length: number): Promise<void> {
    await this.#change([offset, length], (writer) => zeroRange(writer, offset, length));
  }

  /**
   * Lets go of the whole clusters of a range; they then read as zeros. In version 2 nothing is done
   * where a backing file would show through.
   */
  async discard(offset: number, length: number): Promise<void> {
    await this.#change([offset, length], (writer) => discardRange(writer, offset, length));
  }

  /** Changes the size; growing adds zeros, also where a longer backing file would show through. */
  async truncate(size: number): Promise<void> {
    this.#checkOpen("resize");
    const writer = this.#writable("resize");
    await this.kept.resize(size, () => resizeImage(writer, size));
  }

  /**
   * Makes the header name another backing file, or none. What was written before is durable first;
   * the change is durable when this resolves. What shows through stays: see `replaceBacking`.
   *
   * @throws {BlockError} EINVAL when the name is too long for the first cluster
   */
  async setBacking(reference: BackingReference | undefined): Promise<void> {
    this.#checkOpen("write");
    const writer = this.#writable("write");
    await this.#lock.runAlone(async () => {
      await writer.begin();
      await writer.committer.commit();
      await writer.committer.alone(() => writeBacking(writer, reference));
    });
  }

  /**
   * Shows another node where nothing is allocated, or zeros, at a moment without requests.
   *
   * @returns the node before, which stays open and is the caller's
   */
  async replaceBacking(backing: BlockNode | undefined): Promise<BlockNode | undefined> {
    let before: BlockNode | undefined;
    await this.#lock.runAlone(() => {
      before = this.#image.backing;
      this.#image.backing = backing;
      return Promise.resolve();
    });
    return before;
  }

  /** Runs `work` while no request is on its way in this image; those that come wait for it. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    return await this.#lock.runAlone(work);
  }

  /** Writes all tables in their order and flushes the file after each step. */
  async flush(): Promise<void> {
    this.#checkOpen("flush");
    await this.#writer?.committer.commit();
  }

  /** {@inheritDoc BlockNode.extent} */
  async extent(offset: number, length: number): Promise<Extent> {
    checkRange(this, "read", offset, length);
    const work = () => chainExtent(this.#image, offset, length);
    return await this.#during("read", [offset, length], work);
  }

  /** Lends clusters that lie plainly in the file, and what the backing file shows. */
  async lend(
    offset: number,
    length: number,
    use: (range: LentRange) => Promise<void>,
  ): Promise<Loan> {
    checkRange(this, "read", offset, length);
    const work = () => lendRun(this.#image, offset, length, use);
    return await this.#during("read", [offset, length], work);
  }

  /** What is known about a range in this image alone, without its backing chain. */
  async layerExtent(offset: number, length: number): Promise<LayerExtent> {
    checkRange(this, "read", offset, length);
    const work = () => layerExtent(this.#image, offset, length);
    return await this.#during("read", [offset, length], work);
  }

  /** The size of the image; rejects if its file is gone. */
  async measure(): Promise<number> {
    await this.#image.file.measure();
    return this.size;
  }

  /** Those of all files of the chain; undefined if one of them has none. */
  async stamp(): Promise<string | undefined> {
    // What is still in memory is a change, too.
    if (this.#writer?.committer.hasChanges === true) await this.#writer.committer.commit();
    const own = await this.#image.file.stamp();
    const below = this.#image.backing === undefined ? "" : await this.#image.backing.stamp();
    return own === undefined || below === undefined ? undefined : `${own} ${below}`.trim();
  }

  /** {@inheritDoc BlockNode.rest} */
  async rest(): Promise<void> {
    await this.#image.file.rest?.();
    await this.#image.backing?.rest?.();
  }

  /** Writes what is in memory, cuts off what the file has too much, and closes the chain. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      await this.#lock.runAlone(() => this.#finish());
    } finally {
      await this.#image.file.close();
      await this.#image.backing?.close();
    }
  }

  async #finish(): Promise<void> {
    const writer = this.#writer;
    const stored = this.kept.store();
    const failure = await stored.then(() => undefined, (error: unknown) => ({ error }));
    if (writer === undefined) return await stored;
    writer.packed.packers.end();
    if (writer.committer.hasChanges) await writer.committer.commitAll();
    const { file } = this.#image;
    if (file.size > writer.allocator.fileEnd) await file.truncate(writer.allocator.fileEnd);
    if (failure !== undefined) throw failure.error;
  }

  #writable(operation: "write" | "resize"): Qcow2Writer {
    checkWritable(this, operation);
    if (this.#writer === undefined) throw new Error(`Expected a writer of "${this.name}"`);
    return this.#writer;
  }

  async #change(
    range: readonly [offset: number, length: number],
    work: (writer: Qcow2Writer) => Promise<void>,
  ): Promise<void> {
    this.#checkOpen("write");
    const writer = this.#writable("write");
    checkRange(this, "write", ...range);
    try {
      await this.#during("write", range, () => work(writer));
    } finally {
      this.bitmaps.note(...range);
    }
  }

  #checkOpen(operation: BlockOperation): void {
    if (!this.#isClosed) return;
    throw new BlockError("EBADF", `Cannot ${operation} "${this.name}": it is closed`, {
      operation,
      subject: this.name,
    });
  }

  async #during<T>(
    operation: "read" | "write",
    range: readonly [offset: number, length: number],
    work: () => Promise<T>,
  ): Promise<T> {
    this.#checkOpen(operation);
    if (range[1] === 0) return await work();
    const { clusterSize } = this.#image.geometry;
    const first = Math.floor(range[0] / clusterSize);
    const last = Math.floor((range[0] + range[1] - 1) / clusterSize);
    return await this.#lock.run({ first, last, isExclusive: operation === "write" }, work);
  }
}
