/**
 * Decisions about dirty bitmaps.
 *
 * Bits live in memory while a node is open. The image of a node may keep them from its closing on;
 * a bitmap whose process ended without that is lost, which is what QEMU calls inconsistent: it can
 * be removed and nothing else.
 *
 * Source: QEMU 7.2 block/monitor/bitmap-qmp-cmds.c; block/dirty-bitmap.c bdrv_dirty_bitmap_check.
 */
import type { BitmapName } from "../../events/job/graph_events.ts";
import type { BitmapState, NodeState } from "../../events/job/graph_state.ts";
import type { GraphChange } from "./changes.ts";
import type { GraphView } from "./graph_view.ts";
import * as refusals from "./refusals.ts";
import { graphError, type GraphRefusal } from "./refusals.ts";

/** Most bytes of a bitmap's name. */
export const BITMAP_NAME_MAX = 1_023;

/** A bitmap to make. */
export interface BitmapRequest extends BitmapName {
  /** Bytes for each bit. @default that of the node's clusters, 4 to 64 KiB; else 64 KiB */
  readonly granularity?: number;
  /** True = the image keeps it, if it can. @default false */
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
  /** True if a bitmap lies in an image that is open for reading only. */
  isBitmapReadOnly(name: BitmapName): boolean;
  /** Why a node cannot keep another bitmap; undefined = it can. */
  whyNotKept(name: BitmapName, granularity: number): string | undefined;
}

function refuse(refusal: GraphRefusal, subject: string): never {
  throw graphError(refusal, subject);
}

function demandOpen(view: GraphView, name: string): NodeState {
  const node = view.node(name);
  if (node === undefined) return refuse(refusals.noSuchDevice(name), name);
  const missing = view.missing(node);
  return missing === undefined ? node : refuse(missing, name);
}

function demandBitmap(view: GraphView, { node, bitmap }: BitmapName): BitmapState {
  // The bitmap of a node that is missing can still be removed.
  const found = view.node(node);
  if (found === undefined) return refuse(refusals.noSuchBitmapNode(node), node);
  const state = found.bitmaps.find(({ name }) => name === bitmap);
  return state ?? refuse(refusals.noSuchBitmap(bitmap), bitmap);
}

/** Source: QEMU 7.2 block/dirty-bitmap.c bdrv_dirty_bitmap_check. */
function checkUsable(
  place: BitmapPlace,
  name: BitmapName,
  state: BitmapState,
  checks: { readonly isChange?: boolean; readonly mayBeLost?: boolean } = {},
): void {
  const { bitmap } = name;
  if (place.isBusy(name)) refuse(refusals.bitmapBusy(bitmap), bitmap);
  if (checks.isChange === true && place.isBitmapReadOnly(name)) {
    refuse(refusals.bitmapReadOnly(bitmap), bitmap);
  }
  if (state.isLost && checks.mayBeLost !== true) refuse(refusals.bitmapLost(bitmap), bitmap);
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
  switch (action.action) {
    case "block-dirty-bitmap-add":
      return decideBitmapAdd(view, place, action);
    case "block-dirty-bitmap-merge":
      return decideBitmapMerge(view, place, action, action.sources);
    default: {
      const verb = action.action.slice("block-dirty-bitmap-".length) as BitmapVerb;
      return decideBitmapVerb(view, place, verb, action);
    }
  }
}

/**
 * A bitmap begins to record. Checks, in this order: the name's presence, the node, granularity; for
 * one that is to be kept its uniqueness and whether the image can; the name's length, its
 * uniqueness.
 */
export function decideBitmapAdd(
  view: GraphView,
  place: BitmapPlace,
  request: BitmapRequest,
): readonly GraphChange[] {
  const { node, bitmap } = request;
  if (bitmap === "") checkName(bitmap);
  const found = demandOpen(view, node);
  const { granularity = place.granularityOf(node) } = request;
  checkGranularity(granularity);
  const isThere = found.bitmaps.some(({ name }) => name === bitmap);
  const isPersistent = request.persistent === true;
  if (isPersistent && !isThere) {
    const why = place.whyNotKept({ node, bitmap }, granularity);
    if (why !== undefined) refuse(refusals.parameterFault(why), bitmap);
  }
  if (isThere) refuse(refusals.duplicateBitmap(bitmap), bitmap);
  checkName(bitmap);
  const isEnabled = request.disabled !== true;
  return [
    { type: "BitmapAdded", data: { node, bitmap, granularity, isEnabled } },
    ...isPersistent ? [{ type: "BitmapKept", data: { node, bitmap } } as const] : [],
  ];
}

/** One of the verbs on one bitmap. A verb that changes nothing is recorded all the same. */
export function decideBitmapVerb(
  view: GraphView,
  place: BitmapPlace,
  verb: BitmapVerb,
  name: BitmapName,
): readonly GraphChange[] {
  const state = demandBitmap(view, name);
  const isChange = verb === "remove" || verb === "clear";
  checkUsable(place, name, state, { isChange, mayBeLost: verb === "remove" });
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
 * The bits of some bitmaps are set in another one, of the same size. Checks, in this order: both
 * are there; the target may be changed; the source may be used; their sizes. So for each source.
 *
 * @param sources by name on the same node, or on other nodes
 */
export function decideBitmapMerge(
  view: GraphView,
  place: BitmapPlace,
  target: BitmapName,
  sources: readonly (string | BitmapName)[],
): readonly GraphChange[] {
  const { node, bitmap } = target;
  const merged = demandBitmap(view, target);
  const checkTarget = () => checkUsable(place, target, merged, { isChange: true });
  if (sources.length === 0) checkTarget();
  const named = sources.map((each) =>
    typeof each === "string" ? { node, bitmap: each } : { node: each.node, bitmap: each.bitmap }
  );
  for (const source of named) {
    const state = demandBitmap(view, source);
    checkTarget();
    checkUsable(place, source, state);
    const sizes = [place.sizeOf(node), place.sizeOf(source.node)];
    if (sizes[0] === sizes[1]) continue;
    const text = `Bitmaps are of different sizes (destination size is ${sizes[0]}, source size ` +
      `is ${sizes[1]}) and can't be merged`;
    refuse(refusals.parameterFault(text), source.bitmap);
  }
  return [{ type: "BitmapMerged", data: { node, bitmap, sources: named } }];
}
