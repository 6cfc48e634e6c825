/**
 * The raw format: the bytes of another node as they are, or a window over them.
 *
 * - Offsets are those of the node below, moved by a constant; nothing is kept or remembered here.
 * - The window owns the node below and closes it.
 *
 * May be used by whoever opens images. Source: QEMU 7.2 block/raw-format.c.
 */

import type { BlockNode, Extent, LentRange, Loan } from "./node.ts";
import { checkRange } from "./node.ts";
import { BlockError } from "./errors.ts";

/** Which part of the node below is shown. */
export interface RawWindow {
  /** First byte of the node below. @default 0 */
  readonly offset?: number;
  /** Bytes shown. @default all from `offset` to the end of the node below */
  readonly size?: number;
}

/**
 * A window over another node: the raw format, which is the bytes themselves.
 *
 * ```text
 * below   |--------|=================|-------|
 *                  offset            offset + size
 * window           0                 size
 * ```
 *
 * Owns the node below: `close` closes it. A window that was given a size cannot be resized.
 * Source: QEMU 7.2 block/raw-format.c, options offset and size.
 */
export class RawNode implements BlockNode {
  readonly #below: BlockNode;
  readonly #offset: number;
  readonly #isFixed: boolean;
  #size: number;

  /**
   * @param below the node that is shown
   * @param window which part of it
   * @throws {BlockError} EINVAL when the window does not lie inside the node below
   */
  constructor(below: BlockNode, window: RawWindow = {}) {
    this.#below = below;
    this.#offset = window.offset ?? 0;
    this.#isFixed = window.size !== undefined;
    checkRange(below, "read", this.#offset, 0);
    this.#size = window.size ?? below.size - this.#offset;
    checkRange(below, "read", this.#offset, this.#size);
  }

  /** Name of the node below. */
  get name(): string {
    return this.#below.name;
  }

  /** Identity of the node below, and of the window if it is not all of it. */
  get identity(): string {
    const isWhole = this.#offset === 0 && this.#size === this.#below.size;
    return isWhole ? this.#below.identity : `${this.#below.identity}+${this.#offset}`;
  }

  /** Bytes shown. */
  get size(): number {
    return this.#size;
  }

  /** True if the node below is read-only. */
  get isReadOnly(): boolean {
    return this.#below.isReadOnly;
  }

  /** Lends the node below, where the window lies in it. */
  async lend(
    offset: number,
    length: number,
    use: (range: LentRange) => Promise<void>,
  ): Promise<Loan> {
    checkRange(this, "read", offset, length);
    this.#below.debugEvent?.("read_aio");
    await use({ node: this.#below, offset: this.#offset + offset, length });
    return { length, isUsed: true };
  }

  /** {@inheritDoc BlockNode.read} */
  async read(offset: number, bytes: Uint8Array): Promise<void> {
    checkRange(this, "read", offset, bytes.byteLength);
    this.#below.debugEvent?.("read_aio");
    await this.#below.read(this.#offset + offset, bytes);
  }

  /** {@inheritDoc BlockNode.write} */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    checkRange(this, "write", offset, bytes.byteLength);
    this.#below.debugEvent?.("write_aio");
    await this.#below.write(this.#offset + offset, bytes);
  }

  /** {@inheritDoc BlockNode.zero} */
  async zero(offset: number, length: number): Promise<void> {
    checkRange(this, "write", offset, length);
    await this.#below.zero(this.#offset + offset, length);
  }

  /** {@inheritDoc BlockNode.discard} */
  async discard(offset: number, length: number): Promise<void> {
    checkRange(this, "write", offset, length);
    await this.#below.discard(this.#offset + offset, length);
  }

  /** {@inheritDoc BlockNode.flush} */
  async flush(): Promise<void> {
    this.#below.debugEvent?.("flush_to_os");
    this.#below.debugEvent?.("flush_to_disk");
    await this.#below.flush();
  }

  /** {@inheritDoc BlockNode.extent} */
  async extent(offset: number, length: number): Promise<Extent> {
    checkRange(this, "read", offset, length);
    const found = await this.#below.extent(this.#offset + offset, length);
    return { ...found, offset };
  }

  /**
   * {@inheritDoc BlockNode.truncate}
   *
   * @throws {BlockError} EINVAL when the window was given a size
   */
  async truncate(size: number): Promise<void> {
    if (this.#isFixed) {
      throw new BlockError("EINVAL", `Cannot resize "${this.name}": its window has a fixed size`, {
        operation: "resize",
        subject: this.name,
      });
    }
    await this.#below.truncate(this.#offset + size);
    this.#size = size;
  }

  /** {@inheritDoc BlockNode.measure} */
  async measure(): Promise<number> {
    const room = Math.max(0, await this.#below.measure() - this.#offset);
    return this.#isFixed ? Math.min(this.#size, room) : room;
  }

  /** {@inheritDoc BlockNode.stamp} */
  async stamp(): Promise<string | undefined> {
    return await this.#below.stamp();
  }

  /** {@inheritDoc BlockNode.copyRange} */
  copyRange(
    source: BlockNode,
    from: number,
    to: number,
    length: number,
  ): Promise<void> | undefined {
    checkRange(this, "write", to, length);
    return this.#below.copyRange?.(source, from, this.#offset + to, length);
  }

  /** {@inheritDoc BlockNode.rest} */
  async rest(): Promise<void> {
    await this.#below.rest?.();
  }

  /** {@inheritDoc BlockNode.close} */
  async close(): Promise<void> {
    await this.#below.close();
  }
}
