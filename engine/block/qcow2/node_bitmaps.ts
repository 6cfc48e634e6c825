/** What the node of an image does with the bitmaps that the image keeps. */

import type { BitmapSet } from "../bitmap_set.ts";
import { readKept } from "./bitmap_bits.ts";
import type { KeptBitmap } from "./bitmap_directory.ts";
import { BitmapKeeper } from "./bitmap_keeper.ts";
import type { Qcow2Image } from "./image.ts";
import type { RangeLock } from "./range_lock.ts";
import type { Qcow2Writer } from "./writer.ts";

/** Kept bitmaps between the requests of a node: each call is alone with the image. */
export class NodeBitmaps {
  readonly #image: Qcow2Image;
  readonly #writer: Qcow2Writer | undefined;
  readonly #lock: RangeLock;
  readonly #keeper: BitmapKeeper;

  /** @param bitmaps those that the node had before it was opened anew */
  constructor(
    image: Qcow2Image,
    writer: Qcow2Writer | undefined,
    lock: RangeLock,
    bitmaps?: BitmapSet,
  ) {
    this.#image = image;
    this.#writer = writer;
    this.#lock = lock;
    this.#keeper = new BitmapKeeper(image, writer === undefined, bitmaps);
    if (writer === undefined) return;
    writer.beginning.markInUse = () => this.#keeper.markInUse(writer);
  }

  /** All bitmaps of the node. */
  get bitmaps(): BitmapSet {
    return this.#keeper.bitmaps;
  }

  /** What the file says of its bitmaps; nothing is taken into memory. */
  async list(): Promise<readonly KeptBitmap[]> {
    return await readKept(this.#image);
  }

  /**
   * Takes up the bitmaps that the image keeps. Before the first change that is done by itself.
   *
   * @throws {BlockError} EINVAL when they break the format, ENOTSUP when they are too large
   */
  async load(): Promise<void> {
    await this.#lock.runAlone(() => this.#keeper.load());
  }

  /** Marks them in the file as in use if it may be written; durable when it resolves. */
  async use(): Promise<void> {
    await this.#lock.runAlone(async () => await this.#writer?.begin());
  }

  /** Why a new bitmap cannot be kept, in QEMU's words; undefined = it can. */
  whyNot(name: string, granularity: number): string | undefined {
    return this.#keeper.whyNot(name, granularity);
  }

  /** Takes out of the file what is no more among the bitmaps. Durable when it resolves. */
  async dropGone(): Promise<void> {
    const writer = this.#writer;
    if (writer !== undefined) await this.#lock.runAlone(() => this.#keeper.dropGone(writer));
  }

  /**
   * Changes the size of the image, and of all bitmaps with it.
   *
   * @throws {BlockError} as `checkBitmap` when one that is kept cannot follow
   */
  async resize(size: number, work: () => Promise<void>): Promise<void> {
    await this.#lock.runAlone(async () => {
      await this.#keeper.load();
      this.#keeper.checkResize();
      await work();
      this.bitmaps.resize(size);
    });
  }

  /** Writes them to the file. The caller is alone with the image, which is about to be closed. */
  async store(): Promise<void> {
    await this.#keeper.store(this.#writer);
  }
}
