/**
 * The verbs and the statuses in which each is accepted, as data.
 *
 * Source: QEMU 7.2 job.c JobVerbTable; QEMU 8.2 for `change`.
 */
import type { JobStatus } from "./status.ts";

/** All verbs of the table, as they stand in texts. */
export const JOB_VERBS = [
  "cancel",
  "pause",
  "resume",
  "set-speed",
  "complete",
  "finalize",
  "dismiss",
  "change",
] as const;

/** A request to an existing job that may be refused. */
export type JobVerb = typeof JOB_VERBS[number];

const UNTIL_COMPLETED = ["created", "running", "paused", "ready", "standby"] as const;

/** For each verb, the statuses that accept it. Every other cell is a refusal. */
export const VERB_TABLE: { readonly [V in JobVerb]: readonly JobStatus[] } = {
  cancel: [...UNTIL_COMPLETED, "waiting", "pending"],
  pause: UNTIL_COMPLETED,
  resume: UNTIL_COMPLETED,
  "set-speed": UNTIL_COMPLETED,
  complete: ["ready", "standby"],
  finalize: ["pending"],
  dismiss: ["concluded"],
  change: UNTIL_COMPLETED,
};

/**
 * Says whether a status accepts a verb.
 *
 * @example
 * ```ts
 * import { acceptsVerb } from "./verb.ts";
 * if (!acceptsVerb("standby", "complete")) throw new Error("accepted since QEMU 7.2");
 * ```
 */
export function acceptsVerb(status: JobStatus, verb: JobVerb): boolean {
  return VERB_TABLE[verb].includes(status);
}

/** The text of a refusal by the table, letter for letter QEMU's. */
export function verbRefusalText(id: string, status: JobStatus, verb: JobVerb): string {
  return `Job '${id}' in state '${status}' cannot accept command verb '${verb}'`;
}
