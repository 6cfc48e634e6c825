/**
 * Error policies: what a job does when an I/O operation fails.
 *
 * | policy | ENOSPC | other |
 * |---|---|---|
 * | report | report | report |
 * | ignore | ignore | ignore |
 * | stop | stop | stop |
 * | enospc, auto | stop | report |
 *
 * Source: QEMU 7.2 blockjob.c block_job_error_action; qapi BlockdevOnError.
 */

/** All policies. */
export const ERROR_POLICIES = ["report", "ignore", "stop", "enospc", "auto"] as const;

/** How errors of one kind are to be treated. Default everywhere: `report`. */
export type ErrorPolicy = typeof ERROR_POLICIES[number];

/** What is done about one error. */
export type ErrorAction = "report" | "ignore" | "stop";

/** Which half of the work failed. */
export type IoOperation = "read" | "write";

/** Where a job stands with its errors: set by `stop`, cleared by a user's resume or cancel. */
export type IoStatus = "ok" | "failed" | "nospace";

/** Every policy with its action for ENOSPC and for any other error. */
export const ERROR_ACTIONS: {
  readonly [P in ErrorPolicy]: { readonly noSpace: ErrorAction; readonly other: ErrorAction };
} = {
  report: { noSpace: "report", other: "report" },
  ignore: { noSpace: "ignore", other: "ignore" },
  stop: { noSpace: "stop", other: "stop" },
  enospc: { noSpace: "stop", other: "report" },
  auto: { noSpace: "stop", other: "report" },
};

/**
 * Looks up what a policy does about an errno.
 *
 * @param policy the job's policy for this kind of error
 * @param errno the errno's name, such as `EIO`
 * @returns the action
 *
 * @example
 * ```ts
 * import { errorActionOf } from "./error_policy.ts";
 * if (errorActionOf("enospc", "ENOSPC") !== "stop") throw new Error("must stop");
 * ```
 */
export function errorActionOf(policy: ErrorPolicy, errno: string): ErrorAction {
  const actions = ERROR_ACTIONS[policy];
  return errno === "ENOSPC" ? actions.noSpace : actions.other;
}

/** The io-status that `stop` sets; the first error wins until it is cleared. */
export function ioStatusAfterStop(before: IoStatus, errno: string): IoStatus {
  if (before !== "ok") return before;
  return errno === "ENOSPC" ? "nospace" : "failed";
}
