/**
 * Regular files and block devices over node:fs: the only file of this room that touches the
 * operating system.
 *
 * - A file is opened once and accessed at positions; its name is not looked at again, except to
 *   remove a file that this very object created.
 * - `close` waits for what is in flight: a descriptor that is closed too early may by then belong
 *   to another file.
 * - Anything but a regular file or a block device is refused before it is opened, since opening a
 *   pipe would wait for its other end.
 *
 * May be used by `file_node.ts`, which makes a node of it.
 */

import * as fs from "node:fs";
import { resolve as resolvePath } from "node:path";
import { BlockError, blockErrorOf, openErrorOf } from "./errors.ts";
import { fileIdentity } from "./file_identity.ts";

/** What is done when the file is not there. */
export type FileCreation = "never" | "ifMissing" | "exclusive";

/** How a file is opened. */
export interface FileOptions {
  /** Opens for reading only. @default false */
  readonly readOnly?: boolean;
  /**
   * `never`: it must exist. `ifMissing`: it is made if need be. `exclusive`: it must not exist.
   * Making and looking are one step, so that two programs cannot both make it.
   * @default "never"
   */
  readonly create?: FileCreation;
  /** Folder against which a relative path resolves. @default the process's working folder */
  readonly folder?: string;
}

/** What is known about an opened file at one moment. */
export interface FileFacts {
  /** Length in bytes. */
  readonly size: number;
  /** Bytes that it takes on its device; less than `size` if it has holes. */
  readonly allocatedBytes: number;
  /** The same for the same file, whatever it is called. */
  readonly identity: string;
  /** Time of the last change of its bytes, in nanoseconds since 1970 UTC. */
  readonly modifiedNs: bigint;
  /** True for a regular file that has no name any more and vanishes when it is closed. */
  readonly isDeleted: boolean;
  /** True for a block device, whose size cannot be changed. */
  readonly isDevice: boolean;
}

type Callback<T> = (error: Error | null, value?: T) => void;

function call<T>(start: (done: Callback<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => error ? reject(error) : resolve(value as T));
  });
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

/** Source: Linux sys/sysmacros.h, gnu_dev_major and gnu_dev_minor. */
function deviceNumbers(rdev: bigint): string {
  const major = (rdev >> 8n & 0xfffn) | (rdev >> 32n & 0xfffff000n);
  const minor = (rdev & 0xffn) | (rdev >> 12n & 0xffffff00n);
  return `${major}:${minor}`;
}

async function deviceSize(path: string, rdev: bigint): Promise<number> {
  // stat says 0 for a device and node:fs has no ioctl; Linux tells the size in 512-byte units.
  const told = `/sys/dev/block/${deviceNumbers(rdev)}/size`;
  try {
    const text = await call<string>((done) => fs.readFile(told, "utf8", done));
    return Number(text.trim()) * 512;
  } catch (error) {
    throw blockErrorOf("open", `find the size of the block device "${path}"`, path, error);
  }
}

async function checkKind(path: string): Promise<void> {
  const stats = await call<fs.Stats>((done) => fs.stat(path, done));
  if (stats.isFile() || stats.isBlockDevice()) return;
  const code = stats.isDirectory() ? "EISDIR" : "EINVAL";
  const found = stats.isDirectory() ? "a folder" : "a pipe, a socket or a character device";
  throw new BlockError(
    code,
    `Cannot open "${path}": expected a regular file or a block device, found ${found}`,
    { operation: "open", subject: path },
  );
}

async function openDescriptor(
  path: string,
  options: FileOptions,
): Promise<{ readonly fd: number; readonly isCreated: boolean }> {
  const create = options.create ?? "never";
  if (create !== "never") {
    try {
      const fd = await call<number>((done) => fs.open(path, "wx+", 0o644, done));
      return { fd, isCreated: true };
    } catch (error) {
      const mayExist = codeOf(error) === "EEXIST" || codeOf(error) === "EISDIR";
      if (create === "exclusive" || !mayExist) throw error;
    }
  }
  await checkKind(path);
  const fd = await call<number>((done) => fs.open(path, options.readOnly ? "r" : "r+", done));
  return { fd, isCreated: false };
}

/** An opened regular file or block device. */
export class DiskFile {
  /** The path that was opened; absolute if a folder was given. */
  readonly path: string;
  /** True if opening made the file. */
  readonly isCreated: boolean;
  /** True if it is open for reading only. */
  readonly isReadOnly: boolean;
  #fd: number | undefined;
  #reopening: Promise<number> | undefined;
  #identity = "";
  #isClosed = false;
  #inFlightCount = 0;
  #onIdle: (() => void) | undefined;

  private constructor(path: string, fd: number, isCreated: boolean, isReadOnly: boolean) {
    this.path = path;
    this.#fd = fd;
    this.isCreated = isCreated;
    this.isReadOnly = isReadOnly;
  }

  /**
   * Opens a file.
   *
   * @throws {BlockError} with the errno when it is missing, unreadable, a folder, a pipe or, for
   * `exclusive`, there already
   */
  static async open(path: string, options: FileOptions = {}): Promise<DiskFile> {
    const resolved = options.folder === undefined ? path : resolvePath(options.folder, path);
    try {
      const { fd, isCreated } = await openDescriptor(resolved, options);
      return new DiskFile(resolved, fd, isCreated, options.readOnly === true);
    } catch (error) {
      throw openErrorOf(resolved, (options.create ?? "never") !== "never", error);
    }
  }

