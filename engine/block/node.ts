/**
 * The node interface: one opened layer of a disk image.
 *
 * ```text
 * 0                    offset            offset + length          size
 * |--------------------|=================|------------------------|      bytes, never sectors
 * ```
 *
 * - Every access is a range of bytes inside `0 <= offset <= offset + length <= size`.
 * - Every call is asynchronous; calls may overlap, and overlapping ranges have no order.
 * - `write` and `zero` are durable only after a later `flush`.
 * - Failures are `BlockError`s that name the image and carry an errno.
 * - Files, windows, formats and filters implement it alike; nobody asks which one it is.
 *
 * May import nothing but this room.
 */

import type { DebugEvent } from "./debug_events.ts";
import { BlockError } from "./errors.ts";

/**
 * What is known about a range without looking at its bytes again.
 *
 * `data`: bytes that may be anything. `zero`: reads as zeros, allocated or not. `hole`: reads as
 * zeros and takes no space.
 */
export type ExtentKind = "data" | "zero" | "hole";

/** One piece of the map of allocation. */
export interface Extent {
  /** Where it starts: the offset that was asked for. */
  readonly offset: number;
  /** How long it is: 1 to the length that was asked for; the next piece may be of the same kind. */
  readonly length: number;
  /** What it is. */
  readonly kind: ExtentKind;
}

/** Where bytes of a node lie unchanged in another one. */
export interface LentRange {
  /** The node that holds the bytes. */
  readonly node: BlockNode;
  /** Where they start in it. */
  readonly offset: number;
  /** How many of them lie there together: 1 to the length that was asked for. */
  readonly length: number;
}

/** How far a node lent its bytes. */
export interface Loan {
  /** Bytes that are done with, from the offset that was asked for: 1 or more. */
  readonly length: number;
  /** False if they lie nowhere as they are, and have to be read from the node itself. */
  readonly isUsed: boolean;
}

/** One opened layer of a disk image. */
export interface BlockNode {
  /** How texts name it: a file's path as it was given. */
  readonly name: string;
  /** Two nodes with equal identity are the same bytes, by whatever name they were opened. */
  readonly identity: string;
  /** Length in bytes as of opening or of the last `truncate`. 0 or more. */
  readonly size: number;
  /** True if writes are refused with EBADF. */
  readonly isReadOnly: boolean;

  /** Fills all of `bytes` from `offset` on; a source that ends early is an EIO error. */
  read(offset: number, bytes: Uint8Array): Promise<void>;
  /** Writes all of `bytes` at `offset`. `bytes` must not change before the promise settles. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /**
   * Writes whole clusters, or up to the end of the image, as compressed ones; all of `bytes` or
   * nothing. Rejects with EIO where something is allocated already. Only where `canCompress`.
   */
  writeCompressed?(offset: number, bytes: Uint8Array): Promise<void>;
  /** True if `writeCompressed` works here and below. Absent = false. */
  readonly canCompress?: boolean;
  /** Makes a range read as zeros and keeps holes that are already there. */
  zero(offset: number, length: number): Promise<void>;
  /** Says that a range is no longer needed. Advice: what it reads as afterwards is not defined. */
  discard(offset: number, length: number): Promise<void>;
  /** Resolves when all that was written before the call would survive a power cut. */
  flush(): Promise<void>;
  /** Says of what kind the bytes from `offset` on are, for up to `length` bytes (1 or more). */
  extent(offset: number, length: number): Promise<Extent>;
  /** Changes the size; growing adds zeros. */
  truncate(size: number): Promise<void>;
  /** The storage's length now: differs from `size` if others changed it. Rejects if it is gone. */
  measure(): Promise<number>;
  /** A text that changes when the bytes were changed by anybody; undefined = cannot be known. */
  stamp(): Promise<string | undefined>;
  /** Waits for what is in flight and lets go of the storage. A second call does nothing. */
  close(): Promise<void>;

  /**
   * Copies `length` bytes at `from` of `source` to `to` of this node without handing them to the
   * caller.
   *
   * @returns undefined, with nothing done, when this pair cannot: use `read` and `write` then
   */
  copyRange?(source: BlockNode, from: number, to: number, length: number):
    | Promise<void>
    | undefined;
  /**
   * Calls `use` with the place where the bytes from `offset` on lie in another node, and keeps them
   * there until it settles; so `copyRange` can see through. `use` must not come back to this node.
   *
   * @param length 1 or more
   */
  lend?(offset: number, length: number, use: (range: LentRange) => Promise<void>): Promise<Loan>;
  /**
   * Lets go of descriptors until the next access, which takes them again and fails with ESTALE
   * when another file has the name by then. Absent = holds none, or cannot.
   */
  rest?(): Promise<void>;
  /** Hears what the node above is about to do; a fault node may make it fail. Never throws. */
  debugEvent?(event: DebugEvent): void;
}

/** Writes through a filter as compressed clusters. @throws {BlockError} ENOTSUP if it cannot be */
export async function writeCompressedTo(node: BlockNode, offset: number, bytes: Uint8Array) {
  if (node.canCompress === true) return await node.writeCompressed?.(offset, bytes);
  throw new BlockError("ENOTSUP", `Cannot write "${node.name}" compressed: its format cannot`, {
    operation: "write",
    subject: node.name,
  });
}

/**
 * Checks that a range lies inside a node.
 *
 * @throws {BlockError} EINVAL when it does not
 */
export function checkRange(
  node: BlockNode,
  operation: "read" | "write",
  offset: number,
  length: number,
): void {
  const isInside = Number.isSafeInteger(offset) && Number.isSafeInteger(length) &&
    offset >= 0 && length >= 0 && offset + length <= node.size;
  if (isInside) return;
  const range = `${length} bytes at ${offset}`;
  throw new BlockError(
    "EINVAL",
    `Cannot ${operation} ${range} of "${node.name}": it has ${node.size} bytes`,
    { operation, subject: node.name },
  );
}

/**
 * Checks that a node may be written.
 *
 * @throws {BlockError} EBADF when it is read-only
 */
export function checkWritable(node: BlockNode, operation: "write" | "resize"): void {
  if (!node.isReadOnly) return;
  const verb = operation === "write" ? "write" : "resize";
  throw new BlockError("EBADF", `Cannot ${verb} "${node.name}": it is open for reading only`, {
    operation,
    subject: node.name,
  });
}
