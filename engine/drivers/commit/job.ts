/**
 * One commit of inner layers: what they hold is written into the base, and then their overlays name
 * the base.
 *
 * ```text
 * run      base writable, grown if need be -> pass over what is held above the base -> flush
 * prepare  each overlay's header: announced, rewritten, confirmed; then the chain led past
 * ```
 *
 * - While it runs, nobody sees the base but through the layers that it gets bytes from: so what the
 *   overlays show never changes.
 * - Until an overlay's header is rewritten it names the old chain, which shows the same bytes. So
 *   some may be rewritten and others not.
 * - After a crash it trusts its last checkpoint: everything before it is in the base, durably.
 *
 * Used by `commit.ts`. Source: QEMU 7.2 block/commit.c commit_run, commit_prepare, commit_abort.
 */

import { copyByBuffer } from "../../block/copy.ts";
import type { BlockNode } from "../../block/node.ts";
import { chainPoint, hadReadOnly, passStart } from "../chain/chain_point.ts";
import { extentAbove, referenceData } from "../chain/layer.ts";
import { ChainPass } from "../chain/pass.ts";
import type { PassExtent } from "../chain/pass_options.ts";
import type { ClosingContext, DriverContext, DriverJob } from "../driver.ts";
import { growBase } from "./active.ts";
import type { CommitImages } from "./images.ts";
import type { CommitParameters } from "./parameters.ts";

/** What is moved down. */
interface Moved {
  readonly offset: number;
  readonly length: number;
  readonly kind: "copied" | "zeroed";
}

/** A commit of inner layers in the engine's hands. */
export class CommitJob implements DriverJob {
  readonly #parameters: CommitParameters;
  readonly #images: CommitImages;
  #pass: ChainPass | undefined;
  #isOffloaded = false;
  #isToBeReadOnly: boolean;

  /** @param images the chain; the job owns it and closes it */
  constructor(parameters: CommitParameters, images: CommitImages) {
    this.#parameters = parameters;
    this.#images = images;
    this.#isToBeReadOnly = images.wasReadOnly;
  }

  /** Copies down. Source: QEMU 7.2 block/commit.c commit_run. */
  async run(context: DriverContext): Promise<void> {
    const { top } = this.#images;
    const { size } = top;
    const { from } = passStart(context, "commit", top);
    const wasReadOnly = this.#wasReadOnly(context);
    if (wasReadOnly && context.resumeFrom === undefined) {
      await context.checkpoint(chainPoint({ offset: 0, size, wasReadOnly }, undefined));
    }
    const base = await this.#images.openBase();
    await growBase(context, base, size);
    context.progress.setRemaining(size - from);
    const pass = this.#pass = new ChainPass({
      from,
      size,
      look: (offset, length) => this.#look(offset, length),
      move: (offset, length, kind) => this.#move(top, base, { offset, length, kind }),
      isOffloaded: () => this.#isOffloaded,
      flush: () => base.flush(),
      policy: this.#parameters["on-error"],
      onIgnore: "retry",
      checkpoint: (offset) =>
        context.checkpoint(chainPoint({ offset, size, wasReadOnly }, undefined)),
    }, context);
    await pass.run();
  }

  /** Waits for what is in flight and takes a checkpoint. */
  async pause(): Promise<void> {
    await this.#pass?.pause();
  }

  /**
   * Names the base in the headers of the overlays and leads them there.
   *
   * @throws {BlockError} when a header cannot be rewritten: the chain stays, and shows the same
   */
  async prepare(context: ClosingContext): Promise<void> {
    const images = this.#images;
    const { goal } = images;
    for (const overlay of images.overlays()) {
      const act = { kind: "header-rewrite", subject: overlay.name };
      const before = referenceData(overlay.reference());
      await context.act({ ...act, before, after: referenceData(goal) }, async () => {
        const now = overlay.reference();
        if (now?.name !== goal.name || now.format !== goal.format) await overlay.rewrite(goal);
      });
    }
    const act = { kind: "pivot", subject: images.name, before: images.name, after: goal.name };
    await context.act(act, (confirm) => images.relink(confirm));
  }

  /** Lets the base be as it was, unless a write still hangs after a cancel. */
  async clean(context: ClosingContext): Promise<void> {
    this.#isToBeReadOnly = this.#wasReadOnly(context);
    if (this.#pass?.isCancelled !== true) await this.#images.restore(this.#isToBeReadOnly);
  }

  /** Waits for what hangs and closes the chain. */
  async close(): Promise<void> {
    await this.#pass?.idle();
    try {
      await this.#images.restore(this.#isToBeReadOnly);
    } finally {
      await this.#images.close();
    }
  }

  /** In this process or in an earlier one. */
  #wasReadOnly({ job }: ClosingContext): boolean {
    return this.#images.wasReadOnly || hadReadOnly(job);
  }

  async #move(source: BlockNode, target: BlockNode, piece: Moved): Promise<void> {
    const { offset, length, kind } = piece;
    if (kind === "zeroed") return await target.zero(offset, length);
    const copying = target.copyRange?.(source, offset, offset, length);
    if (copying !== undefined) this.#isOffloaded = true;
    await (copying ?? copyByBuffer({ source, from: offset, target, to: offset, length }));
  }

  async #look(offset: number, length: number): Promise<PassExtent> {
    const found = await extentAbove(this.#images.layers, offset, length);
    if (found.kind === undefined) return { length: found.length, kind: "skipped" };
    return { length: found.length, kind: found.kind === "data" ? "copied" : "zeroed" };
  }
}
