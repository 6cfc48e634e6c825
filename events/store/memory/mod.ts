/**
 * The event log in memory: the reference store.
 *
 * @example Append and read back
 * ```ts
 * import { openEventStore } from "../../log/mod.ts";
 * import { createMemoryLog } from "./mod.ts";
 *
 * const log = createMemoryLog();
 * const store = await openEventStore(log.open(), { clock: { now: () => 1764000000000 } });
 * await store.append({
 *   streams: [{
 *     stream: "engine",
 *     expectedVersion: "noStream",
 *     events: [{ type: "EngineOpened", data: {}, metadata: { actor: "ann", via: "api" } }],
 *   }],
 * });
 * for await (const event of store.readAll()) {
 *   if (event.position !== 1) throw new Error("unexpected position");
 * }
 * await store.close();
 * ```
 *
 * @module
 */
export { createMemoryLog } from "./memory_backend.ts";
export type { MemoryLog } from "./memory_backend.ts";
