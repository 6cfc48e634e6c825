/**
 * Decisions about dirty bitmaps.
 *
 * Bits live in memory: a bitmap whose process is gone is lost, which is what QEMU calls
 * inconsistent; it can be removed and nothing else.
 *
 * Source: QEMU 7.2 block/monitor/bitmap-qmp-cmds.c; block/dirty-bitmap.c bdrv_dirty_bitmap_check.
 *
 * Differs from QEMU: `persistent` is refused; bitmaps are not kept in images.
 */
import type { BitmapName } from "../../events/job/graph_events.ts";
import type { BitmapState, NodeState } from "../../events/job/graph_state.ts";
import type { GraphChange } from "./changes.ts";
import type { GraphView } from "./graph_view.ts";
import * as refusals from "./refusals.ts";
import { graphError, type GraphRefusal } from "./refusals.ts";

/** Most bytes of a bitmap's name. */
export const BITMAP_NAME_MAX = 1_023;

/** Tells whether a job has taken a bitmap. */
export type IsBusy = (name: BitmapName) => boolean;

/** A bitmap to make. */
export interface BitmapRequest extends BitmapName {
  /** Bytes for each bit. @default that of the node's clusters, 4 to 64 KiB; else 64 KiB */
  readonly granularity?: number;
  /** Refused when true. @default false */
  readonly persistent?: boolean;
  /** True = it does not record writes yet. @default false */
  readonly disabled?: boolean;
}

/** The verbs that change one bitmap and nothing else. */
export type BitmapVerb = "remove" | "clear" | "enable" | "disable";

/** One action on bitmaps of a transaction, named as QEMU names it. */
export type BitmapAction =
  | { readonly action: "block-dirty-bitmap-add" } & BitmapRequest
  | { readonly action: `block-dirty-bitmap-${BitmapVerb}` } & BitmapName
  | {
    readonly action: "block-dirty-bitmap-merge";
    /** Bitmaps on the same node by name, or on any node. */
    readonly sources: readonly (string | BitmapName)[];
  } & BitmapName;

/** What only open nodes can say. */
export interface BitmapPlace {
  /** Bytes for each bit when nothing is said. */
  granularityOf(node: string): number;
  /** Length of a node in bytes. */
  sizeOf(node: string): number;
  /** True if somebody has taken a bitmap. */
  isBusy(name: BitmapName): boolean;
}

function refuse(refusal: GraphRefusal, subject: string): never {
  throw graphError(refusal, subject);
}

function demandNode(view: GraphView, name: string): NodeState {
  const node = view.node(name);
  if (node === undefined) return refuse(refusals.noSuchDevice(name), name);
  const missing = view.missing(node);
  return missing === undefined ? node : refuse(missing, name);
}

function demandBitmap(view: GraphView, { node, bitmap }: BitmapName): BitmapState {
  // The bitmap of a node that is missing can still be removed.
  const found = view.node(node);
  if (found === undefined) return refuse(refusals.noNodeOfBitmap(node), node);
  const state = found.bitmaps.find(({ name }) => name === bitmap);
  return state ?? refuse(refusals.noSuchBitmap(bitmap), bitmap);
}

function checkUsable(name: BitmapName, state: BitmapState, isBusy: IsBusy, mayBeLost = false) {
  if (isBusy(name)) refuse(refusals.bitmapBusy(name.bitmap), name.bitmap);
  if (state.isLost && !mayBeLost) refuse(refusals.bitmapLost(name.bitmap), name.bitmap);
}

function checkName(name: string): void {
  if (name === "") refuse(refusals.parameterFault("Bitmap name cannot be empty"), name);
  if (new TextEncoder().encode(name).byteLength <= BITMAP_NAME_MAX) return;
  refuse(refusals.parameterFault(`Bitmap name too long: ${name}`), name);
}

function checkGranularity(granularity: number): void {
  const isPower = granularity > 0 && Number.isInteger(Math.log2(granularity));
  if (isPower && granularity >= 512 && granularity <= 2_147_483_648) return;
  const text = "Granularity must be power of 2 and at least 512";
  refuse(refusals.parameterFault(text), "granularity");
}

