/** What a commit's arguments say about what is committed where, in a chain of names. */

import { JoblogError } from "../../../events/log/errors.ts";
import type { CommitParameters } from "./parameters.ts";

/** A chain, as the arguments speak of it: by index, the device first. */
export interface CommitChain {
  /** How many layers it has, the device included. */
  readonly length: number;
  /** Index of a layer by the name of a file; -1 = none. */
  findFile(name: string): Promise<number>;
  /** Index of a layer by the name of a node; -1 = it is in no chain from the device. */
  findNode(name: string): number | Promise<number>;
  /** True for a layer that shows the bytes of another. */
  isFilter(index: number): boolean;
  /** Why a layer must not be used; throws it. */
  check(index: number): void;
}

/** What is committed where. */
export interface CommitRange {
  /** Index of the uppermost layer that is committed. */
  readonly top: number;
  /** Index of the layer that is committed into. */
  readonly base: number;
  /** True if those who write the device write the top. */
  readonly isActive: boolean;
}

function refuse(
  subject: string,
  message: string,
  actual?: string,
  hint = "Name two images of the device's chain, the upper one as top.",
): never {
  throw new JoblogError("invalidParameter", message, {
    subject,
    ...(actual === undefined ? {} : { actual }),
    hint,
  });
}

async function topIndex(parameters: CommitParameters, chain: CommitChain): Promise<number> {
  const { device, top, "top-node": node } = parameters;
  if (top === undefined && node === undefined) return 0;
  const found = node === undefined ? await chain.findFile(top ?? "") : await chain.findNode(node);
  if (found >= 0) return found;
  if (node === undefined) return refuse("top", `Top image file ${top} not found`, top);
  return refuse("top-node", `'${node}' is not in this backing file chain`, device);
}

async function baseIndex(
  parameters: CommitParameters,
  chain: CommitChain,
  top: number,
): Promise<number> {
  const { base, "base-node": node } = parameters;
  if (base !== undefined && node !== undefined) {
    refuse("base", "'base-node' and 'base' are mutually exclusive", base, "Give one of them.");
  }
  if (base === undefined && node === undefined) {
    let lowest = chain.length - 1;
    while (lowest > top && chain.isFilter(lowest)) lowest--;
    return lowest;
  }
  const found = node === undefined ? await chain.findFile(base ?? "") : await chain.findNode(node);
  if (node !== undefined) {
    if (found < 0 || found < top) {
      refuse("base-node", `'${node}' is not in this backing file chain`, node);
    }
  } else if (found <= top) {
    // Looked for below the top only.
    refuse("base", `Can't find '${base}' in the backing chain`, base);
  }
  return found;
}

/**
 * What is committed where.
 *
 * @throws {JoblogError} code "invalidParameter" with QEMU's texts. Source: QEMU 7.2 blockdev.c
 * qmp_block_commit
 */
export async function commitRange(
  parameters: CommitParameters,
  chain: CommitChain,
): Promise<CommitRange> {
  const top = await topIndex(parameters, chain);
  const base = await baseIndex(parameters, chain, top);
  for (let index = top; index <= base; index++) chain.check(index);
  if (base === top) {
    refuse(
      "base",
      "cannot commit an image into itself",
      parameters.base ?? parameters["base-node"],
    );
  }
  let shown = 0;
  while (shown < top && chain.isFilter(shown)) shown++;
  const isActive = shown === top;
  const { "backing-file": backingFile } = parameters;
  if (isActive && backingFile !== undefined) {
    const text = "'backing-file' specified, but 'top' is the active layer";
    const hint = 'Leave "backing-file" out, or name an inner image as "top".';
    refuse("backing-file", text, backingFile, hint);
  }
  return { top, base, isActive };
}
