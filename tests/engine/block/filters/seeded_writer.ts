/** Writers that do what a seed says, all at once, and a model of the bytes that must come out. */

import type { BlockNode } from "../../../../engine/block/node.ts";

/** Bytes of the node and what they must be. */
export interface WriterBed {
  /** Where is written. */
  readonly node: BlockNode;
  /** What the bytes must be when all has settled. */
  readonly model: Uint8Array;
  /** Chooses. */
  readonly next: (below: number) => number;
}

/** Lets others run. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

/**
 * One writer: writes and zeros inside a stripe of its own, one after the other.
 *
 * Stripes of two writers share clusters but no byte, so that the result does not depend on whose
 * write settles first.
 *
 * @param stripe which bytes are its own: those whose number divided by 8 leaves it, of `stripes`
 */
export async function runWriter(
  bed: WriterBed,
  stripe: number,
  stripes: number,
  count: number,
): Promise<number> {
  const { node, model, next } = bed;
  let failures = 0;
  for (let round = 0; round < count; round++) {
    const places = Math.floor(model.byteLength / 8 / stripes);
    const offset = (next(places) * stripes + stripe) * 8;
    const length = 1 + next(8);
    const bytes = new Uint8Array(length).fill(next(4) === 0 ? 0 : 1 + next(255));
    const isZero = bytes[0] === 0;
    try {
      await (isZero ? node.zero(offset, length) : node.write(offset, bytes));
      model.set(bytes, offset);
    } catch {
      failures++;
    }
    await turns(next(5));
  }
  return failures;
}
