/**
 * Copying from one file to another: in pieces, through buffers that nobody else sees.
 *
 * - Small copies are done by the file's own accesses. Once a file has taken much, the copy threads
 *   are started; from then on they copy what is no small piece, of any file. While they have enough
 *   to do, the others copy here.
 * - A copy that a thread did not do is done here: so errors are those of the file's accesses.
 *
 * Used by `file_node.ts`.
 */

import { BufferPool } from "./buffers.ts";
import { COPY_THREADS } from "./copy_thread/copy_threads.ts";
import type { ThreadFile } from "./copy_thread/messages.ts";
import type { DiskFile } from "./file.ts";

/**
 * Bytes that move in one read and one write: 512 KiB. Pieces of 256 KiB cost more calls; pieces of
 * 1 MiB are no faster and hold the event loop up three times as long on Deno.
 */
export const PIECE_BYTES = 524_288;

/**
 * What a file takes from others before the copy threads are started: 32 MiB. To start a thread
 * costs as much as to copy this.
 */
const OWN_COPY_BYTES = 33_554_432;

/** Bytes that a copy thread is asked for at once. */
const THREAD_PIECE_BYTES = 4_194_304;

/** Shared by all files; 16 MiB at most are kept. */
const PIECES = new BufferPool(PIECE_BYTES, 32);

let fileCount = 0;

/** Lends a buffer of `PIECE_BYTES` for as long as `use` runs. */
export async function withPiece<T>(use: (piece: Uint8Array) => Promise<T>): Promise<T> {
  const piece = PIECES.take();
  try {
    return await use(piece);
  } finally {
    PIECES.give(piece);
  }
}

/** The copies from and to one file. */
export class FileCopies {
  readonly #file: DiskFile;
  readonly #threadFile: ThreadFile;
  #takenBytes = 0;

  /** @param identity what the file is known by: see `fileIdentity` */
  constructor(file: DiskFile, identity: string) {
    const { path, isReadOnly } = file;
    this.#file = file;
    this.#threadFile = { id: ++fileCount, path, identity, isReadOnly };
  }

  /**
   * Copies `length` bytes at `from` of another file to `to` of this one. Stops at the first error.
   *
   * @throws {BlockError} as reading the one or writing the other
   */
  async copy(source: FileCopies, from: number, to: number, length: number): Promise<void> {
    for (let done = 0; done < length;) {
      const part = [source, from + done, to + done, length - done] as const;
      done += await this.#onThread(...part) || await this.#here(...part);
    }
  }

  /** Has the threads close the file; a later copy opens it again. */
  letGo(): void {
    COPY_THREADS.close(this.#threadFile.id);
  }

  /** Copies the first piece of a range; returns its length. */
  async #here(source: FileCopies, from: number, to: number, length: number): Promise<number> {
    const count = Math.min(PIECE_BYTES, length);
    this.#takenBytes += count;
    await withPiece(async (piece) => {
      const bytes = piece.subarray(0, count);
      await source.#file.read(from, bytes);
      await this.#file.write(to, bytes);
    });
    return count;
  }

  /** The same by a copy thread, if it is worth it and one has room; 0 = it was not done. */
  async #onThread(other: FileCopies, from: number, to: number, length: number): Promise<number> {
    // One that runs costs a message, and one that does not must be started.
    const isRunning = COPY_THREADS.runningCount > 0 && length >= PIECE_BYTES;
    if (!isRunning && this.#takenBytes < OWN_COPY_BYTES || COPY_THREADS.isBusy) return 0;
    const count = Math.min(THREAD_PIECE_BYTES, length);
    const [source, target] = [other.#threadFile, this.#threadFile];
    const copy = () => COPY_THREADS.copy({ source, from, target, to, length: count });
    return await this.#file.beside(() => other.#file.beside(copy)) ? count : 0;
  }
}
