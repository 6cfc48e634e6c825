/** What a stream's arguments say about where it ends, in a chain of names. */

import { JoblogError } from "../../../events/log/errors.ts";
import type { StreamParameters } from "./parameters.ts";

/** A chain, as the arguments speak of it: by index, the device first. */
export interface NamedChain {
  /** How many layers it has, the device included. */
  readonly length: number;
  /** Index of a layer by the name of a file; -1 = none. */
  findFile(name: string): Promise<number>;
  /** Index of a layer by the name of a node; -1 = it is in no chain from the device. */
  findNode(name: string): number | Promise<number>;
  /** True for a layer that shows the bytes of another. */
  isFilter(index: number): boolean;
  /** Index of what is directly below; the length = nothing. */
  next(index: number): number;
}

/** Refuses the arguments. */
export function refuseBase(
  subject: string,
  message: string,
  actual: string,
  hint = "Name an image of the chain below the device.",
): never {
  throw new JoblogError("invalidParameter", message, {
    subject,
    actual,
    hint,
  });
}

/**
 * Where a stream ends: the index of what stays below; the length of the chain = nothing.
 *
 * @throws {JoblogError} code "invalidParameter" with QEMU's texts. Source: QEMU 7.2 blockdev.c
 * qmp_block_stream
 */
export async function baseIndex(
  parameters: StreamParameters,
  chain: NamedChain,
): Promise<number> {
  const { device, base, "base-node": baseNode, bottom } = parameters;
  const index = await foundIndex(parameters, chain);
  if (index !== undefined) return index;
  if (base !== undefined) {
    refuseBase("base", `Can't find '${base}' in the backing chain`, base);
  }
  if (baseNode !== undefined) {
    const text = `Node '${baseNode}' is not a backing image of '${device}'`;
    refuseBase("base-node", text, baseNode);
  }
  const text = `Node '${bottom}' is not in a chain starting from '${device}'`;
  refuseBase("bottom", text, bottom ?? "");
}

async function foundIndex(
  parameters: StreamParameters,
  chain: NamedChain,
): Promise<number | undefined> {
  const { base, "base-node": baseNode, bottom } = parameters;
  if (base !== undefined || baseNode !== undefined) {
    const found = base === undefined
      ? await chain.findNode(baseNode ?? "")
      : await chain.findFile(base);
    return found > 0 ? found : undefined;
  }
  if (bottom !== undefined) {
    const found = await chain.findNode(bottom);
    if (found < 0) return undefined;
    if (chain.isFilter(found)) {
      const text = `Node '${bottom}' is a filter, use a non-filter node as 'bottom'`;
      refuseBase("bottom", text, bottom);
    }
    return chain.next(found);
  }
  return chain.length;
}

/**
 * Checks, once the nodes may be used, that a name for the header goes with an image that stays.
 *
 * @throws {JoblogError} code "invalidParameter". Source: QEMU 7.2 blockdev.c qmp_block_stream
 */
export function checkBackingFile(parameters: StreamParameters): void {
  const { base, "base-node": baseNode, "backing-file": backingFile } = parameters;
  // With a bottom, too.
  if (base !== undefined || baseNode !== undefined || backingFile === undefined) return;
  const text = "backing file specified, but streaming the entire chain";
  const hint = 'Name what stays below as "base", or leave "backing-file" out.';
  refuseBase("backing-file", text, backingFile, hint);
}
