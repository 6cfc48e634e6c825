/**
 * Reading a state that copy-before-write keeps, while its source is written.
 *
 * - Each piece is read where it is: copied ones from the target, others from below the filter.
 * - Reading below the filter makes writers to the same range wait.
 *
 * May be used by drivers and by whoever builds graphs of nodes.
 */

import type { DirtyMap } from "../dirty_map.ts";
import { BlockError } from "../errors.ts";
import { type BlockNode, checkRange, checkWritable, type Extent } from "../node.ts";
import type { CopyBeforeWrite } from "./copy_before_write.ts";

/**
 * Shows the state that a copy-before-write filter keeps, while its source is written.
 *
 * Reads what was copied from the target and the rest from below the filter, where writers wait
 * meanwhile. Only what was to be copied when it was opened can be read.
 * Source: QEMU 7.2 block/snapshot-access.c, block/copy-before-write.c.
 */
export class SnapshotAccess implements BlockNode {
  /** Bytes; cannot be changed. */
  readonly size: number;
  /** It is never written. */
  readonly isReadOnly = true;
  readonly #filter: CopyBeforeWrite;
  readonly #readable: DirtyMap;

  /** @param filter the filter that keeps the state */
  constructor(filter: CopyBeforeWrite) {
    const { copy } = filter;
    this.#filter = filter;
    this.size = copy.source.size;
    this.#readable = copy.covered();
  }

  /** Name of the source. */
  get name(): string {
    return this.#filter.name;
  }

  /** Its bytes are those of no other node. */
  get identity(): string {
    return `snapshot of ${this.#filter.identity}`;
  }

  /** @throws {BlockError} EACCES when the snapshot is broken or never had these bytes */
  async read(offset: number, bytes: Uint8Array): Promise<void> {
    checkRange(this, "read", offset, bytes.byteLength);
    for (let done = 0; done < bytes.byteLength;) {
      const left = bytes.byteLength - done;
      done += await this.#during(offset + done, left, async (node, length) => {
        await node.read(offset + done, bytes.subarray(done, done + length));
        return length;
      });
    }
  }

  /** {@inheritDoc BlockNode.extent} */
  async extent(offset: number, length: number): Promise<Extent> {
    checkRange(this, "read", offset, length);
    if (length === 0) return { offset, length, kind: "data" };
    return await this.#during(offset, length, (node, piece) => node.extent(offset, piece));
  }

  /** @throws {BlockError} EBADF always */
  async write(): Promise<void> {
    await this.#refuse();
  }

  /** @throws {BlockError} EBADF always */
  async zero(): Promise<void> {
    await this.#refuse();
  }

  /** @throws {BlockError} EBADF always */
  async discard(): Promise<void> {
    await this.#refuse();
  }

  /** @throws {BlockError} EBADF always */
  async truncate(): Promise<void> {
    await this.#refuse();
  }

  /** Nothing was written here. */
  flush(): Promise<void> {
    return Promise.resolve();
  }

  /** Its size. */
  measure(): Promise<number> {
    return Promise.resolve(this.size);
  }

  /** A state that is kept does not change. */
  stamp(): Promise<string | undefined> {
    return Promise.resolve(this.identity);
  }

  /** Lets go of nothing: filter, source and target belong to others. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Calls `read` with the node that has the state from `offset` on, and how far it has. */
  async #during<T>(
    offset: number,
    length: number,
    read: (node: BlockNode, length: number) => Promise<T>,
  ): Promise<T> {
    const { copy, snapshotError } = this.#filter;
    if (snapshotError !== undefined || !this.#readable.isMarked(offset)) throw this.#denied();
    const end = Math.min(offset + length, this.#readable.nextUnmarked(offset));
    if (copy.done.isMarked(offset)) {
      return await read(copy.target, Math.min(end, copy.done.nextUnmarked(offset)) - offset);
    }
    const copied = copy.done.next(offset, copy.cluster)?.offset ?? end;
    const range = { offset, length: Math.min(end, copied) - offset };
    return await this.#filter.frozen(range, () => read(copy.source, range.length));
  }

  #denied(): BlockError {
    return new BlockError(
      "EACCES",
      `Cannot read the snapshot of "${this.name}": Permission denied`,
      {
        operation: "read",
        subject: this.name,
      },
    );
  }

  // deno-lint-ignore require-await -- the refusal is a rejection, as with any node
  async #refuse(): Promise<void> {
    checkWritable(this, "write");
  }
}
