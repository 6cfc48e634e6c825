/**
 * Dirty bitmaps: which parts of a node were written while they recorded.
 *
 * ```text
 * recording --freeze--> busy, its successor records --abdicate--> the successor, under its name
 *                                                   --reclaim---> itself, with the successor's bits
 * ```
 *
 * - A busy bitmap belongs to a job: nobody else changes, reads or removes it.
 * - Bits are only ever set by writes; who resets them has copied the bytes.
 *
 * May be used by whoever builds graphs of nodes and by drivers. `tracked_node.ts` feeds them.
 * Source: QEMU 7.2 block/dirty-bitmap.c, util/hbitmap.c.
 */

import { type DirtyArea, DirtyMap } from "./dirty_map.ts";
import { BlockError } from "./errors.ts";

/** Least bytes that one bit may stand for. */
export const GRANULARITY_MIN = 512;
/** Most bytes that one bit may stand for: 2 GiB. */
export const GRANULARITY_MAX = 2_147_483_648;
/** Bytes of one bit when nothing is said and the node has no clusters: 64 KiB. */
export const GRANULARITY_DEFAULT = 65_536;
/** Most bytes of a name, in UTF-8. */
export const BITMAP_NAME_MAX = 1_023;

/** What a bitmap is at first. */
export interface DirtyBitmapOptions {
  /** How users name it. @default none: it belongs to a job */
  readonly name?: string;
  /** Bytes that one bit stands for: a power of two from 512 to 2 GiB. @default 64 KiB */
  readonly granularity?: number;
  /** True if it does not record writes. @default false */
  readonly isDisabled?: boolean;
  /** True if the image of its node keeps it. @default false */
  readonly isPersistent?: boolean;
  /** True if what it held is lost: it has no bits then, and no size. @default false */
  readonly isInconsistent?: boolean;
}

/** Which states keep a caller off a bitmap. */
export interface BitmapChecks {
  /** It is changed: a read-only one is refused. @default false */
  readonly isChange?: boolean;
  /** An inconsistent one is taken, too: it is to be removed. @default false */
  readonly allowInconsistent?: boolean;
}

function refused(code: string, message: string, subject: string, hint: string): BlockError {
  return new BlockError(code, message, { operation: "write", subject, hint });
}

/** @throws {BlockError} EINVAL when a bit may not stand for so many bytes */
export function checkGranularity(granularity: number): void {
  const isPower = Number.isSafeInteger(granularity) && granularity > 0 &&
    Number.isInteger(Math.log2(granularity));
  if (isPower && granularity >= GRANULARITY_MIN && granularity <= GRANULARITY_MAX) return;
  const text = granularity > GRANULARITY_MAX && isPower
    ? "Granularity must be at most 2147483648"
    : "Granularity must be power of 2 and at least 512";
  const hint = "Give a power of two from 512 to 2147483648, such as 65536.";
  throw refused("EINVAL", text, String(granularity), hint);
}

/** @throws {BlockError} EBUSY or EINVAL, as QEMU words it, when a bitmap may not be used now */
export function checkBitmap(bitmap: DirtyBitmap, checks: BitmapChecks = {}): void {
  const name = bitmap.name ?? "";
  const fail = (code: string, state: string, hint: string) =>
    refused(code, `Bitmap '${name}' ${state}`, name, hint);
  if (bitmap.isBusy) {
    const hint = "Wait until the job that has it has ended.";
    throw fail("EBUSY", "is currently in use by another operation and cannot be used", hint);
  }
  if (checks.isChange === true && bitmap.isReadOnly) {
    const hint = "Open its image for writing.";
    throw fail("EPERM", "is readonly and cannot be modified", hint);
  }
  if (bitmap.isInconsistent && checks.allowInconsistent !== true) {
    const hint = "End what has its image open; if nothing has, its bits were lost: remove it, " +
      "and begin with a new one and a full backup.";
    throw fail("EINVAL", "is inconsistent and cannot be used", hint);
  }
}

/** One dirty bitmap. Its marks are in memory; an image may keep them from its closing on. */
export class DirtyBitmap {
  /** How users name it; undefined while it belongs to a job. */
  name: string | undefined;
  /** True while it takes notice of writes. */
  isRecording: boolean;
  /** True if its bits may not be changed by hand: it lies in an image that is read-only. */
  isReadOnly = false;
  /** True if what it holds is not to be trusted. */
  isInconsistent: boolean;
  /** True if the image of its node keeps it. */
  isPersistent: boolean;
  readonly #map: DirtyMap;
  #successor: DirtyBitmap | undefined;
  #isHeld = false;

  /**
   * An empty bitmap that records.
   *
   * @param size length of the node in bytes
   * @throws {BlockError} EINVAL when the granularity or the name cannot be
   */
  constructor(size: number, options: DirtyBitmapOptions = {}) {
    const granularity = options.granularity ?? GRANULARITY_DEFAULT;
    checkGranularity(granularity);
    this.name = options.name;
    this.isInconsistent = options.isInconsistent === true;
    this.isPersistent = options.isPersistent === true;
    this.isRecording = options.isDisabled !== true && !this.isInconsistent;
    this.#map = new DirtyMap(this.isInconsistent ? 0 : size, granularity);
  }

