/** What an image promises in its header, and what becomes of it before the first change. */

import type { BitmapKeeper } from "./bitmap_keeper.ts";
import { AUTOCLEAR_BITMAPS } from "./layout.ts";
import type { Qcow2Writer } from "./writer.ts";

/**
 * Takes back what a change makes untrue, once, before the first one. Kept bitmaps stay, marked as
 * in use, if somebody keeps them.
 */
export class Beginning {
  /** Who keeps the bitmaps; undefined = nobody does, and they are given up. */
  keeper: BitmapKeeper | undefined;
  #isOver = false;
  #running: Promise<void> | undefined;

  /** Resolves when changes may begin; those that come meanwhile wait for the same. */
  async settled(writer: Qcow2Writer): Promise<void> {
    if (this.#isOver || writer.image.header.autoclear === 0n) return;
    try {
      await (this.#running ??= this.#run(writer));
    } finally {
      this.#running = undefined;
    }
  }

  async #run(writer: Qcow2Writer): Promise<void> {
    await this.keeper?.markInUse(writer);
    const { autoclear } = writer.image.header;
    const left = this.keeper === undefined ? 0n : autoclear & AUTOCLEAR_BITMAPS;
    if (left !== autoclear) await writer.committer.clearPromises(left);
    this.#isOver = true;
  }
}
