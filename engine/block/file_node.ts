/**
 * The node of a regular file or a block device.
 *
 * - node:fs can neither punch holes nor find them. So `zero` reads and writes only what is not
 *   zero already, `discard` does nothing, and `extent` reads, but only if the file takes less room
 *   than its size: then, and only then, it may have holes.
 * - `copyRange` works between any two file nodes, through buffers that never leave this file. Once
 *   a file takes much, the copy threads do it.
 *
 * May be used by whoever opens images; the others know the node interface alone.
 */

import { isAllZero } from "./buffers.ts";
import { copyByBuffer } from "./copy.ts";
import { BlockError } from "./errors.ts";
import { DiskFile, type FileFacts, type FileOptions } from "./file.ts";
import { FileCopies, PIECE_BYTES, withPiece } from "./file_copies.ts";
import { type BlockNode, checkRange, checkWritable, type Extent } from "./node.ts";
import { SCAN_GRAIN, ZeroScan } from "./zero_scan.ts";

function* grainsOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += SCAN_GRAIN) {
    yield bytes.subarray(at, at + SCAN_GRAIN);
  }
}

/**
 * A regular file or a block device as a node.
 *
 * @example Copies the first half of one file into another
 * ```ts ignore
 * const source = await FileNode.open("a.raw", { readOnly: true });
 * const target = await FileNode.open("b.raw", { create: "exclusive" });
 * await target.truncate(source.size / 2);
 * await target.copyRange(source, 0, 0, source.size / 2);
 * await target.flush();
 * ```
 */
export class FileNode implements BlockNode {
  /** The path as it was given. */
  readonly name: string;
  /** Device and inode: the same for hard links, symbolic links and other spellings. */
  readonly identity: string;
  /** True for a block device, whose size cannot be changed. */
  readonly isDevice: boolean;
  readonly #file: DiskFile;
  readonly #scan: ZeroScan;
  readonly #copies: FileCopies;
  #size: number;
  #mayHaveHoles: boolean;

  private constructor(file: DiskFile, facts: FileFacts) {
    this.name = file.path;
    this.identity = facts.identity;
    this.isDevice = facts.isDevice;
    this.#file = file;
    this.#copies = new FileCopies(file, facts.identity);
    this.#size = facts.size;
    // A file that is written may get holes later; for one that is only read this is settled.
    this.#mayHaveHoles = !file.isReadOnly || facts.allocatedBytes < facts.size;
    this.#scan = new ZeroScan((offset, length) => this.#inspect(offset, length));
  }

