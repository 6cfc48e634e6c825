/**
 * The target of a backup that compresses: what is copied to it is written as compressed clusters.
 *
 * - Zeros are made zero, as without compression.
 * - A compressed cluster is written once. What this job may have written before, and has to copy
 *   again after a failed flush or in another process, is discarded first.
 * - The last cluster is whole: what the source does not cover of it is zeros.
 *
 * Used by `job.ts`. Source: QEMU 7.2 block/block-copy.c block_copy_do_copy, block_copy_chunk_size.
 */

import { BufferPool } from "../../block/buffers.ts";
import { DirtyMap } from "../../block/dirty_map.ts";
import { BlockError, blockErrorOf } from "../../block/errors.ts";
import { FilterNode } from "../../block/filters/filter_node.ts";
import { type BlockNode, writeCompressedTo } from "../../block/node.ts";
import type { CopyTarget } from "../images/target.ts";
import type { BackupParameters } from "./parameters.ts";

/** Bytes of the largest cluster of an image: what is written at once is whole clusters of any. */
const PIECE_BYTES = 2_097_152;
const PIECES = new BufferPool(PIECE_BYTES, 4);

/** Unit in which images are counted, and sources are not. */
const SECTOR = 512;

/** How a target is written. */
export interface CompressingOptions {
  /** Unit of the backup: a multiple of the target's clusters. */
  readonly cluster: number;
  /** Bytes of the target's clusters. */
  readonly clusterSize: number;
  /** True if an earlier process of the same job may have written anywhere. */
  readonly isWritten: boolean;
}

/** A target whose writes are compressed. */
export class CompressingNode extends FilterNode {
  readonly #written: DirtyMap;
  readonly #clusterSize: number;

  /** @param child the target; it must be able to compress */
  constructor(child: BlockNode, { cluster, clusterSize, isWritten }: CompressingOptions) {
    super(child);
    this.#clusterSize = clusterSize;
    this.#written = new DirtyMap(child.size, cluster);
    if (isWritten) this.#written.mark(0, child.size);
  }

  /** Writes whole clusters compressed; parts of clusters as they are. */
  override async write(offset: number, bytes: Uint8Array): Promise<void> {
    if (!this.#isWhole(offset, bytes.byteLength)) return await super.write(offset, bytes);
    await this.#put(offset, bytes);
  }

  /** Zeros up to the end of the image where the source ends. */
  override async zero(offset: number, length: number): Promise<void> {
    await super.zero(offset, this.#endOf(offset + length) - offset);
  }

  /** Copies by itself, since it alone knows what may be written at once. */
  async copyRange(source: BlockNode, from: number, to: number, length: number): Promise<void> {
    const buffer = PIECES.take();
    try {
      for (let done = 0; done < length; done += PIECE_BYTES) {
        const bytes = buffer.subarray(0, Math.min(PIECE_BYTES, length - done));
        await source.read(from + done, bytes);
        await this.#putAsTarget(to + done, bytes);
      }
    } finally {
      PIECES.give(buffer);
    }
  }

  /** A table that cannot be read is no failure of the source. */
  async #putAsTarget(offset: number, bytes: Uint8Array): Promise<void> {
    try {
      await this.write(offset, bytes);
    } catch (cause) {
      const { code, message, subject, hint } = blockErrorOf(
        "write",
        `write "${this.name}"`,
        this.name,
        cause,
      );
      throw new BlockError(code, message, { operation: "write", subject, hint, cause });
    }
  }

  async #put(offset: number, bytes: Uint8Array): Promise<void> {
    const { byteLength: length } = bytes;
    const held = this.#written.next(offset, length);
    if (held !== undefined && held.offset < offset + length) {
      await this.child.discard(offset, this.#endOf(offset + length) - offset);
    }
    await writeCompressedTo(this.child, offset, bytes);
    this.#written.mark(offset, length);
  }

  #isWhole(offset: number, length: number): boolean {
    const isEnd = length % this.#clusterSize === 0 || this.#isTail(offset + length);
    return offset % this.#clusterSize === 0 && isEnd;
  }

  #isTail(end: number): boolean {
    return end > this.size - SECTOR;
  }

  #endOf(end: number): number {
    return this.#isTail(end) ? this.size : end;
  }
}

/** What a backup writes to: the target itself, unless it is to compress. */
export function writtenNode(
  { compress }: BackupParameters,
  { node, clusterSize }: CopyTarget,
  options: Pick<CompressingOptions, "cluster" | "isWritten">,
): BlockNode {
  return compress === true ? new CompressingNode(node, { ...options, clusterSize }) : node;
}
