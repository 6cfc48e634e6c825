/**
 * The bitmaps that one image keeps: taken up when it is opened, marked as in use before its first
 * change, written back when it is closed.
 *
 * ```text
 * load --> markInUse (before anything changes) --> store (on closing)
 *              directory: all in use                 new bits, new tables, new directory
 * ```
 *
 * - The directory is never changed in place: a new one goes to new clusters and is flushed, then
 *   the header points to it, then the old one and what it alone pointed to is let go of. So a
 *   process that is killed leaves the old state or the new one, and at worst leaks.
 * - What is marked as in use when the image is opened was never closed: it is inconsistent, kept as
 *   it is, and can only be removed.
 * - Bitmaps of an image that is open for reading only are read-only.
 *
 * Called by `qcow2_node.ts` and `writer.ts`, one call at a time. Source: QEMU 7.2
 * block/qcow2-bitmap.c.
 *
 * Differs from QEMU: it changes the flags of a directory in place, without the autoclear bit.
 */

import { BitmapSet } from "../bitmap_set.ts";
import { BITMAP_NAME_MAX, checkBitmap, type DirtyBitmap } from "../dirty_bitmap.ts";
import { BlockError } from "../errors.ts";
import { loadBits, readBitsTable, readKept, TakenClusters, writeBits } from "./bitmap_bits.ts";
import * as directory from "./bitmap_directory.ts";
import type { DirectoryPlace, KeptBitmap } from "./bitmap_directory.ts";
import { unsupported } from "./failures.ts";
import { fittingExtensions, readFirstCluster, writeFirstCluster } from "./first_cluster.ts";
import type { Qcow2Image } from "./image.ts";
import { AUTOCLEAR_BITMAPS, EXTENSION, FIELD } from "./layout.ts";
import { roundUp, viewOf } from "./words.ts";
import type { Qcow2Writer } from "./writer.ts";

/** Most bytes of bits that are taken into memory for one image: 1 GiB. */
export const LOADED_BYTES_MAX = 1_073_741_824;

const TOO_LARGE = "Too much space will be occupied by the bitmap. Use larger granularity";

/** See the head of this file. */
export class BitmapKeeper {
  /** All bitmaps of the node, kept ones and others. */
  readonly bitmaps: BitmapSet;
  readonly #image: Qcow2Image;
  readonly #isReadOnly: boolean;
  /** What the file says now. */
  #kept: readonly KeptBitmap[] = [];
  #isLoaded = false;
  /** True once the file says that they are in use because of this opening. */
  #isMarked = false;

  /** @param bitmaps those that the node had before it was opened anew */
  constructor(image: Qcow2Image, isReadOnly: boolean, bitmaps?: BitmapSet) {
    this.#image = image;
    this.#isReadOnly = isReadOnly;
    this.bitmaps = bitmaps ?? new BitmapSet(image.size);
  }

  /** What the directory in the file says, as of the last reading or writing of it. */
  get kept(): readonly KeptBitmap[] {
    return this.#kept;
  }