/** What an action changes; errors as the decisions below. */
export function decideBitmapAction(
  view: GraphView,
  place: BitmapPlace,
  action: BitmapAction,
): readonly GraphChange[] {
  const isBusy = (name: BitmapName) => place.isBusy(name);
  switch (action.action) {
    case "block-dirty-bitmap-add":
      return decideBitmapAdd(view, action, place.granularityOf(action.node));
    case "block-dirty-bitmap-merge":
      return decideBitmapMerge(view, action, action.sources, isBusy, (node) => place.sizeOf(node));
    default: {
      const verb = action.action.slice("block-dirty-bitmap-".length) as BitmapVerb;
      return decideBitmapVerb(view, verb, action, isBusy);
    }
  }
}

/**
 * A bitmap begins to record. Checks, in this order: the node, the name's presence, granularity,
 * `persistent`, the name's length, its uniqueness.
 *
 * @param granularityDefault for a request without one
 */
export function decideBitmapAdd(
  view: GraphView,
  request: BitmapRequest,
  granularityDefault: number,
): readonly GraphChange[] {
  const { node, bitmap, granularity = granularityDefault } = request;
  const found = demandNode(view, node);
  if (bitmap === "") checkName(bitmap);
  checkGranularity(granularity);
  if (request.persistent === true) {
    const text = `Cannot make bitmap "${bitmap}" persistent: bitmaps are kept in memory only`;
    refuse(refusals.parameterFault(text), "persistent");
  }
  checkName(bitmap);
  if (found.bitmaps.some(({ name }) => name === bitmap)) {
    refuse(refusals.duplicateBitmap(bitmap), bitmap);
  }
  const isEnabled = request.disabled !== true;
  return [{ type: "BitmapAdded", data: { node, bitmap, granularity, isEnabled } }];
}

/** One of the verbs on one bitmap. A verb that changes nothing is recorded all the same. */
export function decideBitmapVerb(
  view: GraphView,
  verb: BitmapVerb,
  name: BitmapName,
  isBusy: IsBusy,
): readonly GraphChange[] {
  const state = demandBitmap(view, name);
  checkUsable(name, state, isBusy, verb === "remove");
  const data = { node: name.node, bitmap: name.bitmap };
  switch (verb) {
    case "remove":
      return [{ type: "BitmapRemoved", data }];
    case "clear":
      return [{ type: "BitmapCleared", data }];
    case "enable":
      return state.isEnabled ? [] : [{ type: "BitmapEnabled", data }];
    case "disable":
      return state.isEnabled ? [{ type: "BitmapDisabled", data }] : [];
  }
}

/**
 * The bits of some bitmaps are set in another one.
 *
 * @param sources by name on the same node, or on other nodes
 * @param sizeOf size of a node in bytes; bitmaps of different sizes do not go together
 */
export function decideBitmapMerge(
  view: GraphView,
  target: BitmapName,
  sources: readonly (string | BitmapName)[],
  isBusy: IsBusy,
  sizeOf: (node: string) => number,
): readonly GraphChange[] {
  const { node, bitmap } = target;
  checkUsable(target, demandBitmap(view, target), isBusy);
  const named = sources.map((each) =>
    typeof each === "string" ? { node, bitmap: each } : { node: each.node, bitmap: each.bitmap }
  );
  for (const source of named) {
    checkUsable(source, demandBitmap(view, source), isBusy);
    const sizes = [sizeOf(node), sizeOf(source.node)];
    if (sizes[0] === sizes[1]) continue;
    const text = `Bitmaps are of different sizes (destination size is ${sizes[0]}, source size ` +
      `is ${sizes[1]}) and can't be merged`;
    refuse(refusals.parameterFault(text), source.bitmap);
  }
  return [{ type: "BitmapMerged", data: { node, bitmap, sources: named } }];
}
