/**
 * A disk that forgets what was not synced.
 *
 * - Of a file, what was written after its last sync may be there or not, sector by sector and each
 *   sector as any of the writes left it; its size is one of those that it had since then.
 * - Of the folder, what was created, renamed or removed after its last sync may have happened or
 *   not. A rename happens as one.
 * - What was never written reads as zeros.
 */
import type { FileAct } from "./file_acts.ts";

/** Bytes that a disk writes as one. */
export const SECTOR_BYTES = 512;

/** Gives numbers in [0, 1). */
export type Random = () => number;

/** What a power loss leaves: nothing unsynced, everything, or something between. */
export type LossMode = "synced" | "written" | "mixed";

/** The files of a folder by path. */
export type DiskImage = ReadonlyMap<string, Uint8Array>;

interface Change {
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** Size of the file after it. */
  readonly size: number;
  /** True if `bytes` are the zeros in place of what was cut off. */
  readonly isCut: boolean;
}

/** Bytes that grow. */
class Content {
  #bytes = new Uint8Array(0);
  size = 0;

  constructor(bytes: Uint8Array) {
    this.write(0, bytes, bytes.length);
  }

  write(offset: number, bytes: Uint8Array, size: number): void {
    const needed = Math.max(size, offset + bytes.length);
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, offset);
    this.size = size;
  }

  copy(size: number): Uint8Array {
    const copy = new Uint8Array(size);
    copy.set(this.#bytes.subarray(0, Math.min(size, this.size)));
    return copy;
  }
}

class DiskFile {
  readonly #durable: Content;
  readonly #written: Content;
  #changes: Change[] = [];

  constructor(bytes: Uint8Array) {
    this.#durable = new Content(bytes);
    this.#written = new Content(bytes);
  }

  write(offset: number, bytes: Uint8Array): void {
    const size = Math.max(this.#written.size, offset + bytes.length);
    this.#change({ offset, bytes, size, isCut: false });
  }

  /** What is cut off reads as zeros if the file grows again. */
  resize(size: number): void {
    const cut = Math.max(0, this.#written.size - size);
    const offset = Math.min(size, this.#written.size);
    this.#change({ offset, bytes: new Uint8Array(cut), size, isCut: cut > 0 });
  }

  #change(change: Change): void {
    this.#written.write(change.offset, change.bytes, change.size);
    this.#changes.push(change);
  }

  sync(): void {
    for (const { offset, bytes, size } of this.#changes) this.#durable.write(offset, bytes, size);
    this.#changes = [];
  }

  image(mode: LossMode, random: Random): Uint8Array {
    if (mode === "synced") return this.#durable.copy(this.#durable.size);
    if (mode === "written") return this.#written.copy(this.#written.size);
    const changes = this.#changes;
    const sizes = [this.#durable.size, ...changes.map(({ size }) => size)];
    const last = random() < 0.5 ? changes.length : Math.floor(random() * sizes.length);
    const image = this.#durable.copy(Math.max(...sizes));
    const lastOf = this.#chooser(random);
    // Beyond this nothing is seen, because a cut before it has not happened.
    let edge = Infinity;
    for (const [index, { offset, bytes, isCut }] of changes.entries()) {
      if (isCut && index >= last) edge = Math.min(edge, offset);
      else if (isCut) image.set(bytes, offset);
      else writeSectors(image, offset, bytes, edge, (sector) => index <= lastOf(sector));
    }
    return image.subarray(0, sizes[last]);
  }

  /** Chooses for each sector the last change that reached it; how many are whole varies. */
  #chooser(random: Random): (sector: number) => number {
    const none = random() ** 2;
    const all = none + (1 - none) * random();
    const chosen = new Map<number, number>();
    return (sector) => {
      let last = chosen.get(sector);
      if (last === undefined) {
        const share = random();
        if (share < none) last = -1;
        else if (share < all) last = Infinity;
        else last = Math.floor(random() * this.#changes.length);
        chosen.set(sector, last);
      }
      return last;
    };
  }
}

/** Writes those sectors of a change that are seen. */
function writeSectors(
  image: Uint8Array,
  offset: number,
  bytes: Uint8Array,
  edge: number,
  isSeen: (sector: number) => boolean,
): void {
  const end = Math.min(offset + bytes.length, edge);
  for (let start = offset; start < end;) {
    const sector = Math.floor(start / SECTOR_BYTES);
    const stop = Math.min(end, (sector + 1) * SECTOR_BYTES);
    if (isSeen(sector)) image.set(bytes.subarray(start - offset, stop - offset), start);
    start = stop;
  }
}

type NameChange = readonly (readonly [path: string, file: number | undefined])[];

/** See the head of this file. */
export class Disk {
  readonly #files = new Map<number, DiskFile>();
  readonly #durableNames = new Map<string, number>();
  readonly #names = new Map<string, number>();
  #changes: NameChange[] = [];

  /** @param image what is on the disk at first; files are numbered from 1 on */
  constructor(image: DiskImage = new Map()) {
    for (const [path, bytes] of image) {
      const file = this.#files.size + 1;
      this.#files.set(file, new DiskFile(bytes));
      this.#names.set(path, file);
      this.#durableNames.set(path, file);
    }
  }

  /** Does what a process did. */
  apply(act: FileAct): void {
    switch (act.kind) {
      case "create":
        this.#files.set(act.file, new DiskFile(new Uint8Array(0)));
        return this.#name([[act.path, act.file]]);
      case "rename":
        return this.#name([[act.to, this.#names.get(act.from)], [act.from, undefined]]);
      case "unlink":
        return this.#name([[act.path, undefined]]);
      case "write":
        return this.#files.get(act.file)?.write(act.offset, act.bytes);
      case "resize":
        return this.#files.get(act.file)?.resize(act.size);
      case "sync":
        return this.#files.get(act.file)?.sync();
      case "syncFolder":
        for (const change of this.#changes) setNames(this.#durableNames, change);
        this.#changes = [];
    }
  }

  #name(change: NameChange): void {
    setNames(this.#names, change);
    this.#changes.push(change);
  }

  /** What is found after a power loss now. */
  image(mode: LossMode, random: Random): DiskImage {
    const names = new Map(mode === "written" ? this.#names : this.#durableNames);
    if (mode === "mixed") {
      const isPrefix = random() < 0.5;
      const length = Math.floor(random() * (this.#changes.length + 1));
      for (const [index, change] of this.#changes.entries()) {
        if (isPrefix ? index < length : random() < 0.5) setNames(names, change);
      }
    }
    const image = new Map<string, Uint8Array>();
    for (const [path, file] of names) image.set(path, this.#files.get(file)!.image(mode, random));
    return image;
  }
}

function setNames(names: Map<string, number>, change: NameChange): void {
  for (const [path, file] of change) {
    if (file === undefined) names.delete(path);
    else names.set(path, file);
  }
}
