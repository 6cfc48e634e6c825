/**
 * Commands on nodes and on their dirty bitmaps.
 *
 * Source: QEMU 7.2 blockdev.c qmp_blockdev_*; block/qapi.c bdrv_block_device_info;
 * block/monitor/bitmap-qmp-cmds.c.
 */
import type { CommandContext, LiveNode, LiveNodes } from "../../service.ts";
import type { Arguments } from "../arguments.ts";
import type { Handler } from "../call.ts";
import { bitmapAdd, bitmapOf, bitmapSources } from "./bitmaps.ts";

type Change = (nodes: LiveNodes, args: Arguments, context: CommandContext) => Promise<void>;

/** A command that changes the graph. */
function change(send: Change): Handler {
  return {
    changes: true,
    async run({ world: { live }, connection: { context }, args }) {
      await send(live.nodes, args, context);
      return { value: {}, position: live.position };
    },
  };
}

type Options = Parameters<LiveNodes["add"]>[0];

function bitmapVerb(verb: "remove" | "clear" | "enable" | "disable"): Handler {
  return change((nodes, args, context) => nodes.bitmap(verb, bitmapOf(args), context));
}

const NO_LIMITS = { bps: 0, bps_rd: 0, bps_wr: 0, iops: 0, iops_rd: 0, iops_wr: 0 };

/** What QEMU tells of a node; what no node here has, such as encryption, is told as absent. */
function nodeInfo(node: LiveNode) {
  const file = node.filePath ?? "";
  return {
    "node-name": node.name,
    drv: node.driver,
    ro: node.isReadOnly,
    file,
    encrypted: false,
    detect_zeroes: "off",
    cache: { writeback: true, direct: false, "no-flush": false },
    write_threshold: 0,
    ...NO_LIMITS,
    backing_file_depth: node.depth,
    ...(node.backingPath === undefined ? {} : { backing_file: node.backingPath }),
    image: {
      filename: file,
      format: node.driver,
      ...(node.sizeBytes === null ? {} : { "virtual-size": node.sizeBytes }),
    },
    ...(node.bitmaps.length === 0
      ? {}
      : { "dirty-bitmaps": node.bitmaps.toReversed().map(bitmapInfo) }),
  };
}

function bitmapInfo(bitmap: LiveNode["bitmaps"][number]) {
  return {
    name: bitmap.name,
    count: bitmap.dirtyBytes,
    granularity: bitmap.granularity,
    recording: bitmap.isEnabled,
    busy: bitmap.isBusy,
    persistent: bitmap.isPersistent,
    ...(bitmap.isLost ? { inconsistent: true } : {}),
  };
}

const listNodes: Handler = {
  changes: false,
  async run({ world: { live } }) {
    const nodes = await live.nodes.list();
    return { value: nodes.map(nodeInfo), position: live.position };
  },
};

/** Handlers of the commands on nodes. */
export const NODE_HANDLERS = {
  "blockdev-add": change((nodes, args, context) => nodes.add(args as Options, context)),
  "blockdev-del": change((nodes, args, context) =>
    nodes.remove(args["node-name"] as string, context)
  ),
  "blockdev-reopen": change((nodes, args, context) =>
    nodes.reopen(args["options"] as readonly Options[], context)
  ),
  "query-named-block-nodes": listNodes,
  "block-dirty-bitmap-add": change((nodes, args, context) => {
    const { node, bitmap, ...options } = bitmapAdd(args);
    return nodes.addBitmap({ node, bitmap }, options, context);
  }),
  "block-dirty-bitmap-remove": bitmapVerb("remove"),
  "block-dirty-bitmap-clear": bitmapVerb("clear"),
  "block-dirty-bitmap-enable": bitmapVerb("enable"),
  "block-dirty-bitmap-disable": bitmapVerb("disable"),
  "block-dirty-bitmap-merge": change((nodes, args, context) => {
    return nodes.mergeBitmaps(bitmapOf(args, "target"), bitmapSources(args), context);
  }),
} as const;
