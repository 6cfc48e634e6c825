/**
 * Bitmaps that images keep, between what is recorded of them and what the opened images say.
 *
 * - The image is right: who wrote it last may have been another program.
 * - Recorded bitmaps that no image keeps are left alone.
 *
 * Called by the files of this room. Source: QEMU 7.2 block/qcow2-bitmap.c
 * qcow2_load_dirty_bitmaps, qcow2_reopen_bitmaps_rw.
 */
import type { BitmapName } from "../../events/job/graph_events.ts";
import type { BitmapState } from "../../events/job/graph_state.ts";
import type { BitmapSet } from "../block/bitmap_set.ts";
import type { DirtyBitmap } from "../block/dirty_bitmap.ts";
import type { BlockNode } from "../block/node.ts";
import { Qcow2Node } from "../block/qcow2/qcow2_node.ts";
import type { BitmapPlace } from "./bitmap_verbs.ts";
import type { GraphChange } from "./changes.ts";
import type { LiveNodes } from "./live_nodes.ts";

/** Marks the bitmaps of an image as in use if it may be written. Durable when it resolves. */
export async function useKept(block: BlockNode): Promise<void> {
  if (block instanceof Qcow2Node) await block.kept.use();
}

/** What taking removed bitmaps out of their images needs. */
export interface DropPlace {
  /** The open nodes. */
  readonly live: LiveNodes;
  /** Told of what failed. */
  readonly options: { readonly onFault?: (node: string, error: unknown) => void };
}

/** Takes bitmaps out of their images that were removed. What fails is tried again on closing. */
export async function dropRemoved(
  { live, options }: DropPlace,
  changes: readonly GraphChange[],
): Promise<void> {
  for (const { type, data } of changes) {
    const { name, block } = type === "BitmapRemoved" ? live.get(data.node) ?? {} : {};
    if (name === undefined || !(block instanceof Qcow2Node)) continue;
    await block.kept.dropGone().catch((error: unknown) => options.onFault?.(name, error));
  }
}

/** What only open nodes can say of bitmaps. */
export class BitmapFacts implements BitmapPlace {
  readonly #live: LiveNodes;

  /** @param live the open nodes */
  constructor(live: LiveNodes) {
    this.#live = live;
  }

  /** Source: QEMU 7.2 block/dirty-bitmap.c bdrv_get_default_bitmap_granularity. */
  granularityOf(node: string): number {
    const block = this.#live.get(node)?.block;
    if (!(block instanceof Qcow2Node)) return 65_536;
    return Math.min(65_536, Math.max(4_096, 2 ** block.header.clusterBits));
  }

  /** Length of an open node in bytes. */
  sizeOf(node: string): number {
    return this.#live.get(node)?.node.size ?? 0;
  }

  /** True if a job, or a transaction in the making, has a bitmap. */
  isBusy(name: BitmapName): boolean {
    return this.#bits(name)?.isBusy === true;
  }

  /** True if a bitmap lies in an image that is open for reading only. */
  isBitmapReadOnly(name: BitmapName): boolean {
    return this.#bits(name)?.isReadOnly === true;
  }

  /** Source: QEMU 7.2 block/dirty-bitmap.c bdrv_can_store_new_dirty_bitmap. */
  whyNotKept({ node, bitmap }: BitmapName, granularity: number): string | undefined {
    const block = this.#live.get(node)?.block;
    if (!(block instanceof Qcow2Node)) {
      return `Can't store persistent bitmaps to ${node}: Operation not supported`;
    }
    const why = block.kept.whyNot(bitmap, granularity);
    return why && `Can't make bitmap '${bitmap}' persistent in '${node}': ${why}`;
  }

  #bits({ node, bitmap }: BitmapName): DirtyBitmap | undefined {
    return this.#live.get(node)?.bitmaps.find(bitmap);
  }
}

/** What is recorded of a node. */
interface RecordedNode {
  readonly name: string;
  readonly bitmaps: readonly BitmapState[];
}

/** What differs between the record of a node that was just opened and the image of it. */
export function keptChanges(node: RecordedNode, bitmaps: BitmapSet): readonly GraphChange[] {
  const kept = bitmaps.list().filter(({ isPersistent }) => isPersistent);
  const known = node.bitmaps.filter(({ isPersistent }) => isPersistent);
  const changes = known.flatMap((state) => knownChanges(node.name, state, kept));
  const removed = new Set(
    changes.flatMap(({ type, data }) =>
      type === "BitmapRemoved" && "bitmap" in data ? [data.bitmap] : []
    ),
  );
  for (const bitmap of kept) {
    const { name = "", granularity, isRecording, isInconsistent } = bitmap;
    const state = node.bitmaps.find((each) => each.name === name);
    if (state?.isPersistent === true && !removed.has(name)) continue;
    const place = { node: node.name, bitmap: name };
    // One of the same name was in memory only, and is gone.
    if (state?.isPersistent === false) changes.push({ type: "BitmapRemoved", data: place });
    const data = { ...place, granularity, isEnabled: isRecording, isInconsistent };
    changes.push({ type: "BitmapFound", data });
  }
  return changes;
}

function knownChanges(
  node: string,
  state: BitmapState,
  kept: readonly DirtyBitmap[],
): GraphChange[] {
  const data = { node, bitmap: state.name };
  const found = kept.find(({ name }) => name === state.name);
  const isOther = found === undefined || found.granularity !== state.granularity ||
    (state.isLost && !found.isInconsistent);
  if (isOther) return [{ type: "BitmapRemoved", data }];
  if (found.isInconsistent) return state.isLost ? [] : [{ type: "BitmapLost", data }];
  if (found.isRecording === state.isEnabled) return [];
  return [{ type: found.isRecording ? "BitmapEnabled" : "BitmapDisabled", data }];
}
