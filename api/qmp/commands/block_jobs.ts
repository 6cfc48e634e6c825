/**
 * Commands that start jobs, and transactions of them.
 *
 * - A command's arguments become one job: what every job has goes to the job, the rest to its
 *   driver, under the same names.
 * - A transaction is one command with one record: all of its jobs are created and all bitmaps are
 *   changed, or nothing is left of it.
 *
 * Source: QEMU 7.2 blockdev.c do_backup_common, qmp_blockdev_mirror, qmp_transaction.
 */
import type { JobStart, TransactionPart } from "../../service.ts";
import type { Arguments } from "../arguments.ts";
import type { Handler } from "../call.ts";
import { afterStart } from "../settling.ts";
import { bitmapAction } from "./bitmaps.ts";

/** Arguments that every job has; the others are its driver's. */
const OF_THE_JOB = new Set(["job-id", "device", "speed", "auto-finalize", "auto-dismiss"]);

/** Which job a command or an action starts, and which of its parameters must name nodes. */
interface Start {
  readonly type: string;
  readonly nodes: readonly string[];
  /** Name of the parameter that the argument `device` becomes. @default "source" */
  readonly device?: "device" | "source";
  /** Parameters that are said for the client. */
  readonly defaults?: Arguments;
}

const STARTS = {
  "blockdev-backup": { type: "backup", nodes: ["source", "target"] },
  // The default of QEMU's commands makes the target anew.
  "drive-backup": { type: "backup", nodes: ["source"], defaults: { mode: "absolute-paths" } },
  "blockdev-mirror": { type: "mirror", nodes: ["source", "target"] },
  "drive-mirror": { type: "mirror", nodes: ["source"], defaults: { mode: "absolute-paths" } },
  "block-stream": { type: "stream", nodes: ["device"], device: "device" },
  "block-commit": { type: "commit", nodes: ["device"], device: "device" },
} as const satisfies { readonly [command: string]: Start };

/** Jobs that a transaction may start. */
const ACTIONS: { readonly [action: string]: Start | undefined } = {
  "blockdev-backup": STARTS["blockdev-backup"],
  "drive-backup": STARTS["drive-backup"],
};

/** One job of the wire's arguments. */
function jobOf(start: Start, args: Arguments): JobStart {
  const { type, nodes, device = "source", defaults = {} } = start;
  const parameters = Object.fromEntries(
    Object.entries(args).filter(([name]) => !OF_THE_JOB.has(name)),
  );
  return {
    type,
    nodes,
    // No node here belongs to a device, whose name would be the id.
    id: (args["job-id"] as string | undefined) ?? "",
    parameters: { [device]: args["device"] as string, ...defaults, ...parameters },
    speed: (args["speed"] as number | undefined) ?? 0,
    autoFinalize: args["auto-finalize"] !== false,
    autoDismiss: args["auto-dismiss"] !== false,
  };
}

function starts(start: Start): Handler {
  return {
    changes: true,
    async run({ world: { live }, connection: { context }, args }) {
      const job = await live.start(jobOf(start, args), context);
      return { value: {}, position: live.position, settling: afterStart(job) };
    },
  };
}

/** Its job is kept until it is dismissed. Source: QEMU 7.2 block/create.c qmp_blockdev_create. */
const createImage: Handler = {
  changes: true,
  async run({ world: { live }, connection: { context }, args }) {
    const { file } = args["options"] as Arguments;
    // The definition of a node; what is none is refused with the other options.
    const isDefinition = typeof file === "object" && file !== null && !Array.isArray(file);
    if (isDefinition) live.nodes.check(file, "options.file.");
    const parameters = { options: args["options"] } as JobStart["parameters"] & object;
    const id = args["job-id"] as string;
    const request = { type: "create", id, parameters, autoDismiss: false };
    const job = await live.start(request, context);
    return { value: {}, position: live.position, settling: afterStart(job) };
  },
};

/** An action that undoes those before it. */
function undoing(code: string, text: string): JobStart {
  return { type: "abort", id: "abort", refusal: { code, text } };
}

function partOf(
  { type, data }: { readonly type: string; readonly data: Arguments },
  mode: string,
): TransactionPart {
  const start = ACTIONS[type];
  if (start !== undefined) return jobOf(start, data);
  const change = bitmapAction(type, data);
  if (change !== undefined) return change;
  if (type === "abort") {
    return undoing("transactionAborted", "Transaction aborted using Abort action");
  }
  const text = mode === "grouped"
    ? `Action '${type}' does not support Transaction property completion-mode = ${mode}`
    : `Action '${type}' is not supported`;
  return undoing("transactionAborted", text);
}

const transaction: Handler = {
  changes: true,
  async run({ world: { live }, connection: { context }, args }) {
    const { actions, properties } = args as unknown as {
      readonly actions: readonly { readonly type: string; readonly data: Arguments }[];
      readonly properties?: { readonly "completion-mode"?: "individual" | "grouped" };
    };
    const mode = properties?.["completion-mode"] ?? "individual";
    await live.transaction(actions.map((action) => partOf(action, mode)), mode, context);
    return { value: {}, position: live.position };
  },
};

/** Handlers of the commands that start jobs. */
export const BLOCK_JOB_HANDLERS = {
  "blockdev-backup": starts(STARTS["blockdev-backup"]),
  "drive-backup": starts(STARTS["drive-backup"]),
  "blockdev-mirror": starts(STARTS["blockdev-mirror"]),
  "drive-mirror": starts(STARTS["drive-mirror"]),
  "block-stream": starts(STARTS["block-stream"]),
  "block-commit": starts(STARTS["block-commit"]),
  "blockdev-create": createImage,
  transaction,
} as const;
