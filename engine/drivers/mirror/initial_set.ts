/** What is dirty when a mirror begins, or goes on after a stop of its process. */

import type { DirtyBitmap } from "../../block/dirty_bitmap.ts";
import type { Extent } from "../../block/node.ts";
import type { DriverContext } from "../driver.ts";
import type { MirrorSync } from "./parameters.ts";

/** Bytes that are asked about at once. */
const ASKED_BYTES = 2 ** 40;

/** How the initial set is found. */
export interface InitialSetRequest {
  /** What is filled. */
  readonly dirty: DirtyBitmap;
  /** What is copied. */
  readonly sync: MirrorSync;
  /** True if the target reads as zeros all over, so that zeros need not be copied. */
  readonly isTargetBlank: boolean;
  /** The map of the whole source; absent if looking at it means reading it. */
  readonly extent?: ((offset: number, length: number) => Promise<Extent>) | undefined;
  /** What the top of the source's chain holds itself; absent if nothing is below it. */
  readonly topExtent?:
    | ((offset: number, length: number) => Promise<Extent & { readonly isAllocated: boolean }>)
    | undefined;
}

/** Walks over a map and marks what is wanted; ends early at a cancel. @returns bytes left out */
async function markBy(
  dirty: DirtyBitmap,
  context: DriverContext,
  look: (offset: number, length: number) => Promise<readonly [length: number, isWanted: boolean]>,
): Promise<number> {
  for (let at = 0; at < dirty.size;) {
    await context.pausePoint();
    if (context.isCancelled) return 0;
    const [length, isWanted] = await look(at, Math.min(ASKED_BYTES, dirty.size - at));
    if (isWanted) dirty.set(at, length);
    at += length;
  }
  let left = dirty.size;
  for (const { length } of dirty.areas()) left -= length;
  return left;
}

/**
 * Fills the dirty set at the beginning.
 *
 * `top`: what the top holds, or all where it cannot say that. `full`: what may not be zero if the
 * target is blank, else everything. `none`: nothing.
 *
 * @returns bytes that need no copying because source and target are zero there
 * @throws {BlockError} when the map of the source cannot be read: the job fails, no policy is asked
 *
 * Source: QEMU 7.2 block/mirror.c mirror_dirty_init
 */
export async function fillInitialSet(
  request: InitialSetRequest,
  context: DriverContext,
): Promise<number> {
  const { dirty, sync, extent, topExtent } = request;
  if (sync === "none") return 0;
  if (sync === "top" && topExtent !== undefined) {
    await markBy(dirty, context, async (offset, length) => {
      const found = await topExtent(offset, length);
      return [found.length, found.isAllocated];
    });
    return 0;
  }
  if (!request.isTargetBlank || extent === undefined) {
    dirty.set(0, dirty.size);
    return 0;
  }
  return await markBy(dirty, context, async (offset, length) => {
    const found = await extent(offset, length);
    return [found.length, found.kind === "data"];
  });
}
