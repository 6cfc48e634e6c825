/** What an image promises in its header, and what becomes of it before the first change. */

import { AUTOCLEAR_BITMAPS } from "./layout.ts";

/** The image whose changes begin. */
export interface BeginningPlace {
  /** Its header as it is in the file. */
  readonly image: { readonly header: { readonly autoclear: bigint } };
  /** Takes back what the header says, but for some bits. */
  readonly committer: { clearPromises(left: bigint): Promise<void> };
}

/**
 * Takes back what a change makes untrue, once, before the first one. Kept bitmaps stay, marked as
 * in use, if somebody keeps them.
 */
export class Beginning {
  /** Marks the kept bitmaps as in use; undefined = nobody keeps them, and they are given up. */
  markInUse: (() => Promise<void>) | undefined;
  #isOver = false;
  #running: Promise<void> | undefined;

  /** Resolves when changes may begin; those that come meanwhile wait for the same. */
  async settled(place: BeginningPlace): Promise<void> {
    if (this.#isOver || place.image.header.autoclear === 0n) return;
    try {
      await (this.#running ??= this.#run(place));
    } finally {
      this.#running = undefined;
    }
  }

  async #run({ image, committer }: BeginningPlace): Promise<void> {
    await this.markInUse?.();
    const { autoclear } = image.header;
    const left = this.markInUse === undefined ? 0n : autoclear & AUTOCLEAR_BITMAPS;
    if (left !== autoclear) await committer.clearPromises(left);
    this.#isOver = true;
  }
}