  /**
   * Opens a file.
   *
   * @throws {BlockError} with the errno when it is missing, unreadable, a folder, a pipe or, for
   * `exclusive`, there already
   */
  static async open(path: string, options: FileOptions = {}): Promise<FileNode> {
    const file = await DiskFile.open(path, options);
    try {
      return new FileNode(file, await file.facts());
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Length in bytes as of opening or of the last `truncate`. */
  get size(): number {
    return this.#size;
  }

  /** True if it was opened for reading only. */
  get isReadOnly(): boolean {
    return this.#file.isReadOnly;
  }

  /** True if opening made the file. */
  get isCreated(): boolean {
    return this.#file.isCreated;
  }

  /** {@inheritDoc BlockNode.read} */
  async read(offset: number, bytes: Uint8Array): Promise<void> {
    checkRange(this, "read", offset, bytes.byteLength);
    await this.#file.read(offset, bytes);
  }

  /** {@inheritDoc BlockNode.write} */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    checkWritable(this, "write");
    checkRange(this, "write", offset, bytes.byteLength);
    await this.#file.write(offset, bytes);
    this.#scan.forget();
  }

  /** Makes a range read as zeros: reads it, and writes only the pieces that are not zero. */
  async zero(offset: number, length: number): Promise<void> {
    checkWritable(this, "write");
    checkRange(this, "write", offset, length);
    await withPiece(async (piece) => {
      for (let done = 0; done < length; done += PIECE_BYTES) {
        const bytes = piece.subarray(0, Math.min(PIECE_BYTES, length - done));
        await this.#file.read(offset + done, bytes);
        await this.#zeroGrains(offset + done, bytes);
      }
    });
    this.#scan.forget();
  }

  /** Does nothing: node:fs cannot free a range of a file. */
  discard(offset: number, length: number): Promise<void> {
    checkWritable(this, "write");
    checkRange(this, "write", offset, length);
    return Promise.resolve();
  }

  /** Flushes the bytes and what is needed to find them again (fdatasync). */
  async flush(): Promise<void> {
    await this.#file.flush();
  }

  /** {@inheritDoc BlockNode.extent} */
  async extent(offset: number, length: number): Promise<Extent> {
    checkRange(this, "read", offset, length);
    if (!this.#mayHaveHoles || length === 0) return { offset, length, kind: "data" };
    return await this.#scan.extent(offset, length, this.#size);
  }

  /** {@inheritDoc BlockNode.truncate} */
  async truncate(size: number): Promise<void> {
    checkWritable(this, "resize");
    if (this.isDevice) {
      throw new BlockError("EINVAL", `Cannot resize "${this.name}": it is a block device`, {
        operation: "resize",
        subject: this.name,
      });
    }
    await this.#file.truncate(size);
    this.#size = size;
    this.#scan.forget();
  }

  /**
   * {@inheritDoc BlockNode.measure}
   *
   * @throws {BlockError} ENOENT when the file was deleted: what is written would vanish with it
   */
  async measure(): Promise<number> {
    const facts = await this.#file.facts();
    if (!facts.isDeleted) return facts.size;
    throw new BlockError("ENOENT", `Cannot go on with "${this.name}": it was deleted`, {
      operation: this.isReadOnly ? "read" : "write",
      subject: this.name,
    });
  }

  /** The time of the last change of the bytes; nothing for a block device. */
  async stamp(): Promise<string | undefined> {
    const facts = await this.#file.facts();
    return facts.isDevice ? undefined : String(facts.modifiedNs);
  }

  /**
   * Copies from another file, or from what lies in one. Undefined if the source is neither; parts
   * of it that lie nowhere as they are go through a buffer.
   */
  copyRange(
    source: BlockNode,
    from: number,
    to: number,
    length: number,
  ): Promise<void> | undefined {
    checkWritable(this, "write");
    checkRange(this, "write", to, length);
    checkRange(source, "read", from, length);
    const isWithin = source instanceof FileNode || source.lend !== undefined;
    return isWithin ? this.#copyThrough(source, from, to, length) : undefined;
  }

  /** Removes the file, but only if opening made it and its name still stands for it. */
  async removeCreated(): Promise<void> {
    await this.#file.removeCreated();
  }

  /** {@inheritDoc BlockNode.rest} */
  async rest(): Promise<void> {
    await this.#file.rest();
    this.#copies.letGo();
  }

  /** {@inheritDoc BlockNode.close} */
  async close(): Promise<void> {
    try {
      await this.#file.close();
    } finally {
      this.#copies.letGo();
    }
  }

  /** Overwrites those grains of what was read at `offset` that are not zero. */
  async #zeroGrains(offset: number, bytes: Uint8Array): Promise<void> {
    let at = offset;
    for (const grain of grainsOf(bytes)) {
      if (!isAllZero(grain)) await this.#file.write(at, grain.fill(0));
      at += grain.byteLength;
    }
  }

  async #copyThrough(node: BlockNode, from: number, to: number, length: number): Promise<void> {
    if (node instanceof FileNode) {
      await this.#copies.copy(node.#copies, from, to, length);
      return this.#scan.forget();
    }
    for (let done = 0; done < length;) {
      const [at, goal, left] = [from + done, to + done, length - done];
      const loan = await node.lend?.(at, left, (range) => {
        checkRange(range.node, "read", range.offset, range.length);
        return this.#copyThrough(range.node, range.offset, goal, range.length);
      }) ?? { length: left, isUsed: false };
      const part = { source: node, from: at, target: this, to: goal, length: loan.length };
      if (!loan.isUsed) await copyByBuffer(part);
      done += loan.length;
    }
  }

  async #inspect(offset: number, length: number): Promise<readonly boolean[]> {
    return await withPiece(async (piece) => {
      const isZero: boolean[] = [];
      for (let done = 0; done < length; done += PIECE_BYTES) {
        const bytes = piece.subarray(0, Math.min(PIECE_BYTES, length - done));
        await this.#file.read(offset + done, bytes);
        for (const grain of grainsOf(bytes)) isZero.push(isAllZero(grain));
      }
      return isZero;
    });
  }
}
