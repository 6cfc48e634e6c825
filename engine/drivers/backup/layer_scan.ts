/** Which clusters the top layer of a chain holds: what `sync=top` copies. */

import type { DirtyMap } from "../../block/dirty_map.ts";
import type { LayerExtent } from "../../block/qcow2/mod.ts";

/** Looks up what a layer alone knows of a range. */
export type TopExtent = (offset: number, length: number) => Promise<LayerExtent>;

/** What is looked at. */
export interface LayerScan {
  /** The map of the top layer. */
  readonly topExtent: TopExtent;
  /** The clusters to be copied; those that the layer does not hold are taken out. */
  readonly pending: DirtyMap;
  /** Where to begin. */
  readonly from: number;
  /** Called for each stretch that is not held, in whole clusters. */
  readonly onSkipped: (offset: number, length: number) => void;
  /** Called between looks; false ends the scan. */
  readonly goOn: () => Promise<boolean>;
}

/**
 * Takes out of the pending clusters those that are not allocated in the top layer, not even in
 * part.
 *
 * @returns true when it came to the end
 * @throws what the layer throws
 */
export async function skipUnallocated(scan: LayerScan): Promise<boolean> {
  const { topExtent, pending, onSkipped } = scan;
  const { size, cluster } = pending;
  const skip = (from: number, to: number) => {
    const first = Math.ceil(from / cluster) * cluster;
    const end = to >= size ? size : Math.floor(to / cluster) * cluster;
    if (end <= first) return;
    pending.clear(first, end - first);
    onSkipped(first, end - first);
  };
  let gapFrom: number | undefined;
  for (let at = scan.from; at < size;) {
    if (!await scan.goOn()) return false;
    const { length, isAllocated } = await topExtent(at, size - at);
    if (!isAllocated) gapFrom ??= at;
    else if (gapFrom !== undefined) {
      skip(gapFrom, at);
      gapFrom = undefined;
    }
    at += length;
  }
  if (gapFrom !== undefined) skip(gapFrom, size);
  return true;
}
