/**
 * The shell: runs jobs over a log, and takes up what an earlier process left.
 *
 * @example A job from creation to its end, in memory
 * ```ts
 * import { Joblog, processIdentity, systemPorts } from "./mod.ts";
 * import { defineDriver } from "../drivers/driver.ts";
 * import { openEventStore } from "../../events/log/mod.ts";
 * import { createMemoryLog } from "../../events/store/memory/mod.ts";
 *
 * const count = defineDriver({
 *   type: "count",
 *   summary: "counts to three",
 *   parameters: () => ({}),
 *   open: () => ({
 *     async run(context) {
 *       context.progress.setRemaining(3);
 *       for (let offset = 0; offset < 3; offset++) {
 *         await context.step({ kind: "counted", offset, length: 1 });
 *         await context.pausePoint();
 *       }
 *     },
 *   }),
 * });
 * const ports = systemPorts();
 * await using joblog = await Joblog.open({
 *   store: await openEventStore(createMemoryLog().open(), { clock: ports }),
 *   ports,
 *   drivers: { get: () => count, types: ["count"] },
 *   identity: processIdentity(),
 *   baseFolder: "/",
 * });
 * const job = await joblog.start({ type: "count", id: "count0" });
 * const end = await job.done;
 * if (end.progress.current !== 3) throw new Error(JSON.stringify(end));
 * ```
 *
 * @module
 */
export type { CloseMode } from "./close.ts";
export type {
  CommandContext,
  CompletionMode,
  JobRequest,
  TransactionMember,
  Verb,
  VerbArguments,
} from "./requests.ts";
export type { DriverLookup, EngineOptions } from "./engine_options.ts";
export { Job } from "./job.ts";
export { Joblog, type JoblogOptions, type Transaction } from "./joblog.ts";
export { type MergeSource, Nodes } from "./nodes.ts";
export type {
  BitmapAction,
  BitmapInfo,
  BitmapRequest,
  BitmapVerb,
  NodeInfo,
} from "../graph/mod.ts";
export { readGraph } from "./graph_host.ts";
export type { Ports, ProcessIdentity, Timer } from "./ports.ts";
export { processIdentity, systemPorts, VERSION } from "./system_ports.ts";
