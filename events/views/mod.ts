/**
 * Folds for reading: jobs, transactions, progress, the timeline of a job, statistics, the wire.
 *
 * Pure: a view gets events and runs nothing. Each projection has a name, a fold version, an initial
 * state and `evolve`; the functions beside it ask the folded state.
 *
 * @example Fold a history and list its jobs
 * ```ts
 * import { fold, jobs, listJobs } from "./mod.ts";
 *
 * const directory = fold(jobs, []);
 * if (listJobs(directory).length !== 0) throw new Error("there is no job yet");
 * ```
 *
 * @module
 */
export * from "./convergence.ts";
export * from "./info.ts";
export * from "./jobs.ts";
export * from "./progress.ts";
export * from "./projection.ts";
export * from "./statistics.ts";
export * from "./timeline.ts";
export * from "./timeline_lines.ts";
export * from "./timeline_reader.ts";
export * from "./txns.ts";
export * from "./wire/mod.ts";
