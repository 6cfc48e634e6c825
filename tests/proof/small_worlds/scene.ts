/**
 * What is true at one moment of a small world: the folded transaction, and the little that the
 * shell knows beside it.
 */
import type { JobState, TxnState } from "../../../events/job/mod.ts";
import {
  decideCreate,
  decideRecovery,
  decideSignal,
  decideStopped,
  decideVerb,
  dueWork,
  isClosing,
} from "../../../engine/core/mod.ts";

/** One moment. */
export interface Scene {
  /** The transaction. */
  readonly txn: TxnState;
  /** Bit of each parked member that was woken and has not left its pause point yet. */
  readonly entered: number;
  /** False = the log is open without running jobs. */
  readonly isOnline: boolean;
}

/** The rules under proof; tests put broken ones in their place. */
export interface Rules {
  readonly decideCreate: typeof decideCreate;
  readonly decideVerb: typeof decideVerb;
  readonly decideSignal: typeof decideSignal;
  readonly decideRecovery: typeof decideRecovery;
  readonly decideStopped: typeof decideStopped;
  readonly dueWork: typeof dueWork;
  readonly isClosing: typeof isClosing;
}

/** The rules of the product. */
export const RULES: Rules = {
  decideCreate,
  decideVerb,
  decideSignal,
  decideRecovery,
  decideStopped,
  dueWork,
  isClosing,
};

/** A promise of the machine that did not hold. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** Throws unless a promise holds. */
export function must(holds: boolean, text: string): asserts holds {
  if (!holds) throw new Violation(text);
}

/** True while a member stands at a pause point. */
export function isParked(job: JobState): boolean {
  return job.status === "paused" || job.status === "standby";
}

/** True while a member's driver may act: it was started, has not returned and is not parked. */
export function isDriving(job: JobState): boolean {
  return job.status === "running" || job.status === "ready";
}

/** True once nothing can happen to the transaction any more. */
export function isEnd({ txn }: Scene): boolean {
  return txn.awaited.length === 0 && (!txn.isGroup || txn.isConcluded) &&
    txn.jobs.every((job) => job.status === "null");
}

/** The run id of a member by its place, oldest first. */
export function runIdOf(slot: number): string {
  return `run-${slot}`;
}

/** The place of a member by its run id. */
export function slotOf(runId: string): number {
  return runId.charCodeAt(4) - 48;
}
