/** A node in memory that notes every change of its bytes, so that any moment can be shown again. */

import { checkRange } from "../../../../engine/block/node.ts";
import type { BlockNode, Extent } from "../../../../engine/block/node.ts";

/** One change, as the file saw it. */
export type FileChange =
  | { readonly kind: "write"; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly size: number }
  | { readonly kind: "flush" };

/** The file after some changes. */
export function replay(start: Uint8Array, changes: readonly FileChange[]): Uint8Array {
  let bytes = start.slice();
  for (const change of changes) {
    if (change.kind === "write") bytes.set(change.bytes, change.offset);
    if (change.kind === "truncate") bytes = resized(bytes, change.size);
  }
  return bytes;
}

function resized(bytes: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const next = new Uint8Array(size);
  next.set(bytes.subarray(0, size));
  return next;
}

/** A file in memory. */
export class RecordingNode implements BlockNode {
  readonly name = "recorded.qcow2";
  readonly identity = "recorded";
  readonly isReadOnly = false;
  readonly changes: FileChange[] = [];
  bytes: Uint8Array;

  constructor(bytes = new Uint8Array(0)) {
    this.bytes = bytes;
  }

  get size(): number {
    return this.bytes.byteLength;
  }

  async read(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#turn();
    checkRange(this, "read", offset, bytes.byteLength);
    bytes.set(this.bytes.subarray(offset, offset + bytes.byteLength));
  }
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#turn();
    checkRange(this, "write", offset, bytes.byteLength);
    this.bytes.set(bytes, offset);
    this.changes.push({ kind: "write", offset, bytes: bytes.slice() });
  }
  async zero(offset: number, length: number): Promise<void> {
    await this.write(offset, new Uint8Array(length));
  }
  discard(): Promise<void> {
    return Promise.resolve();
  }
  async flush(): Promise<void> {
    await this.#turn();
    this.changes.push({ kind: "flush" });
  }
  extent(offset: number, length: number): Promise<Extent> {
    return Promise.resolve({ offset, length, kind: "data" });
  }
  async truncate(size: number): Promise<void> {
    await this.#turn();
    this.bytes = resized(this.bytes, size);
    this.changes.push({ kind: "truncate", size });
  }
  measure(): Promise<number> {
    return Promise.resolve(this.size);
  }
  stamp(): Promise<string | undefined> {
    return Promise.resolve(String(this.changes.length));
  }
  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Others come between asking and doing, as with a real file. */
  async #turn(): Promise<void> {
    for (let turn = 0; turn < 3; turn++) await Promise.resolve();
  }
}
