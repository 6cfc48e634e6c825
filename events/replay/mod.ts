/**
 * Looking back: the state at a position or an instant, why it is so, and whether to believe it.
 *
 * `at` folds and runs nothing; `why` and `whyNot` explain by the recorded causes; `verify`
 * re-derives everything and names the first fault; proofs show single records to somebody who does
 * not have the log.
 *
 * @example Look at the middle of a log, and verify all of it
 * ```ts
 * import type { EventReader } from "../log/mod.ts";
 * import { at, verify } from "./mod.ts";
 *
 * export async function audit(reader: EventReader): Promise<number> {
 *   const { position } = await reader.end();
 *   const { jobs } = await at(reader, { position: Math.floor(position / 2) });
 *   const report = await verify(reader);
 *   if (!report.ok) throw new Error(report.first?.text);
 *   return jobs.length;
 * }
 * ```
 *
 * @module
 */
export * from "./at.ts";
export type { Fault, FaultKind } from "./faults.ts";
export * from "./job_states.ts";
export * from "./place.ts";
export * from "./proofs.ts";
export * from "./verify.ts";
export type { CommandCounts } from "./verify_commands.ts";
export type { JobCounts } from "./verify_jobs.ts";
export type { RowCounts } from "./verify_rows.ts";
export { ENGINE_SNAPSHOT } from "./verify_snapshots.ts";
export * from "./why.ts";
