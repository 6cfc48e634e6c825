/**
 * The wire's arguments about dirty bitmaps: the same for a command and for an action of a
 * transaction.
 *
 * Source: QEMU 7.2 qapi/block-core.json BlockDirtyBitmap, BlockDirtyBitmapAdd,
 * BlockDirtyBitmapMerge.
 */
import type { BitmapTarget, TransactionPart } from "../../service.ts";
import type { Arguments, Checked } from "../arguments.ts";

/** The bitmap that is named by a node and one more argument. */
export function bitmapOf(args: Arguments, key = "name"): BitmapTarget {
  return { node: args["node"] as string, bitmap: args[key] as string };
}

/** A bitmap to add. */
export function bitmapAdd(args: Arguments): BitmapTarget & {
  readonly granularity?: number;
  readonly persistent?: boolean;
  readonly disabled?: boolean;
} {
  const { node: _node, name: _name, ...options } = args;
  return { ...bitmapOf(args), ...options };
}

/** Bitmaps to merge: by name on the same node, or on any node. */
export function bitmapSources(args: Arguments): readonly (string | BitmapTarget)[] {
  return (args["bitmaps"] as readonly Checked[]).map((source) =>
    typeof source === "string" ? source : bitmapOf(source as Arguments)
  );
}

type Make = (data: Arguments) => TransactionPart;

/** One that needs no more than a name. */
function plain(verb: "remove" | "clear" | "enable" | "disable"): Make {
  return (data) => ({ ...bitmapOf(data), action: `block-dirty-bitmap-${verb}` });
}

const ACTIONS: { readonly [type: string]: Make } = {
  "block-dirty-bitmap-add": (data) => ({ ...bitmapAdd(data), action: "block-dirty-bitmap-add" }),
  "block-dirty-bitmap-remove": plain("remove"),
  "block-dirty-bitmap-clear": plain("clear"),
  "block-dirty-bitmap-enable": plain("enable"),
  "block-dirty-bitmap-disable": plain("disable"),
  "block-dirty-bitmap-merge": (data) => ({
    ...bitmapOf(data, "target"),
    action: "block-dirty-bitmap-merge",
    sources: bitmapSources(data),
  }),
};

/** An action of a transaction that changes bitmaps; undefined for any other type. */
export function bitmapAction(type: string, data: Arguments): TransactionPart | undefined {
  return Object.hasOwn(ACTIONS, type) ? ACTIONS[type]!(data) : undefined;
}
