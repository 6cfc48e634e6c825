/**
 * The tasks of a backup that are in flight: up to `max-workers` ranges, each copied or zeroed as
 * one unit and recorded as one step.
 *
 * - Steps are recorded in the order in which tasks were started, by tickets.
 * - A task that fails marks its clusters dirty again; the first failure is kept, and it ends the
 *   pass.
 *
 * Used by `job.ts`. Source: QEMU 7.2 block/block-copy.c, BlockCopyTask; block/aio_task.c.
 */

import { BufferPool } from "../../block/buffers.ts";
import type { DirtyArea, DirtyMap } from "../../block/dirty_map.ts";
import { BlockError } from "../../block/errors.ts";
import type { BlockNode, Extent } from "../../block/node.ts";
import type { IoOperation } from "../../../events/job/error_policy.ts";
import type { DriverContext, StepTicket } from "../driver.ts";
import { BACKUP_CHUNK, BACKUP_CLUSTER } from "./parameters.ts";

/** What the tasks work on. */
export interface CopyPlan {
  /** What is copied. */
  readonly source: BlockNode;
  /** What it is copied to; of the same size. */
  readonly target: BlockNode;
  /** Clusters that are still to be copied. */
  readonly dirty: DirtyMap;
  /** Clusters that were written since the last flush. */
  readonly unflushed: DirtyMap;
  /** How steps over zeros are called. */
  readonly zeroKind: "zeroed" | "hole";
  /** True if the target is one hole, so that zeros need no work. */
  readonly isTargetBlank: boolean;
}

/** Why a pass ended. */
export interface CopyFailure {
  /** Which half failed: `read` is the source's, `write` the target's. */
  readonly operation: IoOperation;
  /** What was thrown. */
  readonly error: unknown;
}

/** A range of one kind, ready to be started. */
export interface CopyPiece extends DirtyArea {
  /** True if the source reads as zeros here. */
  readonly isZero: boolean;
}

/** For pairs of images that cannot copy between themselves. */
const CHUNKS = new BufferPool(BACKUP_CHUNK, 8);

/** Waits for one access; `copy` did both, and its error says which half failed. */
async function attempt(
  operation: IoOperation | "copy",
  access: Promise<void>,
): Promise<CopyFailure | undefined> {
  try {
    await access;
    return undefined;
  } catch (error) {
    if (operation !== "copy") return { operation, error };
    const isRead = error instanceof BlockError && error.operation === "read";
    return { operation: isRead ? "read" : "write", error };
  }
}

/** Fits an extent to whole clusters; a cluster that is only partly zero is data. */
function inClusters({ offset, length }: DirtyArea, extent: Extent): CopyPiece {
  const isZero = extent.kind !== "data";
  if (extent.length >= length) return { offset, length, isZero };
  const rest = extent.length % BACKUP_CLUSTER;
  if (isZero && extent.length > rest) return { offset, length: extent.length - rest, isZero };
  const whole = Math.ceil(extent.length / BACKUP_CLUSTER) * BACKUP_CLUSTER;
  return { offset, length: Math.min(length, whole), isZero: false };
}

/** The tasks in flight. */
export class CopyTasks {
  readonly #plan: CopyPlan;
  readonly #context: DriverContext;
  readonly #tickets = new Set<StepTicket>();
  readonly #waiting: (() => void)[] = [];
  #failure: CopyFailure | undefined;
  #count = 0;
  #doneCount = 0;
  #seenDoneCount = 0;
  #isAbandoned = false;
  #isRetry = false;
  #isOffloaded = false;

