/**
 * The tasks of a backup that are in flight: up to `max-workers` ranges, each copied or zeroed as
 * one unit and recorded as one step.
 *
 * - A task takes its clusters into work before anybody looks at them, so that whoever is about to
 *   overwrite them waits; see `BlockCopy`.
 * - Steps are recorded in the order in which tasks were started, by tickets.
 * - A task that fails gives its clusters back; the first failure is kept, and it ends the pass.
 *
 * Used by `job.ts`. Source: QEMU 7.2 block/block-copy.c, BlockCopyTask; block/aio_task.c.
 */

import type { BlockCopy, CopiedPiece } from "../../block/block_copy.ts";
import { copyPieces } from "../../block/copy.ts";
import type { DirtyArea, DirtyMap } from "../../block/dirty_map.ts";
import { BlockError } from "../../block/errors.ts";
import type { Extent } from "../../block/node.ts";
import type { IoOperation } from "../../../events/job/error_policy.ts";
import type { DriverContext, StepTicket } from "../driver.ts";
import { untilCancelled } from "../until_cancelled.ts";

/** How steps over zeros are called: a `hole` needed no work at the target. */
export type ZeroKind = "zeroed" | "hole";

/** What the tasks work on. */
export interface CopyPlan {
  /** What is copied where, and what is still to be copied. */
  readonly copy: BlockCopy;
  /** Clusters that were written since the last flush began. */
  unflushed: DirtyMap;
  /** How steps over zeros are called. */
  readonly zeroKind: ZeroKind;
  /** True while the target is one hole, so that zeros need no work. */
  isTargetBlank: boolean;
}

/** Why a pass ended. */
export interface CopyFailure {
  /** Which half failed: `read` is the source's, `write` the target's. */
  readonly operation: IoOperation;
  /** What was thrown. */
  readonly error: unknown;
}

/** A range of one kind, in work. */
export interface CopyPiece extends DirtyArea {
  /** True if the source reads as zeros here. */
  readonly isZero: boolean;
  /** What was taken into work. */
  readonly task: DirtyArea;
}

