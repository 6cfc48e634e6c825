/**
 * The rules: (state, command) -> events and an answer. Pure; knows no clock, chance, store or I/O.
 *
 * `decideCreate` makes jobs, `decideVerb` answers users, `decideSignal` takes a runner's reports,
 * `decideRecovery` takes up what an earlier process left; `dueWork` names the callback that a
 * transaction waits for.
 *
 * @example A verb that the table refuses
 * ```ts
 * import { decideVerb } from "./mod.ts";
 * import { INITIAL_JOB, initialTxn } from "../../events/job/mod.ts";
 *
 * const job = { ...INITIAL_JOB, runId: "r", id: "j", txnId: "r", status: "running" } as const;
 * const txn = { ...initialTxn("r", false), jobs: [job] };
 * const to = { runId: "r", subject: "j", arguments: {} } as const;
 * const command = { commandId: "c", verb: "dismiss", ...to } as const;
 * const { answer } = decideVerb(txn, command, 0);
 * if (answer.kind !== "refused") throw new Error(answer.kind);
 * ```
 *
 * @module
 */
export * from "./converge.ts";
export * from "./create.ts";
export * from "./draft.ts";
export * from "./recover.ts";
export * from "./refusals.ts";
export * from "./signals.ts";
export * from "./throttle.ts";
export * from "./verbs.ts";
