/**
 * The end of a mirror: the pivot, the removal of the filter, and letting the source go on.
 *
 * - What it does it does once; a second call, also from another callback, finds nothing to do.
 * - In a process that has not run the job itself, a pivot needs proof that the source was not
 *   written since the job ended: the stamp in its last checkpoint.
 *
 * Used by `job.ts`. Source: QEMU 7.2 block/mirror.c mirror_exit_common, mirror_prepare,
 * mirror_abort.
 */

import type { DrainedEdge } from "../../block/edge.ts";
import { BlockError } from "../../block/errors.ts";
import type { BlockNode } from "../../block/node.ts";
import type { ClosingContext } from "../driver.ts";
import type { MirrorImages } from "./images.ts";
import type { SourceTap } from "./mirror_set.ts";
import { readMirrorResumePoint } from "./resume_point.ts";
import type { SourceHold } from "./source_hold.ts";

/** See the head of this file. */
export class MirrorEnd {
  readonly #images: MirrorImages;
  #tap: SourceTap | undefined;
  #hold: SourceHold | undefined;
  #target: BlockNode | undefined;
  #isPrepared = false;

  /** @param images what is pivoted */
  constructor(images: MirrorImages) {
    this.#images = images;
  }

  /** The filter lies over the source from now on, and the target is open. */
  lay(tap: SourceTap, target: BlockNode): void {
    this.#tap = tap;
    this.#target = target;
  }

  /** The source is held from now on. */
  hold(hold: SourceHold): void {
    this.#hold = hold;
  }

  /**
   * Pivots if that was asked for; in any case the filter goes and the source goes on.
   *
   * @throws {BlockError} EIO when the source may have been written since the job ended
   */
  async prepare(context: ClosingContext): Promise<void> {
    if (this.#isPrepared) return;
    const { edge } = this.#images.source;
    try {
      if (this.#hold !== undefined) await this.#conclude(context, this.#hold.edge);
      else await edge.drained((source) => this.#conclude(context, source));
      this.#isPrepared = true;
    } finally {
      await this.undo();
    }
  }

  /** Takes the filter out and lets the source go on. */
  async undo(): Promise<void> {
    const tap = this.#tap;
    const hold = this.#hold;
    this.#tap = undefined;
    this.#hold = undefined;
    tap?.mirror.stop();
    if (hold !== undefined) {
      this.#takeOut(hold.edge, tap);
      await hold.release();
    } else if (tap !== undefined) {
      await this.#images.source.edge.drained((source) => this.#takeOut(source, tap));
    }
    await this.#images.removeFilter?.();
  }

  #takeOut(source: DrainedEdge, tap: SourceTap | undefined): void {
    if (tap !== undefined && source.child === tap) source.replace(tap.child);
  }

  async #conclude(context: ClosingContext, source: DrainedEdge): Promise<void> {
    if (!context.job.isCompleteRequested) return;
    const { replaced, isPivoted = false } = this.#images;
    const before = this.#tap?.child ?? source.child;
    if (this.#tap === undefined && !isPivoted) await this.#checkUnchanged(context, before);
    this.#target ??= (await this.#images.openTarget(context, true)).node;
    const target = this.#target;
    const act = { kind: "pivot", subject: replaced, before: before.name, after: target.name };
    this.#takeOut(source, this.#tap);
    await context.act(act, async (confirm) => {
      if (!isPivoted) await this.#images.pivot(source, target, confirm);
    });
  }

  /** The source must be what it was when both were equal. */
  async #checkUnchanged(context: ClosingContext, source: BlockNode): Promise<void> {
    const point = readMirrorResumePoint(context.job.checkpoint?.resumeFrom);
    const isSame = point?.stamp !== undefined && point.todo.length === 0 &&
      point.stamp === await source.stamp();
    if (isSame) return;
    const action = `Cannot replace "${this.#images.replaced}" by its mirror`;
    throw new BlockError(
      "EIO",
      `${action}: the process stopped when both were equal, and nothing proves that they still are`,
      { operation: "open", subject: source.name, hint: "Start a new mirror." },
    );
  }
}
