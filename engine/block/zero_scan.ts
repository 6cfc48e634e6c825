import type { Extent } from "./node.ts";

/** How finely zeros are told from data: 64 KiB, the cluster of the copying jobs. */
export const SCAN_GRAIN = 65_536;

/** How far is looked at once: 1 MiB, so that one piece fits one task of a copying job. */
const SCAN_WINDOW = 1_048_576;

/** What was found in one window: one flag for each grain. */
interface ScannedWindow {
  readonly start: number;
  readonly end: number;
  readonly isZero: readonly boolean[];
}

/**
 * Finds ranges of zeros by reading.
 *
 * JavaScript has no portable way to ask a file system where its holes are (SEEK_HOLE and FIEMAP
 * are out of reach), and `stat.blocks` proves only that there are none. So a file that may have
 * holes is read, 1 MiB ahead, and whole grains of zeros are called `zero`. The last window is
 * remembered, so that its pieces are not read again.
 */
export class ZeroScan {
  #window: ScannedWindow = { start: 0, end: 0, isZero: [] };
  #generation = 0;
  readonly #inspect: (offset: number, length: number) => Promise<readonly boolean[]>;

  /** @param inspect reads a range and says of each grain in it whether it is all zeros */
  constructor(inspect: (offset: number, length: number) => Promise<readonly boolean[]>) {
    this.#inspect = inspect;
  }

  /** Forgets what was seen; to be called when bytes change. */
  forget(): void {
    this.#generation++;
    this.#window = { start: 0, end: 0, isZero: [] };
  }

  /** The piece that starts at `offset`, up to `length` bytes, in storage of `size` bytes. */
  async extent(offset: number, length: number, size: number): Promise<Extent> {
    const window = await this.#windowAt(offset, size);
    const first = Math.floor((offset - window.start) / SCAN_GRAIN);
    const isZero = window.isZero[first] === true;
    let after = first + 1;
    while (after < window.isZero.length && window.isZero[after] === isZero) after++;
    const runEnd = Math.min(window.start + after * SCAN_GRAIN, window.end, offset + length);
    return { offset, length: runEnd - offset, kind: isZero ? "zero" : "data" };
  }

  async #windowAt(offset: number, size: number): Promise<ScannedWindow> {
    const known = this.#window;
    if (offset >= known.start && offset < known.end) return known;
    const generation = this.#generation;
    const start = Math.floor(offset / SCAN_GRAIN) * SCAN_GRAIN;
    const end = Math.min(size, start + SCAN_WINDOW);
    const window = { start, end, isZero: await this.#inspect(start, end - start) };
    if (generation === this.#generation) this.#window = window;
    return window;
  }
}
