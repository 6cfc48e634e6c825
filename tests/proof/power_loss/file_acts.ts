/**
 * What a process did to the files of one folder, in terms of what a disk may lose.
 *
 * Only the folder's own files count, and one file elsewhere into which the process tells what it
 * has acknowledged. A call on the folder that is not understood throws: a proof that overlooks a
 * way to write would prove nothing. The index of the WAL (`-shm`) is memory that happens to be a
 * file; what is written through its mapping is not seen, and need not survive.
 */
import { dirname } from "node:path";
import { bytesOf, stringsOf, type SystemCall, textOf } from "./system_calls.ts";

/** One act; a file keeps its number under all its names. */
export type FileAct =
  | { readonly kind: "create"; readonly file: number; readonly path: string }
  | {
    readonly kind: "write";
    readonly file: number;
    readonly offset: number;
    readonly bytes: Uint8Array;
  }
  | { readonly kind: "resize"; readonly file: number; readonly size: number }
  | { readonly kind: "sync"; readonly file: number; readonly path: string }
  | { readonly kind: "syncFolder" }
  | { readonly kind: "rename"; readonly from: string; readonly to: string }
  | { readonly kind: "unlink"; readonly path: string }
  | { readonly kind: "told"; readonly line: string };

interface Opened {
  readonly file: number | "folder" | "told";
  readonly path: string;
  offset: number;
}

const IGNORED = ["close", "lseek", "dup", "dup2", "dup3", "mmap"];

/** Turns calls into acts; feed it every call in order. */
export class ActReader {
  readonly #folder: string;
  readonly #toldPath: string;
  readonly #files = new Map<string, { readonly file: number; size: number }>();
  readonly #sizes = new Map<number, number>();
  readonly #opened = new Map<number, Opened>();
  #count = 0;

  /** @param files names and sizes of what is in the folder at first; numbered from 1 on */
  constructor(folder: string, toldPath: string, files: readonly (readonly [string, number])[]) {
    this.#folder = folder;
    this.#toldPath = toldPath;
    for (const [path, size] of files) this.#add(path, size);
  }

  /** The acts of one call. */
  read({ name, args, result }: SystemCall): readonly FileAct[] {
    if (result < 0) return [];
    if (name === "openat" || name === "open" || name === "creat") {
      return this.#open(args, result);
    }
    if (name === "rename" || name === "renameat" || name === "renameat2") return this.#rename(args);
    if (name === "unlink" || name === "unlinkat") return this.#unlink(args);
    if (name === "mmap") return this.#map(args);
    if (name === "io_uring_setup") throw notUnderstood(name, "it was used");
    const number = Number(/^\d+/.exec(args)?.[0] ?? -1);
    const opened = this.#opened.get(number);
    if (opened === undefined) return this.#elsewhere(name, args);
    if (name === "close") this.#opened.delete(number);
    return this.#change(name, args, result, opened);
  }

  #add(path: string, size: number): number {
    this.#count += 1;
    this.#files.set(path, { file: this.#count, size });
    this.#sizes.set(this.#count, size);
    return this.#count;
  }

  #isInside(path: string): boolean {
    return dirname(path) === this.#folder;
  }

  #open(args: string, number: number): readonly FileAct[] {
    const path = textOf(stringsOf(args)[0] ?? "");
    this.#opened.delete(number);
    if (path === this.#folder) this.#opened.set(number, { file: "folder", path, offset: 0 });
    if (path === this.#toldPath) this.#opened.set(number, { file: "told", path, offset: 0 });
    if (!this.#isInside(path)) return [];
    const acts: FileAct[] = [];
    let file = this.#files.get(path)?.file;
    if (file === undefined) {
      file = this.#add(path, 0);
      acts.push({ kind: "create", file, path });
    } else if (/\bO_TRUNC\b/.test(args)) {
      acts.push(this.#resize(file, 0));
    }
    this.#opened.set(number, { file, path, offset: 0 });
    return acts;
  }

  #resize(file: number, size: number): FileAct {
    this.#sizes.set(file, size);
    return { kind: "resize", file, size };
  }

  #rename(args: string): readonly FileAct[] {
    const [from = "", to = ""] = stringsOf(args).map(textOf);
    if (!this.#isInside(from) && !this.#isInside(to)) return [];
    const moved = this.#files.get(from);
    if (moved === undefined || !this.#isInside(to)) throw notUnderstood("rename", `${from} ${to}`);
    this.#files.delete(from);
    this.#files.set(to, moved);
    return [{ kind: "rename", from, to }];
  }

  #unlink(args: string): readonly FileAct[] {
    const path = textOf(stringsOf(args)[0] ?? "");
    return this.#files.delete(path) ? [{ kind: "unlink", path }] : [];
  }

  #map(args: string): readonly FileAct[] {
    const number = Number(/, (-?\d+)(?:<[^>]*>(?:\(deleted\))?)?, \w+$/.exec(args)?.[1] ?? -1);
    const path = this.#opened.get(number)?.path ?? "";
    if (!this.#isInside(path) || path.endsWith("-shm")) return [];
    if (!/MAP_SHARED/.test(args) || !/PROT_WRITE/.test(args)) return [];
    throw notUnderstood("mmap", path);
  }

  #elsewhere(name: string, args: string): readonly FileAct[] {
    const hex = /<((?:\\x[0-9a-f]{2})+)>/.exec(args)?.[1];
    if (!IGNORED.includes(name) && hex !== undefined && this.#isInside(textOf(hex))) {
      throw notUnderstood(name, textOf(hex));
    }
    return [];
  }

  #change(name: string, args: string, result: number, opened: Opened): readonly FileAct[] {
    const { file, path } = opened;
    if (file === "told") {
      if (name !== "write" && name !== "pwrite64") return [];
      const lines = textOf(stringsOf(args)[0] ?? "").split("\n").filter((line) => line !== "");
      return lines.map((line) => ({ kind: "told", line }));
    }
    if (name === "fsync" || name === "fdatasync") {
      return file === "folder" ? [{ kind: "syncFolder" }] : [{ kind: "sync", file, path }];
    }
    if (file === "folder" || name === "close") return [];
    if (name === "lseek") {
      opened.offset = result;
      return [];
    }
    if (name === "write" || name === "pwrite64") {
      const text = stringsOf(args)[0] ?? "";
      const bytes = bytesOf(text).subarray(0, result);
      if (bytes.length !== result) throw notUnderstood(name, "bytes are missing");
      const offset = name === "write" ? opened.offset : Number(/, (\d+)$/.exec(args)?.[1]);
      if (name === "write") opened.offset += result;
      this.#sizes.set(file, Math.max(this.#sizes.get(file) ?? 0, offset + result));
      return [{ kind: "write", file, offset, bytes }];
    }
    if (name === "ftruncate") return [this.#resize(file, lastNumber(args))];
    if (name === "fallocate" && /, 0, \d+, \d+$/.test(args)) {
      const [start = 0, length = 0] = args.split(", ").slice(-2).map(Number);
      const size = this.#sizes.get(file) ?? 0;
      return start + length > size ? [this.#resize(file, start + length)] : [];
    }
    throw notUnderstood(name, path);
  }
}

function lastNumber(args: string): number {
  return Number(/(\d+)$/.exec(args)?.[1]);
}

function notUnderstood(name: string, what: string): Error {
  return new Error(`Cannot follow "${name}": ${what}`);
}
