/**
 * Commands on nodes of disk images and on their dirty bitmaps.
 *
 * What a node may be made of is checked by the graph itself, in the same order and words: a
 * definition is any object here.
 *
 * Source: QEMU 7.2 qapi/block-core.json.
 */
import {
  ANY,
  BOOL,
  INT,
  listOf,
  object,
  optional,
  type QmpCommand,
  required,
  STR,
  UINT32,
} from "./qmp_type.ts";

/** A bitmap of a node. */
export const BITMAP_NAME = object("BlockDirtyBitmap", { node: required(STR), name: required(STR) });

/** A bitmap to add. */
export const BITMAP_ADD = object("BlockDirtyBitmapAdd", {
  ...BITMAP_NAME.members,
  granularity: optional(UINT32),
  persistent: optional(BOOL),
  disabled: optional(BOOL),
});

/** Bitmaps to set in another one. */
export const BITMAP_MERGE = object("BlockDirtyBitmapMerge", {
  node: required(STR),
  target: required(STR),
  bitmaps: required(listOf({
    meta: "alternate",
    name: "BlockDirtyBitmapOrStr",
    members: [STR, BITMAP_NAME],
  })),
});

const NODE_INFO = object("BlockDeviceInfo", {
  file: required(STR),
  "node-name": optional(STR),
  ro: required(BOOL),
  drv: required(STR),
  "backing_file": optional(STR),
  "backing_file_depth": required(INT),
  image: required(ANY),
});

/** Commands on nodes and bitmaps. */
export const NODE_COMMANDS = {
  "blockdev-add": {
    summary: "Open a node, and those that its definition has in place",
    // And those of its driver.
    arguments: {
      driver: required(STR),
      "node-name": optional(STR),
      "read-only": optional(BOOL),
      "auto-read-only": optional(BOOL),
    },
    isOpen: true,
  },
  "blockdev-del": { summary: "Close a node", arguments: { "node-name": required(STR) } },
  "blockdev-reopen": {
    summary: "Give nodes other options",
    arguments: { options: required(listOf(ANY)) },
  },
  "query-named-block-nodes": {
    summary: "All nodes, newest first",
    arguments: { flat: optional(BOOL) },
    returns: listOf(NODE_INFO),
  },
  "block-dirty-bitmap-add": { summary: "Add a bitmap", arguments: BITMAP_ADD.members },
  "block-dirty-bitmap-remove": { summary: "Remove a bitmap", arguments: BITMAP_NAME.members },
  "block-dirty-bitmap-clear": { summary: "Clear a bitmap", arguments: BITMAP_NAME.members },
  "block-dirty-bitmap-enable": {
    summary: "Let a bitmap record writes",
    arguments: BITMAP_NAME.members,
  },
  "block-dirty-bitmap-disable": {
    summary: "Let a bitmap record writes no more",
    arguments: BITMAP_NAME.members,
  },
  "block-dirty-bitmap-merge": {
    summary: "Set the bits of some bitmaps in another one",
    arguments: BITMAP_MERGE.members,
  },
} as const satisfies { readonly [name: string]: QmpCommand };
