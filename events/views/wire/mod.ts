/**
 * Recorded events as other protocols send them.
 *
 * @example A job that starts sends one status event
 * ```ts
 * import { initialQmp, qmpEventsOf } from "./mod.ts";
 *
 * const state = initialQmp();
 * const engine = { type: "EngineOpened", stream: "engine", schema: 1, position: 1, version: 1 };
 * const metadata = { actor: "engine", via: "engine" } as const;
 * const events = qmpEventsOf(state, { ...engine, time: 0, data: {}, metadata });
 * if (events.length !== 0) throw new Error("an opening is no event of QMP");
 * ```
 *
 * @module
 */
export * from "./error_text.ts";
export * from "./qmp_events.ts";