  /** A cancel wakes whoever waits for a task. */
  constructor(plan: CopyPlan, context: DriverContext) {
    this.#plan = plan;
    this.#context = context;
    context.signal.addEventListener("abort", () => this.#wake(), { once: true });
  }

  /** True after a cancel, as soon as either sign of it shows. */
  get isCancelled(): boolean {
    return this.#context.isCancelled || this.#context.signal.aborted;
  }

  /** True once the images have copied a range between themselves. */
  get isOffloaded(): boolean {
    return this.#isOffloaded;
  }

  /** Tasks in flight. */
  get count(): number {
    return this.#count;
  }

  /** The first failure of this pass. */
  get failure(): CopyFailure | undefined {
    return this.#failure;
  }

  /** Takes a failure that happened outside a task; the first one counts. */
  fail(failure: CopyFailure): void {
    this.#failure ??= failure;
  }

  /** Ends a pass: hands its failure out and forgets it. */
  takeFailure(): CopyFailure | undefined {
    const failure = this.#failure;
    this.#failure = undefined;
    this.#isRetry = true;
    return failure;
  }

  /** True if any task ended well since the last call. */
  hasProgressed(): boolean {
    const hasProgressed = this.#doneCount > this.#seenDoneCount;
    this.#seenDoneCount = this.#doneCount;
    return hasProgressed;
  }

  /** Finds out what an area begins with; undefined at a failure, which ends the pass. */
  async classify(area: DirtyArea): Promise<CopyPiece | undefined> {
    try {
      const extent = await this.untilCancelled(this.#joinedExtent(area));
      return extent === undefined ? undefined : inClusters(area, extent);
    } catch (error) {
      this.fail({ operation: "read", error });
      return undefined;
    }
  }

  /** Starts a task. It takes its place in the order of steps now. */
  start(piece: CopyPiece): void {
    this.#plan.dirty.clear(piece.offset, piece.length);
    const ticket = this.#context.issue();
    // In a later pass a failed write may have left bytes behind.
    if (piece.isZero && this.#plan.isTargetBlank && !this.#isRetry) {
      this.#finish(piece, ticket);
      return;
    }
    this.#count++;
    this.#tickets.add(ticket);
    void this.#perform(piece, ticket);
  }

  /** Resolves when a task has ended, and at a cancel. */
  nextEnd(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Resolves when nothing is in flight, and at a cancel. */
  async idle(): Promise<void> {
    while (this.#count > 0 && !this.isCancelled) await this.nextEnd();
  }

  /** Waits for work that may hang, but not beyond a cancel: undefined then. */
  async untilCancelled<T>(work: Promise<T>): Promise<T | undefined> {
    const { signal } = this.#context;
    let stop = () => {};
    const cancelled = new Promise<undefined>((resolve) => stop = () => resolve(undefined));
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    try {
      return await Promise.race([work, cancelled]);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /** Gives up what is in flight: nothing of it is recorded any more. */
  abandon(): void {
    this.#isAbandoned = true;
    for (const ticket of this.#tickets) ticket.drop();
    this.#tickets.clear();
  }

  /** The extent at an area's beginning, with those after it that are of the same kind. */
  async #joinedExtent({ offset, length }: DirtyArea): Promise<Extent> {
    const { source } = this.#plan;
    const first = await source.extent(offset, length);
    let joined = first.length;
    while (joined < length) {
      const next = await source.extent(offset + joined, length - joined);
      if ((next.kind === "data") !== (first.kind === "data")) break;
      joined += next.length;
    }
    return { offset, length: joined, kind: first.kind };
  }

  async #perform(piece: CopyPiece, ticket: StepTicket): Promise<void> {
    const failure = piece.isZero ? await this.#zero(piece) : await this.#copy(piece);
    if (failure === undefined) {
      this.#plan.unflushed.mark(piece.offset, piece.length);
      if (!this.#isAbandoned) this.#finish(piece, ticket);
    } else {
      this.#plan.dirty.mark(piece.offset, piece.length);
      this.fail(failure);
      if (!this.#isAbandoned) ticket.drop();
    }
    this.#tickets.delete(ticket);
    this.#count--;
    this.#wake();
  }

  async #zero({ offset, length }: CopyPiece): Promise<CopyFailure | undefined> {
    // A target may have to read in order to zero; that is no failure of the source.
    return await attempt("write", this.#plan.target.zero(offset, length));
  }

  async #copy({ offset, length }: CopyPiece): Promise<CopyFailure | undefined> {
    const { source, target } = this.#plan;
    const offloaded = target.copyRange?.(source, offset, offset, length);
    if (offloaded !== undefined) {
      const failure = await attempt("copy", offloaded);
      if (failure === undefined) this.#isOffloaded = true;
      return failure;
    }
    const buffer = CHUNKS.take();
    const bytes = buffer.subarray(0, length);
    const failure = await attempt("read", source.read(offset, bytes)) ??
      await attempt("write", target.write(offset, bytes));
    CHUNKS.give(buffer);
    return failure;
  }

  #finish(piece: CopyPiece, ticket: StepTicket): void {
    this.#doneCount++;
    const kind = piece.isZero ? this.#plan.zeroKind : "copied";
    const work = Math.ceil(piece.length / BACKUP_CLUSTER) * BACKUP_CLUSTER;
    ticket.done({ kind, offset: piece.offset, length: piece.length, work });
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
