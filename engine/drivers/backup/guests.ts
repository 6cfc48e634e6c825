/**
 * Those who write the source beside the job: they must not change the moment that is copied.
 *
 * ```text
 * writers --> edge --> WriteNotice --> CopyBeforeWrite --> source
 *                       first write                old bytes --> target
 *                       since a checkpoint
 *                       is recorded
 * ```
 *
 * Used by `job.ts`. Source: QEMU 7.2 block/backup.c backup_job_create, block/copy-before-write.c.
 */

import type { BlockCopy } from "../../block/block_copy.ts";
import type { Edge } from "../../block/edge.ts";
import {
  CopyBeforeWrite,
  type CopyBeforeWriteOptions,
} from "../../block/filters/copy_before_write.ts";
import { FilterNode } from "../../block/filters/filter_node.ts";
import type { BlockNode } from "../../block/node.ts";

/** Records durably that the source was written since the last checkpoint. */
export type RecordWritten = () => Promise<void>;

/** Lets no write through before it is on record that there was one since the last checkpoint. */
export class WriteNotice extends FilterNode {
  readonly #record: RecordWritten;
  #recording: Promise<void> | undefined;
  #writeCount = 0;
  #inFlight = 0;

  /**
   * @param child what is written
   * @param record called for the first write, and for the first one after each `forget`
   */
  constructor(child: BlockNode, record: RecordWritten) {
    super(child);
    this.#record = record;
  }

  /** Writes that came so far. */
  get writeCount(): number {
    return this.#writeCount;
  }

  /** True while a write is under way. */
  get isWriting(): boolean {
    return this.#inFlight > 0;
  }

  /** A checkpoint is about to be taken: the next write is recorded again. */
  forget(): void {
    this.#recording = undefined;
  }

  /** {@inheritDoc BlockNode.write} */
  override async write(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#noticed(() => super.write(offset, bytes));
  }

  /** {@inheritDoc BlockNode.zero} */
  override async zero(offset: number, length: number): Promise<void> {
    await this.#noticed(() => super.zero(offset, length));
  }

  /** {@inheritDoc BlockNode.discard} */
  override async discard(offset: number, length: number): Promise<void> {
    await this.#noticed(() => super.discard(offset, length));
  }

  /** {@inheritDoc BlockNode.truncate} */
  override async truncate(size: number): Promise<void> {
    await this.#noticed(() => super.truncate(size));
  }

  async #noticed(change: () => Promise<void>): Promise<void> {
    this.#writeCount++;
    this.#inFlight++;
    try {
      this.#recording ??= this.#record();
      await this.#recording;
      await change();
    } finally {
      this.#inFlight--;
    }
  }
}

/** Where writers come in: a filter can be put in there, and taken out again. */
export interface WriterGate {
  /** Puts a filter in. `make` is called with what is below while nothing is written. */
  insert(make: (child: BlockNode) => BlockNode): Promise<void>;
  /** Takes it out again, once the writes that came before are through. Safe to call twice. */
  remove(): Promise<void>;
  /** The job is over: gives up the place. Safe to call twice. Absent = there is none to give up. */
  close?(): Promise<void>;
}

/** An edge as a gate, for whoever has no graph of nodes. */
export function gateOf(edge: Edge): WriterGate {
  let inserted: { readonly filter: BlockNode; readonly child: BlockNode } | undefined;
  return {
    insert: (make) =>
      edge.drained((drained) => {
        const { child } = drained;
        const filter = make(child);
        inserted = { filter, child };
        drained.replace(filter);
      }),
    remove: () =>
      edge.drained((drained) => {
        // Whoever put another filter above this one has to take it out first.
        if (inserted !== undefined && drained.child === inserted.filter) {
          drained.replace(inserted.child);
        }
        inserted = undefined;
      }),
  };
}

/** What stands between the writers and the source while a backup runs. */
export class GuestFilter {
  readonly #gate: WriterGate;
  readonly #notice: WriteNotice;
  #removing: Promise<void> | undefined;

  private constructor(gate: WriterGate, notice: WriteNotice) {
    this.#gate = gate;
    this.#notice = notice;
  }

  /** Puts it in at a moment when nothing is written: that is the moment that is copied. */
  static async insert(
    gate: WriterGate,
    makeCopy: (source: BlockNode) => BlockCopy,
    options: Omit<CopyBeforeWriteOptions, "copy"> & { readonly record: RecordWritten },
  ): Promise<{ readonly filter: GuestFilter; readonly copy: BlockCopy }> {
    const { record, ...own } = options;
    const made: { notice?: WriteNotice; copy?: BlockCopy } = {};
    await gate.insert((child) => {
      const copy = made.copy = makeCopy(child);
      made.notice = new WriteNotice(new CopyBeforeWrite(child, { ...own, copy }), record);
      return made.notice;
    });
    const { notice, copy } = made;
    if (notice === undefined || copy === undefined) throw new Error("Expected a filter");
    return { filter: new GuestFilter(gate, notice), copy };
  }

  /** Writes that came so far. */
  get writeCount(): number {
    return this.#notice.writeCount;
  }

  /** True while one of them is under way. */
  get isWriting(): boolean {
    return this.#notice.isWriting;
  }

  /** A checkpoint is about to be taken: the next write is recorded again. */
  forget(): void {
    this.#notice.forget();
  }

  /** Takes it out again, once the writes that came before are through. Safe to call twice. */
  async remove(): Promise<void> {
    this.#removing ??= this.#gate.remove();
    await this.#removing;
  }
}
