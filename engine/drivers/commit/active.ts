/**
 * A commit of the layer that guests write: a mirror of what is held above the base, into the base.
 *
 * ```text
 * guests --> edge of the job --> [mirror's filter] --> top --> ... --> base <-- the mirror writes
 * after complete: guests ------------------------------------------> base
 * ```
 *
 * - The base may be longer than the device: the mirror sees only as much of it. A shorter one is
 *   grown.
 * - The stamp that checkpoints prove things with leaves the base out: the job writes it itself.
 *
 * Used by the openers of this folder. Source: QEMU 7.2 block/mirror.c commit_active_start.
 */

import type { BlockNode, LentRange, Loan } from "../../block/node.ts";
import { FilterNode } from "../../block/filters/filter_node.ts";
import { type ChainLayer, extentAbove } from "../chain/layer.ts";
import type { ClosingContext } from "../driver.ts";
import type { MirrorSource, MirrorTarget } from "../mirror/images.ts";
import type { MirrorParameters } from "../mirror/parameters.ts";
import type { CommitParameters } from "./parameters.ts";

/** What a mirror is told that commits the active layer. */
export function mirrorOf(parameters: CommitParameters, base: string): MirrorParameters {
  const { device: source, "on-error": policy } = parameters;
  return {
    source,
    target: base,
    sync: "top",
    granularity: 0,
    "buf-size": 0,
    "copy-mode": "background",
    "on-source-error": policy,
    "on-target-error": policy,
    unmap: true,
    "target-is-zero": false,
  };
}

/** The device, with a stamp that does not tell of the base. */
export class AboveBase extends FilterNode {
  readonly #base: () => BlockNode;

  /**
   * @param child the device
   * @param base what lies at the end of its chain, asked for each time
   */
  constructor(child: BlockNode, base: () => BlockNode) {
    super(child);
    this.#base = base;
  }

  /** That of the chain without its end; undefined if that cannot be told apart. */
  override async stamp(): Promise<string | undefined> {
    const below = await this.#base().stamp();
    const whole = await this.child.stamp();
    if (below === undefined || whole?.endsWith(below) !== true) return undefined;
    return whole.slice(0, whole.length - below.length).trimEnd();
  }

  /** {@inheritDoc BlockNode.lend} */
  lend(offset: number, length: number, use: (range: LentRange) => Promise<void>): Promise<Loan> {
    return this.lendChild(offset, length, use);
  }
}

/** As much of a node as another one is long. */
class Beginning extends FilterNode {
  readonly #size: number;

  constructor(child: BlockNode, size: number) {
    super(child);
    this.#size = size;
  }

  override get size(): number {
    return this.#size;
  }

  copyRange(
    source: BlockNode,
    from: number,
    to: number,
    length: number,
  ): Promise<void> | undefined {
    return this.child.copyRange?.(source, from, to, length);
  }
}

/** The device as a mirror asks about it. */
export function activeSource(
  edge: MirrorSource["edge"],
  layers: readonly ChainLayer[],
): MirrorSource {
  return {
    edge,
    extent: (offset, length) => edge.extent(offset, length),
    async topExtent(offset, length) {
      const found = await extentAbove(layers, offset, length);
      const isAllocated = found.kind !== undefined;
      return { offset, length: found.length, kind: found.kind ?? "hole", isAllocated };
    },
  };
}

/** The base as a mirror writes it; grown if it is shorter than the device. */
export async function activeTarget(
  context: ClosingContext,
  base: BlockNode,
  size: number,
  clusterSize: number,
): Promise<MirrorTarget> {
  await growBase(context, base, size);
  const node = base.size > size ? new Beginning(base, size) : base;
  return { node, isBlank: false, clusterSize };
}

/**
 * Makes a base as long as what is committed into it; it is never shrunk.
 *
 * Source: QEMU 7.2 block/commit.c commit_run, block/mirror.c mirror_run
 */
export async function growBase(
  context: ClosingContext,
  base: BlockNode,
  size: number,
): Promise<void> {
  if (base.size >= size) return;
  const before = { size: base.size };
  const act = { kind: "truncate", subject: base.name, before, after: { size } };
  await context.act(act, () => base.truncate(size));
}