  /**
   * Takes up what the image keeps. A second call does nothing.
   *
   * @throws {BlockError} EINVAL when it breaks the format, ENOTSUP when it is too much for memory
   */
  async load(): Promise<void> {
    if (this.#isLoaded) return;
    const kept = await readKept(this.#image);
    const known = kept.map((entry) => this.bitmaps.find(entry.name));
    const { clusterSize } = this.#image.geometry;
    const wanted = kept.filter((entry, index) => !entry.isInUse && known[index] === undefined);
    const bytes = wanted.reduce((sum, entry) => sum + entry.tableEntries * clusterSize, 0);
    if (bytes > LOADED_BYTES_MAX) {
      throw unsupported(this.#image.name, `more than ${LOADED_BYTES_MAX} bytes of bitmaps`);
    }
    for (const [index, entry] of kept.entries()) {
      // One that is there was open until a moment ago, and knows better.
      if (known[index] === undefined) await this.#take(entry);
    }
    this.#kept = kept;
    this.#isLoaded = true;
    for (const bitmap of this.bitmaps.list()) {
      if (bitmap.isPersistent) bitmap.isReadOnly = this.#isReadOnly;
    }
  }

  /** Says in the file that the bitmaps are about to be out of date. Durable when it resolves. */
  async markInUse(writer: Qcow2Writer): Promise<void> {
    await this.load();
    if (this.#kept.every(({ isInUse }) => isInUse)) return;
    const taken = new TakenClusters(writer);
    await this.#replace(writer, this.#kept.map((entry) => ({ ...entry, isInUse: true })), taken);
    this.#isMarked = true;
    await writer.committer.commitAll();
  }

  /**
   * Writes all bits that are to be kept; bitmaps that are gone go from the file, too.
   *
   * @throws {BlockError} EROFS when one was added to an image that is open for reading only; else
   * as writing. The file then has what it had before
   */
  async store(writer: Qcow2Writer | undefined): Promise<void> {
    const kept = this.bitmaps.list().filter((bitmap) =>
      bitmap.isPersistent && !bitmap.isInconsistent && !bitmap.isReadOnly
    );
    if (kept.length > 0) await this.load();
    const before = this.#kept;
    const isSame = before.every(({ name }) => this.#isThere(name));
    const isMore = kept.some(({ name }) => before.every((entry) => entry.name !== name));
    // Without the mark nothing was changed here, and somebody else may have the file.
    if (!this.#isLoaded || (!this.#isMarked && !isMore) || (kept.length === 0 && isSame)) return;
    if (writer === undefined) throw this.#refuse("EROFS", "it is open for reading only");
    const taken = new TakenClusters(writer);
    const stays = before.filter(({ name }) => this.#isThere(name));
    const entries = new Map<string, KeptBitmap | undefined>(stays.map((each) => [each.name, each]));
    // New ones come behind the others, the newest first, as in QEMU.
    for (const { name = "" } of kept.toReversed()) entries.set(name, entries.get(name));
    const byName = new Map(kept.map((bitmap) => [bitmap.name, bitmap]));
    const now: KeptBitmap[] = [];
    try {
      for (const [name, entry] of entries) {
        const bitmap = byName.get(name);
        now.push(bitmap === undefined ? entry! : await this.#write(bitmap, taken));
      }
    } catch (error) {
      await taken.undo();
      throw error;
    }
    await this.#replace(writer, now, taken);
    for (const entry of before) if (!now.includes(entry)) await this.#release(writer, entry);
  }

  /** Takes bitmaps that are gone out of the file. Durable when it resolves. */
  async dropGone(writer: Qcow2Writer): Promise<void> {
    const gone = this.#isLoaded ? this.#kept.filter(({ name }) => !this.#isThere(name)) : [];
    if (gone.length === 0) return;
    const rest = this.#kept.filter((entry) => !gone.includes(entry));
    await this.#replace(writer, rest, new TakenClusters(writer));
    for (const entry of gone) await this.#release(writer, entry);
    await writer.committer.commitAll();
  }

  /**
   * Why a new bitmap cannot be kept, in QEMU's words; undefined = it can.
   *
   * Source: QEMU 7.2 block/qcow2-bitmap.c qcow2_co_can_store_new_dirty_bitmap
   */
  whyNot(name: string, granularity: number): string | undefined {
    if (this.#image.header.version < 3) return "Cannot store dirty bitmaps in qcow2 v2 files";
    if (new TextEncoder().encode(name).byteLength > BITMAP_NAME_MAX) {
      return `Name length exceeds maximum (${BITMAP_NAME_MAX} characters)`;
    }
    if (this.#isTooLarge(granularity)) return TOO_LARGE;
    const names = this.bitmaps.list().filter(({ isPersistent }) => isPersistent)
      .map((bitmap) => bitmap.name ?? "");
    if (names.length >= directory.KEPT_BITMAPS_MAX) {
      return "Maximum number of persistent bitmaps is already reached";
    }
    const bytes = [...names, name].reduce((sum, each) => sum + directory.entryBytes(each), 0);
    if (bytes > directory.DIRECTORY_BYTES_MAX) return "Not enough space in the bitmap directory";
    return undefined;
  }

  /** @throws {BlockError} as `checkBitmap` when a kept bitmap could not follow a new size */
  checkResize(): void {
    for (const bitmap of this.bitmaps.list()) {
      if (bitmap.isPersistent) checkBitmap(bitmap, { isChange: true });
    }
  }

  #isTooLarge(granularity: number): boolean {
    const { geometry: { clusterSize }, size } = this.#image;
    const entries = directory.tableEntriesFor(size, granularity, clusterSize);
    return entries * clusterSize > directory.BITMAP_BYTES_MAX;
  }

  async #take(entry: KeptBitmap): Promise<void> {
    const { name, granularity, isInUse: isInconsistent, isAuto } = entry;
    const isDisabled = !isAuto;
    const bitmap = this.bitmaps.create({
      ...{ name, granularity, isInconsistent, isDisabled },
      isPersistent: true,
    });
    if (!isInconsistent) await loadBits(this.#image, entry, bitmap);
  }

  #isThere(name: string): boolean {
    return this.bitmaps.find(name)?.isPersistent === true;
  }

  async #write(bitmap: DirtyBitmap, taken: TakenClusters): Promise<KeptBitmap> {
    const { name = "", granularity, successor } = bitmap;
    if (this.#isTooLarge(granularity)) throw this.#refuse("EFBIG", TOO_LARGE);
    // A job that is over with the process has not done what it took the bitmap for.
    const bits = successor === undefined ? bitmap : bitmap.copy();
    if (successor !== undefined) bits.adopt(successor);
    const place = await writeBits(this.#image, bits, taken);
    const isAuto = (successor ?? bitmap).isRecording;
    return { name, granularity, isInUse: false, isAuto, ...place };
  }

  /** Makes the file say this and nothing else. */
  async #replace(
    writer: Qcow2Writer,
    kept: readonly KeptBitmap[],
    taken: TakenClusters,
  ): Promise<void> {
    const old = directory.directoryPlaceOf(this.#image.name, this.#image.header);
    let place: DirectoryPlace | undefined;
    try {
      const bytes = directory.encodeDirectory(kept);
      const { length: count } = kept;
      if (count > 0) place = { count, offset: await taken.write(bytes), bytes: bytes.byteLength };
      await writer.committer.commit();
    } catch (error) {
      await taken.undo();
      throw error;
    }
    // Whatever fails from here on, the header may point to what was taken.
    await writer.committer.alone(() => this.#pointTo(writer, place));
    this.#kept = kept;
    if (old !== undefined) release(writer, old.offset, old.bytes);
  }

  async #pointTo(writer: Qcow2Writer, place: DirectoryPlace | undefined): Promise<void> {
    const { image } = writer;
    if (place === undefined) {
      image.bitmapDirectory = undefined;
      return await this.#writeBit(writer, 0n);
    }
    const first = await readFirstCluster(image);
    const own = { type: EXTENSION.bitmaps, data: directory.encodePlace(place) };
    const isThere = first.extensions.some(({ type }) => type === own.type);
    const wanted = isThere ? first.extensions.map((each) => each.type === own.type ? own : each) : [
      ...first.extensions.filter(({ type }) => type === EXTENSION.backingFormat),
      own,
      ...first.extensions.filter(({ type }) => type !== EXTENSION.backingFormat),
    ];
    const name = first.bytes.subarray(first.nameStart, first.nameEnd);
    const extensions = fittingExtensions(first, wanted, name.byteLength);
    if (extensions === undefined) {
      throw this.#refuse("ENOSPC", "there is no room for bitmaps in its first cluster");
    }
    await writeFirstCluster(image, first, { extensions, name });
    image.header = { ...image.header, extensions };
    image.bitmapDirectory = place;
    await this.#writeBit(writer, AUTOCLEAR_BITMAPS);
  }

  async #writeBit({ image, committer }: Qcow2Writer, bit: bigint): Promise<void> {
    const autoclear = image.header.autoclear & ~AUTOCLEAR_BITMAPS | bit;
    if (autoclear === image.header.autoclear) return;
    const bytes = new Uint8Array(8);
    viewOf(bytes).setBigUint64(0, autoclear);
    await committer.writeHeader(FIELD.autoclear, bytes);
    image.header = { ...image.header, autoclear };
  }

  async #release(writer: Qcow2Writer, entry: KeptBitmap): Promise<void> {
    const { clusterSize } = this.#image.geometry;
    try {
      for (const { host } of await readBitsTable(this.#image, entry)) {
        if (host !== 0) release(writer, host, clusterSize);
      }
      release(writer, entry.tableOffset, entry.tableEntries * 8);
    } catch (error) {
      // What cannot be read is left where it is: a leak, which a repair finds.
      if (!(error instanceof BlockError)) throw error;
    }
  }

  #refuse(code: string, why: string): BlockError {
    const { name } = this.#image;
    return new BlockError(code, `Cannot keep the bitmaps of "${name}": ${why}`, {
      operation: "write",
      subject: name,
    });
  }
}

/** Lets go of clusters later, unless the tables say that something else is there. */
function release({ image, allocator }: Qcow2Writer, offset: number, bytes: number): void {
  const { clusterSize } = image.geometry;
  const length = roundUp(bytes, clusterSize);
  try {
    allocator.metadata.checkFree(offset / clusterSize, length / clusterSize);
    allocator.releaseLater(offset, length);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
  }
}