/** How many pieces of the map are joined before others get their turn. */
const JOINED_MAX = 64;

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
function inClusters({ length }: DirtyArea, extent: Extent, cluster: number) {
  const isZero = extent.kind !== "data";
  if (extent.length >= length) return { length, isZero };
  const rest = extent.length % cluster;
  if (isZero && extent.length > rest) return { length: extent.length - rest, isZero };
  const whole = Math.ceil(extent.length / cluster) * cluster;
  return { length: Math.min(length, whole), isZero: false };
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

  /** Tasks that ended well, what was copied for a writer included. */
  get doneCount(): number {
    return this.#doneCount;
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
    // A failed write may have left bytes behind where zeros are expected.
    if (failure !== undefined) this.#plan.isTargetBlank = false;
    return failure;
  }

  /** True if any task ended well since the last call. */
  hasProgressed(): boolean {
    const hasProgressed = this.#doneCount > this.#seenDoneCount;
    this.#seenDoneCount = this.#doneCount;
    return hasProgressed;
  }

  /**
   * Takes the next area into work and finds out what it begins with. What is of another kind, or
   * more than a task may copy, is given back.
   *
   * @returns undefined at the end of what is to be done, at a cancel, and at a failure, which ends
   * the pass
   */
  async take(from: number, reach: number, chunk: number): Promise<CopyPiece | undefined> {
    const { copy } = this.#plan;
    const area = copy.take(from, reach);
    if (area === undefined) return undefined;
    let piece: { readonly length: number; readonly isZero: boolean } | undefined;
    try {
      const extent = await this.untilCancelled(this.#joinedExtent(area));
      piece = extent === undefined ? undefined : inClusters(area, extent, copy.cluster);
    } catch (error) {
      this.fail({ operation: "read", error });
    }
    if (piece === undefined) {
      copy.settle(area, false);
      return undefined;
    }
    const { isZero } = piece;
    const length = isZero ? piece.length : Math.min(piece.length, chunk);
    if (length === area.length) return { ...area, isZero, task: area };
    copy.settle(area, false);
    const task = copy.take(area.offset, length);
    return task === undefined ? undefined : { ...task, isZero, task };
  }

  /** Starts a task on a piece in work. It takes its place in the order of steps now. */
  start(piece: CopyPiece): void {
    const ticket = this.#context.issue();
    if (piece.isZero && this.#plan.isTargetBlank) {
      this.#plan.copy.settle(piece.task, true);
      this.#finish(piece, ticket);
      return;
    }
    this.#count++;
    this.#tickets.add(ticket);
    void this.#perform(piece, ticket);
  }

  /** Records what was copied because somebody was about to overwrite it. */
  noteGuestCopy(task: DirtyArea, pieces: readonly CopiedPiece[]): void {
    this.#plan.unflushed.mark(task.offset, task.length);
    if (this.#isAbandoned) return;
    this.#context.speed.account(task.length);
    const isZero = pieces.every(({ kind }) => kind !== "data");
    this.#finish({ ...task, isZero, task }, this.#context.issue());
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
  untilCancelled<T>(work: Promise<T>): Promise<T | undefined> {
    return untilCancelled(this.#context.signal, work);
  }

  /** Gives up what is in flight: nothing of it is recorded any more. */
  abandon(): void {
    this.#isAbandoned = true;
    for (const ticket of this.#tickets) ticket.drop();
    this.#tickets.clear();
  }

  /** The extent at an area's beginning, with those after it that are of the same kind. */
  async #joinedExtent({ offset, length }: DirtyArea): Promise<Extent> {
    const { source } = this.#plan.copy;
    const first = await source.extent(offset, length);
    let joined = first.length;
    for (let count = 1; joined < length && count < JOINED_MAX; count++) {
      const next = await source.extent(offset + joined, length - joined);
      if ((next.kind === "data") !== (first.kind === "data")) break;
      joined += next.length;
    }
    return { offset, length: joined, kind: first.kind };
  }

  async #perform(piece: CopyPiece, ticket: StepTicket): Promise<void> {
    const failure = piece.isZero ? await this.#zero(piece) : await this.#copy(piece);
    if (failure === undefined) this.#plan.unflushed.mark(piece.offset, piece.length);
    else this.fail(failure);
    this.#plan.copy.settle(piece.task, failure === undefined);
    if (!this.#isAbandoned) {
      if (failure === undefined) this.#finish(piece, ticket);
      else ticket.drop();
    }
    this.#tickets.delete(ticket);
    this.#count--;
    this.#wake();
  }

  async #zero({ offset, length }: CopyPiece): Promise<CopyFailure | undefined> {
    // A target may have to read in order to zero; that is no failure of the source.
    return await attempt("write", this.#plan.copy.target.zero(offset, length));
  }

  async #copy({ offset, length }: CopyPiece): Promise<CopyFailure | undefined> {
    const { source, target } = this.#plan.copy;
    const offloaded = target.copyRange?.(source, offset, offset, length);
    if (offloaded !== undefined) {
      const failure = await attempt("copy", offloaded);
      if (failure === undefined) this.#isOffloaded = true;
      return failure;
    }
    let operation: IoOperation = "read";
    try {
      await copyPieces(length, {
        async read(done, bytes) {
          operation = "read";
          await source.read(offset + done, bytes);
        },
        async write(done, bytes) {
          operation = "write";
          await target.write(offset + done, bytes);
        },
      });
      return undefined;
    } catch (error) {
      return { operation, error };
    }
  }

  #finish(piece: CopyPiece, ticket: StepTicket): void {
    this.#doneCount++;
    const { cluster } = this.#plan.copy;
    const kind = piece.isZero ? this.#plan.zeroKind : "copied";
    const work = Math.ceil(piece.length / cluster) * cluster;
    ticket.done({ kind, offset: piece.offset, length: piece.length, work });
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
