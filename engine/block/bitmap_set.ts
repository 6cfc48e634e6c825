/**
 * The bitmaps of one node: found by name, told of writes together.
 *
 * - Successors are members, too, without a name; so a write reaches whoever records.
 * - Only members are told: a bitmap that was removed stays as it is.
 *
 * May be used by whoever builds graphs of nodes and by drivers.
 */

import {
  BITMAP_NAME_MAX,
  type BitmapChecks,
  checkBitmap,
  DirtyBitmap,
  type DirtyBitmapOptions,
} from "./dirty_bitmap.ts";
import { BlockError } from "./errors.ts";

function invalid(message: string, subject: string): BlockError {
  const hint = `Give a name of 1 to ${BITMAP_NAME_MAX} bytes that no other bitmap has.`;
  return new BlockError("EINVAL", message, { operation: "write", subject, hint });
}

/**
 * The bitmaps of one node, by name and without.
 *
 * Refuses in QEMU's words. Source: QEMU 7.2 block/monitor/bitmap-qmp-cmds.c.
 */
export class BitmapSet {
  readonly #bitmaps = new Set<DirtyBitmap>();
  #size: number;

  /** @param size length of the node in bytes */
  constructor(size: number) {
    this.#size = size;
  }

  /** True if there is none. */
  get isEmpty(): boolean {
    return this.#bitmaps.size === 0;
  }

  /** All of them, oldest first; successors included. */
  list(): readonly DirtyBitmap[] {
    return [...this.#bitmaps];
  }

  /** The one with this name. */
  find(name: string): DirtyBitmap | undefined {
    for (const bitmap of this.#bitmaps) if (bitmap.name === name) return bitmap;
    return undefined;
  }

  /**
   * The one with this name, if it may be used.
   *
   * @throws {BlockError} ENOENT when there is none; else as `checkBitmap`
   */
  take(name: string, checks: BitmapChecks = {}): DirtyBitmap {
    const bitmap = this.find(name);
    if (bitmap === undefined) {
      const text = `Dirty bitmap '${name}' not found`;
      const hint = "List the bitmaps of the image; names are exact.";
      throw new BlockError("ENOENT", text, { operation: "open", subject: name, hint });
    }
    checkBitmap(bitmap, checks);
    return bitmap;
  }

  /**
   * Makes a bitmap that sees every write from now on.
   *
   * @throws {BlockError} EINVAL when the name is empty, too long or in use, or for the granularity
   */
  create(options: DirtyBitmapOptions = {}): DirtyBitmap {
    const { name } = options;
    if (name === "") throw invalid("Bitmap name cannot be empty", name);
    if (name !== undefined) {
      if (new TextEncoder().encode(name).byteLength > BITMAP_NAME_MAX) {
        throw invalid("Bitmap name too long", name);
      }
      if (this.find(name) !== undefined) throw invalid(`Bitmap already exists: ${name}`, name);
    }
    const bitmap = new DirtyBitmap(this.#size, options);
    this.#bitmaps.add(bitmap);
    return bitmap;
  }

  /**
   * Removes a bitmap.
   *
   * @throws {BlockError} EBUSY when a job has it, EPERM when it is read-only
   */
  remove(bitmap: DirtyBitmap): void {
    checkBitmap(bitmap, { isChange: true, allowInconsistent: true });
    this.#bitmaps.delete(bitmap);
  }

  /** Freezes a bitmap; its successor sees every write from now on. As `DirtyBitmap.freeze`. */
  freeze(bitmap: DirtyBitmap): DirtyBitmap {
    const successor = bitmap.freeze();
    this.#bitmaps.add(successor);
    return successor;
  }

  /** The successor takes the place and the name; returns it. The bitmap is forgotten. */
  abdicate(bitmap: DirtyBitmap): DirtyBitmap {
    const successor = bitmap.abdicate();
    this.#bitmaps.delete(bitmap);
    return successor;
  }

  /** The bitmap takes back its place with the successor's bits. The successor is forgotten. */
  reclaim(bitmap: DirtyBitmap): DirtyBitmap {
    this.#bitmaps.delete(bitmap.reclaim());
    return bitmap;
  }

  /** Tells all that record of a write. */
  note(offset: number, length: number): void {
    for (const bitmap of this.#bitmaps) bitmap.note(offset, length);
  }

  /** Follows a change of the node's size. What was added is clean, as QEMU has it. */
  resize(size: number): void {
    if (size === this.#size) return;
    this.#size = size;
    for (const bitmap of this.#bitmaps) bitmap.resize(size);
  }
}
