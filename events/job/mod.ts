/**
 * The language of jobs: statuses, verbs, event types, and the fold of events into state.
 *
 * Pure: nothing here runs, stores or changes anything.
 *
 * @example Fold two events into a state
 * ```ts
 * import { evolveJob, INITIAL_JOB, type JobEvent } from "./mod.ts";
 *
 * const head = { stream: "job-a", schema: 1, time: 0, metadata: { actor: "me", via: "api" } };
 * const created = {
 *   ...head,
 *   position: 1,
 *   version: 1,
 *   type: "JobCreated",
 *   data: {
 *     runId: "a",
 *     id: "backup0",
 *     jobType: "backup",
 *     txnId: "a",
 *     parameters: {},
 *     speed: 0,
 *     autoFinalize: true,
 *     autoDismiss: true,
 *     callbacks: [],
 *     isResumable: false,
 *     behaviour: 1,
 *   },
 * } as JobEvent;
 * const started = { ...head, position: 2, version: 2, type: "JobStarted", data: {} } as JobEvent;
 * const state = evolveJob(evolveJob(INITIAL_JOB, created), started);
 * if (state.status !== "running") throw new Error(state.status);
 * ```
 *
 * @module
 */
export * from "./block_job_types.ts";
export * from "./causes.ts";
export * from "./error_policy.ts";
export * from "./errno.ts";
export * from "./events.ts";
export * from "./evolve.ts";
export * from "./graph_events.ts";
export * from "./graph_state.ts";
export * from "./sentences.ts";
export * from "./state.ts";
export * from "./status.ts";
export * from "./verb.ts";
