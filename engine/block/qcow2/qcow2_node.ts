/**
 * The node of a qcow2 image.
 *
 * - Reads of the same cluster run side by side; whoever changes a cluster is alone with it.
 * - The node owns its file and its backing chain and closes both.
 *
 * Made by `openQcow2`; the others know the node interface alone.
 */

import { BlockError } from "../errors.ts";
import { type BlockNode, checkRange, checkWritable, type Extent } from "../node.ts";
import { unsupported } from "./failures.ts";
import { checkMayWrite, type Qcow2Header } from "./header.ts";
import { Qcow2Image } from "./image.ts";
import { RangeLock } from "./range_lock.ts";
import { chainExtent, type LayerExtent, layerExtent, readImage } from "./reader.ts";

/** What a node is made of, beside its file. */
export interface Qcow2Parts {
  /** True if it may not be written. */
  readonly isReadOnly: boolean;
  /** What shows through where nothing is allocated. */
  readonly backing?: BlockNode | undefined;
}

/** A qcow2 image with its backing chain. */
export class Qcow2Node implements BlockNode {
  /** True if writes are refused with EBADF. */
  readonly isReadOnly: boolean;
  readonly #image: Qcow2Image;
  readonly #lock = new RangeLock();
  #isClosed = false;

  private constructor(image: Qcow2Image, isReadOnly: boolean) {
    this.#image = image;
    this.isReadOnly = isReadOnly;
  }

  /** Makes a node of an opened file. The file stays the caller's if this fails. */
  static async over(file: BlockNode, header: Qcow2Header, parts: Qcow2Parts): Promise<Qcow2Node> {
    if (!parts.isReadOnly) {
      checkMayWrite(file.name, header);
      throw unsupported(file.name, "writing");
    }
    const image = await Qcow2Image.load(file, header, parts.backing);
    return new Qcow2Node(image, parts.isReadOnly);
  }

  /** The path as it was given. */
  get name(): string {
    return this.#image.name;
  }

  /** That of the file, marked, since the bytes seen here are not those of the file. */
  get identity(): string {
    return `qcow2 in ${this.#image.file.identity}`;
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
  write(_offset: number, _bytes: Uint8Array): Promise<void> {
    return this.#refuse();
  }

  /** {@inheritDoc BlockNode.zero} */
  zero(_offset: number, _length: number): Promise<void> {
    return this.#refuse();
  }

  /** {@inheritDoc BlockNode.discard} */
  discard(_offset: number, _length: number): Promise<void> {
    return this.#refuse();
  }

  /** {@inheritDoc BlockNode.truncate} */
  truncate(_size: number): Promise<void> {
    return this.#refuse();
  }

  /** Nothing to do for an image that is only read. */
  flush(): Promise<void> {
    return Promise.resolve();
  }

  /** {@inheritDoc BlockNode.extent} */
  async extent(offset: number, length: number): Promise<Extent> {
    checkRange(this, "read", offset, length);
    const work = () => chainExtent(this.#image, offset, length);
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
    const own = await this.#image.file.stamp();
    const below = this.#image.backing === undefined ? "" : await this.#image.backing.stamp();
    return own === undefined || below === undefined ? undefined : `${own} ${below}`.trim();
  }

  /** {@inheritDoc BlockNode.close} */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#lock.runAlone(() => Promise.resolve());
    await this.#image.file.close();
    await this.#image.backing?.close();
  }

  #refuse(): Promise<void> {
    checkWritable(this, "write");
    return Promise.resolve();
  }

  async #during<T>(
    operation: "read" | "write",
    range: readonly [offset: number, length: number],
    work: () => Promise<T>,
  ): Promise<T> {
    if (this.#isClosed) {
      throw new BlockError("EBADF", `Cannot ${operation} "${this.name}": it is closed`, {
        operation,
        subject: this.name,
      });
    }
    const { clusterSize } = this.#image.geometry;
    const first = Math.floor(range[0] / clusterSize);
    const last = Math.floor(Math.max(range[0], range[0] + range[1] - 1) / clusterSize);
    return await this.#lock.run({ first, last, isExclusive: operation === "write" }, work);
  }
}
