/** Seeded changes of an image, for our nodes, for models and for qemu-io. */

import type { Qcow2Node } from "../../../../engine/block/qcow2/qcow2_node.ts";
import { numbersFrom } from "./seeded.ts";

/** What a change does; the offset of a `truncate` is the new size. */
export type ChangeVerb = "write" | "zero" | "discard" | "truncate";

/** One change. */
export interface Change {
  readonly verb: ChangeVerb;
  readonly offset: number;
  readonly length: number;
  readonly fill: number;
}

const SECTOR = 512;
const WRITES: readonly ChangeVerb[] = ["write", "write", "write", "zero"];

/** A mixture with everything in it. */
export const ALL_VERBS: readonly ChangeVerb[] = [
  ...["write", "write", "zero", "discard", "truncate"] as const,
];

/**
 * Changes of whole sectors, since qemu-io compares better with them; small, middling, large.
 *
 * @param size of the image before the first one
 * @param verbs which come, each as often as it is there. @default writes, and zeros now and then
 */
export function changesFrom(
  seed: number,
  count: number,
  size: number,
  verbs: readonly ChangeVerb[] = WRITES,
): readonly Change[] {
  const next = numbersFrom(seed);
  let sectors = Math.floor(size / SECTOR);
  return Array.from({ length: count }, () => {
    const start = next(sectors);
    const most = [4, 40, 400][next(3)] ?? 4;
    const length = Math.min(sectors - start, next(most) + 1);
    const verb = verbs[next(verbs.length)]!;
    const fill = next(255) + 1;
    if (verb !== "truncate") return { verb, offset: start * SECTOR, length: length * SECTOR, fill };
    sectors = next(2_000) + 200;
    return { verb, offset: sectors * SECTOR, length: 0, fill };
  });
}

/** Does a write or a zero to bytes. */
export function applyToModel(model: Uint8Array, { verb, offset, length, fill }: Change): void {
  model.fill(verb === "zero" ? 0 : fill, offset, offset + length);
}

/** Does a change to a node. */
export async function applyToNode(node: Qcow2Node, change: Change): Promise<void> {
  const { verb, offset, length, fill } = change;
  if (verb === "zero") await node.zero(offset, length);
  else if (verb === "discard") await node.discard(offset, length);
  else if (verb === "truncate") await node.truncate(offset);
  else await node.write(offset, new Uint8Array(length).fill(fill));
}

/** A change as a command of qemu-io. */
export function asQemuIo({ verb, offset, length, fill }: Change): string {
  if (verb === "truncate") return `truncate ${offset}`;
  if (verb === "discard") return `discard ${offset} ${length}`;
  return `write ${verb === "zero" ? "-z" : `-P ${fill}`} ${offset} ${length}`;
}