  /** Looks at the file as it is now. */
  async facts(): Promise<FileFacts> {
    const stats = await this.#tracked(
      "read",
      `look at "${this.path}"`,
      (fd) => call<fs.BigIntStats>((done) => fs.fstat(fd, { bigint: true }, done)),
    );
    const isDevice = stats.isBlockDevice();
    const size = isDevice ? await deviceSize(this.path, stats.rdev) : Number(stats.size);
    return {
      size,
      allocatedBytes: isDevice ? size : Number(stats.blocks) * 512,
      identity: fileIdentity(stats),
      modifiedNs: stats.mtimeNs,
      isDeleted: !isDevice && stats.nlink === 0n,
      isDevice,
    };
  }

  /** Fills `bytes` from `position` on; ending early is an EIO error that says where. */
  async read(position: number, bytes: Uint8Array): Promise<void> {
    const length = bytes.byteLength;
    await this.#tracked("read", `read "${this.path}" at ${position}`, async (fd) => {
      for (let done = 0; done < length;) {
        const count = await call<number>((cb) =>
          fs.read(fd, bytes, done, length - done, position + done, cb)
        );
        if (count === 0) {
          const action = `Cannot read "${this.path}" at ${position}`;
          const state = `expected ${length} bytes, the file ends after ${done}`;
          const details = { operation: "read", subject: this.path } as const;
          throw new BlockError("EIO", `${action}: ${state}`, details);
        }
        done += count;
      }
    });
  }

  /** Writes all of `bytes` at `position`. */
  async write(position: number, bytes: Uint8Array): Promise<void> {
    const length = bytes.byteLength;
    await this.#tracked("write", `write "${this.path}" at ${position}`, async (fd) => {
      for (let done = 0; done < length;) {
        done += await call<number>((cb) =>
          fs.write(fd, bytes, done, length - done, position + done, cb)
        );
      }
    });
  }

  /** Runs an access by other means than this descriptor; `close` waits for it, too. */
  beside<T>(access: () => Promise<T>): Promise<T> {
    return this.#tracked("read", `use "${this.path}"`, access);
  }

  /** Changes the length; growing adds a hole. */
  async truncate(size: number): Promise<void> {
    await this.#tracked(
      "resize",
      `resize "${this.path}" to ${size} bytes`,
      (fd) => call<void>((done) => fs.ftruncate(fd, size, done)),
    );
  }

  /** Resolves when all that was written before would survive a power cut (fdatasync). */
  async flush(): Promise<void> {
    await this.#tracked(
      "flush",
      `flush "${this.path}"`,
      (fd) => call<void>((done) => fs.fdatasync(fd, done)),
    );
  }

  /** Removes the name, but only if this object made the file and the name still stands for it. */
  async removeCreated(): Promise<void> {
    if (!this.isCreated) return;
    const own = await this.facts();
    try {
      const named = await call<fs.BigIntStats>((done) =>
        fs.lstat(this.path, { bigint: true }, done)
      );
      if (`file ${named.dev}:${named.ino}` !== own.identity) return;
      await call<void>((done) => fs.unlink(this.path, done));
    } catch (error) {
      if (codeOf(error) !== "ENOENT") {
        throw blockErrorOf("write", `remove "${this.path}"`, this.path, error);
      }
    }
  }

  /** Lets go of the descriptor until the next access, unless something is in flight. */
  async rest(): Promise<void> {
    if (this.#isClosed || this.#fd === undefined || this.#inFlightCount > 0) return;
    this.#identity = (await this.facts()).identity;
    const fd = this.#fd;
    if (this.#isClosed || this.#inFlightCount > 0) return;
    this.#fd = undefined;
    await call<void>((done) => fs.close(fd, done));
  }

  async #reopen(): Promise<number> {
    try {
      const { fd } = await openDescriptor(this.path, { readOnly: this.isReadOnly });
      const stats = await call<fs.BigIntStats>((done) => fs.fstat(fd, { bigint: true }, done));
      if (fileIdentity(stats) === this.#identity) return this.#fd = fd;
      fs.closeSync(fd);
    } finally {
      this.#reopening = undefined;
    }
    const hint = "Put the file back under its name, or start anew.";
    const details = { operation: "open", subject: this.path, hint } as const;
    const text = `Cannot go on with "${this.path}": another file has its name`;
    throw new BlockError("ESTALE", text, details);
  }

  /** Waits for what is in flight and lets go of the descriptor. A second call does nothing. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#inFlightCount > 0) await new Promise<void>((resolve) => this.#onIdle = resolve);
    try {
      const fd = this.#fd;
      if (fd !== undefined) await call<void>((done) => fs.close(fd, done));
    } catch (error) {
      throw blockErrorOf("close", `close "${this.path}"`, this.path, error);
    }
  }

  async #tracked<T>(
    operation: "read" | "write" | "resize" | "flush",
    action: string,
    work: (fd: number) => Promise<T>,
  ): Promise<T> {
    if (this.#isClosed) {
      const details = { operation, subject: this.path };
      throw new BlockError("EBADF", `Cannot ${action}: it is closed`, details);
    }
    this.#inFlightCount++;
    try {
      return await work(this.#fd ?? await (this.#reopening ??= this.#reopen()));
    } catch (error) {
      throw blockErrorOf(operation, action, this.path, error);
    } finally {
      this.#inFlightCount--;
      if (this.#inFlightCount === 0) this.#onIdle?.();
    }
  }
}
