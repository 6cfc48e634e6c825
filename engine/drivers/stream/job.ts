/**
 * One stream's life: what lies between the top and the base is copied up, and then the top's header
 * names the base.
 *
 * ```text
 * run      filter at work -> pass (skip what the top holds, copy up what is below) -> flush
 * prepare  filter out -> header: announced, rewritten, the chain led past, confirmed
 * ```
 *
 * - What the top holds is done: so nothing but the top itself has to be trusted after a crash.
 * - Bytes never change: until the header is rewritten the old chain shows them, afterwards the new
 *   one. Copies that are there in vain do no harm.
 *
 * Used by `stream.ts`. Source: QEMU 7.2 block/stream.c stream_run, stream_prepare, stream_clean.
 */

import { CopyOnRead, type PullExtent } from "../../block/filters/copy_on_read.ts";
import { chainPoint, hadReadOnly, passStart } from "../chain/chain_point.ts";
import { extentAbove, referenceData } from "../chain/layer.ts";
import { ChainPass } from "../chain/pass.ts";
import type { PassExtent } from "../chain/pass_options.ts";
import type { ClosingContext, DriverContext, DriverJob } from "../driver.ts";
import type { StreamImages } from "./images.ts";
import type { StreamParameters } from "./parameters.ts";

/** A stream in the engine's hands. */
export class StreamJob implements DriverJob {
  readonly #parameters: StreamParameters;
  readonly #images: StreamImages;
  #filter: CopyOnRead | undefined;
  #pass: ChainPass | undefined;
  #isToBeReadOnly: boolean;

  /** @param images the chain; the job owns it and closes it */
  constructor(parameters: StreamParameters, images: StreamImages) {
    this.#parameters = parameters;
    this.#images = images;
    this.#isToBeReadOnly = images.wasReadOnly;
  }

  /** Copies up. Source: QEMU 7.2 block/stream.c stream_run. */
  async run(context: DriverContext): Promise<void> {
    const { between, top, cluster } = this.#images;
    // Nothing to do, and nothing to count.
    if (between.length === 0) return;
    const { size } = top;
    const { from, skipped } = passStart(context, "stream", top);
    const wasReadOnly = this.#wasReadOnly(context);
    if (wasReadOnly && context.resumeFrom === undefined) {
      await context.checkpoint(chainPoint({ offset: 0, size, wasReadOnly }, undefined));
    }
    context.progress.setRemaining(size - from);
    const filter = await this.#insert();
    const pass = this.#pass = new ChainPass({
      from,
      size,
      cluster,
      look: (offset, length) => this.#look(offset, length),
      move: (offset, length) => filter.pull(offset, length),
      flush: () => this.#images.top.flush(),
      policy: this.#parameters["on-error"],
      operation: "read",
      onIgnore: "skip",
      skipped,
      checkpoint: (offset, error) =>
        context.checkpoint(chainPoint({ offset, size, wasReadOnly }, error)),
    }, context);
    await pass.run();
  }

  /** Waits for what is in flight and takes a checkpoint. */
  async pause(): Promise<void> {
    await this.#pass?.pause();
  }

  /**
   * Names the base in the header and leads the top past what was copied up.
   *
   * Differs from QEMU: the header is rewritten first, so that a failure leaves the old chain whole,
   * in the file and in the graph.
   *
   * @throws {BlockError} when the header cannot be rewritten
   */
  async prepare(context: ClosingContext): Promise<void> {
    await this.#remove();
    const images = this.#images;
    const before = images.reference();
    const isOpen = (context.job.openAct ?? null) !== null;
    if (before === undefined && images.between.length === 0 && !isOpen) return;
    const goal = images.goal();
    const act = { kind: "header-rewrite", subject: images.name };
    await context.act(
      { ...act, before: referenceData(before), after: referenceData(goal) },
      async (confirm) => {
        const now = images.reference();
        if (now?.name !== goal?.name || now?.format !== goal?.format) await images.rewrite(goal);
        await images.relink(confirm);
      },
    );
  }

  /** Takes the filter out, unless a copy still hangs after a cancel. */
  async clean(context: ClosingContext): Promise<void> {
    this.#isToBeReadOnly = this.#wasReadOnly(context);
    if (this.#pass?.isCancelled === true) return;
    await this.#remove();
    await this.#restore();
  }

  /** Waits for what hangs and closes the chain. */
  async close(): Promise<void> {
    try {
      await this.#remove();
      await this.#restore();
    } finally {
      await this.#images.close();
    }
  }

  async #insert(): Promise<CopyOnRead> {
    const { gate, cluster } = this.#images;
    const made: { filter?: CopyOnRead } = {};
    await gate.insert((child) => {
      made.filter = new CopyOnRead(child, {
        cluster,
        look: (...range) => this.#pullable(...range),
      });
      return made.filter;
    });
    if (made.filter === undefined) throw new Error("Expected a filter");
    return this.#filter = made.filter;
  }

  async #remove(): Promise<void> {
    const filter = this.#filter;
    await this.#pass?.idle();
    filter?.stop();
    await filter?.idle();
    this.#filter = undefined;
    const { gate } = this.#images;
    await gate.remove();
    await gate.close?.();
  }

  /** In this process or in an earlier one. */
  #wasReadOnly({ job }: ClosingContext): boolean {
    return this.#images.wasReadOnly || hadReadOnly(job);
  }

  async #restore(): Promise<void> {
    const isDue = this.#isToBeReadOnly;
    this.#isToBeReadOnly = false;
    if (isDue) await this.#images.restore();
  }

  async #look(offset: number, length: number): Promise<PassExtent> {
    const { length: found, kind, isZero } = await this.#extent(offset, length);
    if (kind === "none") return { length: found, kind: isZero ? "hole" : "skipped" };
    return { length: found, kind: kind === "data" ? "copied" : "zeroed" };
  }

  async #pullable(offset: number, length: number): Promise<PullExtent> {
    return await this.#extent(offset, length);
  }

  /** What is to be copied up at the beginning of a range. */
  async #extent(
    offset: number,
    length: number,
  ): Promise<PullExtent & { readonly isZero?: boolean }> {
    const { topExtent, between, base } = this.#images;
    const own = await topExtent?.(offset, length);
    if (own === undefined) return { length, kind: "none" };
    if (own.isAllocated) return { length: own.length, kind: "none" };
    const below = await extentAbove(between, offset, own.length);
    if (below.kind === undefined) return { length: below.length, kind: "none" };
    if (below.kind === "data") return { length: below.length, kind: "data" };
    // With nothing below, what is not allocated is zero, too.
    if (base === undefined || offset >= base.size) {
      return { length: below.length, kind: "none", isZero: true };
    }
    const reach = Math.min(below.length, base.size - offset);
    const ends = between[0]!.node.size;
    if (offset < ends) return { length: Math.min(reach, ends - offset), kind: "zero" };
    // Zeros that only the end of a layer makes are no zeros for the top: it has nothing to hide.
    const shown = await base.extent(offset, reach);
    const isZero = shown.kind !== "data";
    return { length: shown.length, kind: isZero ? "none" : "data", isZero };
  }
}
