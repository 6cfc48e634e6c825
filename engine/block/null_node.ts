/**
 * The null node: a size and nothing behind it.
 *
 * May be used by whoever opens images. Source: QEMU 7.2 block/null.c, driver null-co.
 */

import { BlockError } from "./errors.ts";
import { type BlockNode, checkRange, checkWritable, type Extent } from "./node.ts";

/** What a null node shows. */
export interface NullOptions {
  /** How texts name it. @default `null-co://` */
  readonly name?: string;
  /** Bytes. @default 1 GiB */
  readonly size?: number;
  /** True if its map says that it reads as zeros. @default false */
  readonly readZeroes?: boolean;
  /** True if writes are refused. @default false */
  readonly readOnly?: boolean;
}

/** Size of a null node of which nothing is said: 1 GiB. */
export const NULL_SIZE_DEFAULT = 1_073_741_824;

/**
 * Reads as zeros; what is written vanishes.
 *
 * Differs from QEMU: without `readZeroes` QEMU leaves the reader's buffer as it was, which may hold
 * anything. Here it is filled with zeros in any case, and only the map differs.
 */
export class NullNode implements BlockNode {
  /** How texts name it. */
  readonly name: string;
  /** No two null nodes are the same bytes, since they keep none. */
  readonly identity: string;
  /** Bytes; cannot be changed. */
  readonly size: number;
  /** True if writes are refused. */
  readonly isReadOnly: boolean;
  /** True if its map says nothing of its bytes: then it holds none, as a layer without clusters. */
  readonly holdsNothing: boolean;
  readonly #readZeroes: boolean;
  #isClosed = false;

  static #count = 0;

  /** @throws {BlockError} EINVAL when the size is negative or not a safe integer */
  constructor(options: NullOptions = {}) {
    this.name = options.name ?? "null-co://";
    this.identity = `null ${NullNode.#count++}`;
    this.size = options.size ?? NULL_SIZE_DEFAULT;
    this.isReadOnly = options.readOnly ?? false;
    this.#readZeroes = options.readZeroes ?? false;
    this.holdsNothing = !this.#readZeroes;
    if (Number.isSafeInteger(this.size) && this.size >= 0) return;
    throw new BlockError(
      "EINVAL",
      `Cannot open "${this.name}": it cannot have ${this.size} bytes`,
      {
        operation: "open",
        subject: this.name,
      },
    );
  }

  /** Fills `bytes` with zeros. */
  read(offset: number, bytes: Uint8Array): Promise<void> {
    return this.#during("read", offset, bytes.byteLength, () => void bytes.fill(0));
  }

  /** Forgets the bytes. */
  write(offset: number, bytes: Uint8Array): Promise<void> {
    return this.#during("write", offset, bytes.byteLength, () => {});
  }

  /** Does nothing. */
  zero(offset: number, length: number): Promise<void> {
    return this.#during("write", offset, length, () => {});
  }

  /** Does nothing. */
  discard(offset: number, length: number): Promise<void> {
    return this.#during("write", offset, length, () => {});
  }

  /** Does nothing. */
  flush(): Promise<void> {
    return this.#during("read", 0, 0, () => {});
  }

  /** All of it is one piece: `zero` with `readZeroes`, else `data`. */
  extent(offset: number, length: number): Promise<Extent> {
    const kind = this.#readZeroes ? "zero" : "data";
    return this.#during("read", offset, length, () => ({ offset, length, kind }));
  }

  /** @throws {BlockError} ENOTSUP always */
  truncate(): Promise<void> {
    return Promise.reject(
      new BlockError("ENOTSUP", `Cannot resize "${this.name}": it is a null node`, {
        operation: "resize",
        subject: this.name,
      }),
    );
  }

  /** Its size. */
  measure(): Promise<number> {
    return Promise.resolve(this.size);
  }

  /** Nothing can change it. */
  stamp(): Promise<string | undefined> {
    return Promise.resolve("null");
  }

  /** After it nothing is read. */
  close(): Promise<void> {
    this.#isClosed = true;
    return Promise.resolve();
  }

  // deno-lint-ignore require-await -- failures are rejections, as with any node
  async #during<T>(
    operation: "read" | "write",
    offset: number,
    length: number,
    act: () => T,
  ): Promise<T> {
    if (operation === "write") checkWritable(this, "write");
    checkRange(this, operation, offset, length);
    if (!this.#isClosed) return act();
    throw new BlockError("EBADF", `Cannot ${operation} "${this.name}": it is closed`, {
      operation,
      subject: this.name,
    });
  }
}
