/**
 * Reads what `strace -f -y -xx` has written: one system call after the other, in the order of their
 * returns, with the exact bytes of every string.
 */
import { Buffer } from "node:buffer";

/** A system call that has returned. */
export interface SystemCall {
  /** Such as `pwrite64`. */
  readonly name: string;
  /** The text between its brackets. */
  readonly args: string;
  /** What it returned; negative = it failed. */
  readonly result: number;
}

/** Options of strace under which its output can be read here. */
export const STRACE_OPTIONS: readonly string[] = [
  "-f",
  "--seccomp-bpf",
  "-y",
  "-xx",
  "-s",
  "20000000",
  "-e",
  "signal=none",
  "-e",
  `trace=${
    [
      ["open", "openat", "openat2", "creat", "close", "dup", "dup2", "dup3", "mmap"],
      ["write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "copy_file_range"],
      ["splice", "truncate", "ftruncate", "fallocate", "fsync", "fdatasync", "sync"],
      ["sync_file_range", "syncfs", "rename", "renameat", "renameat2", "unlink", "unlinkat"],
      ["link", "linkat", "symlink", "symlinkat", "lseek", "io_uring_setup"],
    ].flat().join(",")
  }`,
];

const CALL = /^([a-z][a-z0-9_]*)\((.*)\)\s+= (-?\d+|\?|0x[0-9a-f]+)/s;
const UNFINISHED = " <unfinished ...>";
const RESUMED = /^<\.\.\. [a-z0-9_]+ resumed>/;

/** Joins and reads lines; feed it every line in order. */
export class CallReader {
  readonly #open = new Map<string, string>();

  /** Gives the call that returned with this line, if one did. */
  read(line: string): SystemCall | undefined {
    const space = line.indexOf(" ");
    const pid = line.slice(0, space);
    let text = line.slice(space + 1).trimStart();
    if (text.endsWith(UNFINISHED)) {
      this.#open.set(pid, text.slice(0, -UNFINISHED.length));
      return undefined;
    }
    const resumed = RESUMED.exec(text);
    if (resumed !== null) {
      text = (this.#open.get(pid) ?? "") + text.slice(resumed[0].length);
      this.#open.delete(pid);
    }
    const call = CALL.exec(text);
    if (call === null) return undefined;
    const [, name = "", args = "", result = ""] = call;
    return { name, args, result: result === "?" ? -1 : Number(result) };
  }
}

/** The bytes of a string that strace wrote as `\x41\x42...`, without its quotes. */
export function bytesOf(hex: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(hex.replaceAll("\\x", ""), "hex"));
}

/** The text of such a string. */
export function textOf(hex: string): string {
  return new TextDecoder().decode(bytesOf(hex));
}

/** The strings among the arguments of a call, still in hexadecimal. */
export function stringsOf(args: string): readonly string[] {
  return [...args.matchAll(/"([^"]*)"/g)].map(([, text = ""]) => text);
}