  /** Length of the node in bytes. */
  get size(): number {
    return this.#map.size;
  }

  /** Bytes that one bit stands for. */
  get granularity(): number {
    return this.#map.cluster;
  }

  /** Bytes that are dirty, in whole granules. */
  get dirtyBytes(): number {
    return this.#map.markedBytes;
  }

  /** True while a job has it. */
  get isBusy(): boolean {
    return this.#isHeld || this.#successor !== undefined;
  }

  /** What records in its place while a job has it. */
  get successor(): DirtyBitmap | undefined {
    return this.#successor;
  }

  /** Sets every bit that the range touches, whether it records or not. */
  set(offset: number, length: number): void {
    this.#map.mark(offset, length);
  }

  /** Sets every bit that a write to the range touches, if it records. */
  note(offset: number, length: number): void {
    if (this.isRecording) this.#map.mark(offset, length);
  }

  /** Resets every bit that the range touches. */
  reset(offset: number, length: number): void {
    this.#map.clear(offset, length);
  }

  /** Resets all bits. */
  clear(): void {
    this.#map.clearAll();
  }

  /** True if the bit of the byte at `offset` is set. */
  isDirty(offset: number): boolean {
    return this.#map.isMarked(offset);
  }

  /** The first dirty run from the granule of `from` on, `lengthMax` bytes at most. */
  nextDirty(from: number, lengthMax = Number.MAX_SAFE_INTEGER): DirtyArea | undefined {
    return this.#map.next(from, lengthMax);
  }

  /** Start of the first clean granule from that of `from` on; the size if there is none. */
  nextClean(from: number): number {
    return this.#map.nextUnmarked(from);
  }

  /** All dirty runs in order. */
  areas(): Generator<DirtyArea> {
    return this.#map.areas();
  }

  /** Shows its bits as bytes, from that of granule `first` on: as `BitSet.copyTo`. */
  copyBits(first: number, bytes: Uint8Array): void {
    this.#map.clusters.copyTo(first, bytes);
  }

  /** Sets all bits that are set in such bytes: as `BitSet.addFrom`. */
  addBits(first: number, bytes: Uint8Array): void {
    this.#map.clusters.addFrom(first, bytes);
  }

  /** Follows a change of the node's size; what is new is clean. */
  resize(size: number): void {
    if (this.isInconsistent) return;
    this.#map.resize(size);
    this.#successor?.resize(size);
  }

  /** Another one with the same bits, not recording and without a name. */
  copy(): DirtyBitmap {
    const other = new DirtyBitmap(this.size, { granularity: this.granularity, isDisabled: true });
    other.#map.markAll(this.#map);
    return other;
  }

  /**
   * Sets all that is dirty in `source`; granularities may differ.
   *
   * @throws {BlockError} EBUSY, EPERM or EINVAL as `checkBitmap`; EINVAL when the sizes differ
   */
  merge(source: DirtyBitmap): void {
    checkBitmap(this, { isChange: true });
    checkBitmap(source);
    this.adopt(source);
  }

  /** As `merge`, for the job that has it: asks nothing but the sizes. */
  adopt(source: DirtyBitmap): void {
    if (source.size !== this.size) {
      const sizes = `(destination size is ${this.size}, source size is ${source.size})`;
      const text = `Bitmaps are of different sizes ${sizes} and can't be merged`;
      throw refused("EINVAL", text, this.name ?? "", "Merge bitmaps of images of one length.");
    }
    this.#map.markAll(source.#map);
  }

  /** Keeps others off it without a successor, or lets them again. */
  hold(isHeld: boolean): void {
    this.#isHeld = isHeld;
  }

  /**
   * Freezes it: a new bitmap, empty and without a name, records from now on in its place if it did.
   * The caller makes the successor known to the node (see `BitmapSet.freeze`).
   *
   * @throws {BlockError} EBUSY when it is in use
   */
  freeze(): DirtyBitmap {
    checkBitmap(this);
    const { size, granularity } = this;
    this.#successor = new DirtyBitmap(size, { granularity, isDisabled: !this.isRecording });
    this.isRecording = false;
    return this.#successor;
  }

  /** Hands its name to the successor, which is returned; its own bits are given up. */
  abdicate(): DirtyBitmap {
    const successor = this.#takeSuccessor();
    [successor.name, successor.isPersistent] = [this.name, this.isPersistent];
    [this.name, this.isPersistent] = [undefined, false];
    this.isRecording = false;
    return successor;
  }

  /** Takes the successor's bits to its own and records again if that one did; returns it. */
  reclaim(): DirtyBitmap {
    const successor = this.#takeSuccessor();
    this.#map.markAll(successor.#map);
    this.isRecording = successor.isRecording;
    return successor;
  }

  #takeSuccessor(): DirtyBitmap {
    const successor = this.#successor;
    if (successor === undefined) throw new Error(`Expected a successor of "${this.name ?? ""}"`);
    this.#successor = undefined;
    return successor;
  }
}
