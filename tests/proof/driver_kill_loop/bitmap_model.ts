/**
 * What bitmaps have to say after their process was killed or has closed its log, from what it told.
 *
 * - A bitmap that is not inconsistent has the bit of every granule that was written, and
 *   acknowledged, while it recorded; more bits than that do no harm.
 * - A bitmap that an image has kept once is there until it is removed; one that was added since
 *   goes with its process, as in QEMU.
 */
import { ok as assert } from "node:assert/strict";
import { GRANULE } from "./bitmap_plan.ts";

interface Known {
  readonly granules: Set<number>;
  isEnabled: boolean;
  /** True once an image was seen to keep it. */
  isKept: boolean;
  /** True once it was seen to be inconsistent: it stays so. */
  isLost: boolean;
}

interface Change {
  readonly verb: "add" | "remove" | "clear" | "enable" | "disable" | "merge";
  readonly bitmap: string;
  readonly other?: string;
  readonly isDisabled?: boolean;
}

/** A bitmap that an image keeps. */
export interface FoundBitmap {
  readonly name: string;
  readonly isInconsistent: boolean;
  /** Numbers of the granules whose bit is set. */
  readonly granules: ReadonlySet<number>;
}

/** See the head of this file. */
export class BitmapModel {
  readonly #known = new Map<string, Known>();
  #write: readonly [offset: number, length: number] | undefined;
  #change: Change | undefined;

  /** Takes a line of the process. */
  take(line: string): void {
    if (line.startsWith("will ")) {
      const [offset, length] = line.split(" ").slice(1).map(Number) as [number, number];
      this.#write = [offset, length];
    } else if (line === "did") this.#mark();
    else if (line.startsWith("verb ")) this.#change = JSON.parse(line.slice(5)) as Change;
    else if (line.startsWith("begin ") && line.endsWith(" full")) {
      this.#change = { verb: "add", bitmap: "daily" };
    } else if (line === "ok" || line === "no") {
      const change = this.#change;
      this.#change = undefined;
      if (line === "ok" && change !== undefined) this.#apply(change);
    }
  }

  /**
   * Compares with what an image keeps now.
   *
   * @param isClosed true if the process closed its log; else it was killed
   */
  look(found: readonly FoundBitmap[], isClosed: boolean): void {
    const change = this.#change;
    this.#change = this.#write = undefined;
    for (const { name, isInconsistent, granules } of found) {
      const known = this.#known.get(name);
      assert(known !== undefined || change?.verb === "add", `bitmap ${name} was removed`);
      if (isInconsistent) continue;
      assert(known !== undefined, `bitmap ${name} was added by a process that was killed`);
      assert(!known.isLost, `bitmap ${name} was inconsistent, and is no more`);
      const missing = [...known.granules].filter((granule) => !granules.has(granule));
      assert(missing.length === 0, `bitmap ${name} misses the granules ${missing}`);
    }
    for (const [name, known] of this.#known) {
      const now = found.find((each) => each.name === name);
      if (now !== undefined) {
        assert(!isClosed || known.isLost || !now.isInconsistent, `bitmap ${name} was lost`);
        known.isKept = true;
        known.isLost = now.isInconsistent;
        continue;
      }
      const mayBeGone = change?.bitmap === name && change.verb === "remove";
      assert(mayBeGone || (!known.isKept && !isClosed), `bitmap ${name} is not there any more`);
      this.#known.delete(name);
    }
  }

  #mark(): void {
    const [offset, length] = this.#write!;
    this.#write = undefined;
    for (const { granules, isEnabled } of this.#known.values()) {
      if (!isEnabled) continue;
      const end = Math.ceil((offset + length) / GRANULE);
      for (let at = Math.floor(offset / GRANULE); at < end; at++) granules.add(at);
    }
  }

  #apply({ verb, bitmap, other, isDisabled }: Change): void {
    const known = this.#known.get(bitmap);
    if (verb === "add") {
      const isEnabled = isDisabled !== true;
      const fresh = { granules: new Set<number>(), isEnabled, isKept: false, isLost: false };
      this.#known.set(bitmap, fresh);
    } else if (verb === "remove") this.#known.delete(bitmap);
    else if (verb === "clear") known!.granules.clear();
    else if (verb !== "merge") known!.isEnabled = verb === "enable";
    else for (const at of this.#known.get(other!)!.granules) known!.granules.add(at);
  }

  /** A backup has taken what a bitmap said. */
  empty(bitmap: string): void {
    this.#known.get(bitmap)?.granules.clear();
  }
}
