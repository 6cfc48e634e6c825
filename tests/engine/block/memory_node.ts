/** A node in memory whose accesses take as many turns as a seed says, for tests of concurrency. */

import { BlockError } from "../../../engine/block/errors.ts";
import {
  type BlockNode,
  checkRange,
  checkWritable,
  type Extent,
} from "../../../engine/block/node.ts";

/** How a node in memory behaves. */
export interface MemoryNodeOptions {
  /** @default `memory` */
  readonly name?: string;
  /** @default false */
  readonly isReadOnly?: boolean;
  /** Turns that an access takes before and after it touches the bytes. @default 2 each time */
  readonly turns?: () => number;
  /** Called before each access; may throw. */
  readonly before?: (access: string, offset: number, length: number) => void;
}

/** Bytes in memory. */
export class MemoryNode implements BlockNode {
  readonly name: string;
  readonly isReadOnly: boolean;
  readonly #options: MemoryNodeOptions;
  bytes: Uint8Array;
  flushCount = 0;
  isClosed = false;

  constructor(bytes: Uint8Array, options: MemoryNodeOptions = {}) {
    this.bytes = bytes;
    this.name = options.name ?? "memory";
    this.isReadOnly = options.isReadOnly ?? false;
    this.#options = options;
  }

  get identity(): string {
    return this.name;
  }
  get size(): number {
    return this.bytes.byteLength;
  }

  async read(offset: number, bytes: Uint8Array): Promise<void> {
    const length = bytes.byteLength;
    await this.#access("read", offset, length, () => {
      bytes.set(this.bytes.subarray(offset, offset + length));
    });
  }
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    checkWritable(this, "write");
    await this.#access("write", offset, bytes.byteLength, () => this.bytes.set(bytes, offset));
  }
  async zero(offset: number, length: number): Promise<void> {
    checkWritable(this, "write");
    await this.#access("zero", offset, length, () => this.bytes.fill(0, offset, offset + length));
  }
  async discard(offset: number, length: number): Promise<void> {
    checkWritable(this, "write");
    await this.#access("discard", offset, length, () => {
      this.bytes.fill(0xdd, offset, offset + length);
    });
  }
  async flush(): Promise<void> {
    await this.#access("flush", 0, 0, () => this.flushCount++);
  }
  async extent(offset: number, length: number): Promise<Extent> {
    let end = offset;
    await this.#access("extent", offset, length, () => {
      while (end < offset + length && this.bytes[end] === 0) end++;
    });
    const isZero = end > offset;
    return { offset, length: isZero ? end - offset : length, kind: isZero ? "zero" : "data" };
  }
  async truncate(size: number): Promise<void> {
    checkWritable(this, "resize");
    await this.#access("truncate", 0, 0, () => {
      const next = new Uint8Array(size);
      next.set(this.bytes.subarray(0, size));
      this.bytes = next;
    });
  }
  measure(): Promise<number> {
    return Promise.resolve(this.size);
  }
  stamp(): Promise<string | undefined> {
    return Promise.resolve(undefined);
  }
  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }

  async #access(kind: string, offset: number, length: number, act: () => void): Promise<void> {
    const isWrite = kind !== "read" && kind !== "extent";
    checkRange(this, isWrite ? "write" : "read", offset, length);
    if (this.isClosed) {
      throw new BlockError("EBADF", `Cannot ${kind} "${this.name}": it is closed`, {
        operation: "read",
        subject: this.name,
      });
    }
    await this.#wait();
    this.#options.before?.(kind, offset, length);
    act();
    await this.#wait();
  }

  async #wait(): Promise<void> {
    const turns = this.#options.turns?.() ?? 2;
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
  }
}
