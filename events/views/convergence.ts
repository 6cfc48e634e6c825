/**
 * How far the members of a transaction have come towards their common end, and who is in the way.
 *
 * Computed from the folded state alone, so that it can be asked live and at any past position.
 *
 * Source: QEMU 7.2 job.c job_completed_txn_success, job_transition_to_pending: all members go to
 * pending together, and one with manual finalize holds them all there.
 */
import { instant, isCompletedStatus, isOverStatus, type JobState, nameOf } from "../job/mod.ts";
import type { TxnDecision, TxnState } from "../job/mod.ts";
import type { PauseNote } from "./txns.ts";

/** Where a transaction stands as a whole. */
export type TxnPhase =
  /** Members still work; the others wait for them. */
  | "running"
  /** All members ended well and a manual finalize is awaited. */
  | "held"
  /** Finalization has begun, the members prepare. */
  | "preparing"
  /** Decided: the members are driven to commit. */
  | "committing"
  /** Decided: the members are driven to abort. */
  | "aborting"
  /** Every member has concluded. */
  | "concluded";

/** One thing that a transaction waits for. */
export interface Blocker {
  /** Run id of the member. */
  readonly runId: string;
  /** Its id, or a word for an internal job. */
  readonly name: string;
  /** Why it is in the way. */
  readonly kind: "works" | "paused" | "unstarted" | "manualFinalize" | "closing";
  /** Milliseconds since 1970 since when. */
  readonly since: number;
  /** One clause for people, such as `held by manual finalize of "b"`. */
  readonly text: string;
}

/** The convergence of one transaction. */
export interface Convergence {
  /** Where it stands. */
  readonly phase: TxnPhase;
  /** Number of members. */
  readonly memberCount: number;
  /** Members whose `run` has ended, well or not. */
  readonly completedCount: number;
  /** Members that ended well and wait for the others. */
  readonly waitingCount: number;
  /** Members that are over. */
  readonly concludedCount: number;
  /** The decision, once there is one. */
  readonly decision: TxnDecision | null;
  /** Run ids of the members that the others wait for. */
  readonly awaited: readonly string[];
  /** Who is in the way, oldest member first. */
  readonly blockers: readonly Blocker[];
}

/**
 * Computes the convergence of a transaction.
 *
 * @param txn the transaction
 * @param pauses the last request to pause per run id, as the view `txns` keeps it
 */
export function convergenceOf(
  txn: TxnState,
  pauses: ReadonlyMap<string, PauseNote> = new Map(),
): Convergence {
  const phase = phaseOf(txn);
  const working = txn.jobs.filter((job) => !isCompletedStatus(job.status));
  const count = (test: (job: JobState) => boolean) => txn.jobs.filter(test).length;
  return {
    phase,
    memberCount: txn.jobs.length,
    completedCount: txn.jobs.length - working.length,
    waitingCount: count((job) => job.status === "waiting" || job.status === "pending"),
    concludedCount: count((job) => isOverStatus(job.status)),
    decision: txn.decision,
    awaited: working.map((job) => job.runId),
    blockers: blockersOf(txn, phase, pauses),
  };
}

function phaseOf(txn: TxnState): TxnPhase {
  const { jobs, decision, isFinalizing } = txn;
  if (jobs.length > 0 && jobs.every((job) => isOverStatus(job.status))) return "concluded";
  if (decision !== null) return decision.decision === "commit" ? "committing" : "aborting";
  if (isFinalizing) return "preparing";
  return jobs.some((job) => !isCompletedStatus(job.status)) || jobs.length === 0
    ? "running"
    : "held";
}

function blockersOf(
  txn: TxnState,
  phase: TxnPhase,
  pauses: ReadonlyMap<string, PauseNote>,
): readonly Blocker[] {
  const working = txn.jobs.filter((job) => !isCompletedStatus(job.status));
  if (working.length > 0) return working.map((job) => workBlocker(job, pauses.get(job.runId)));
  if (phase === "held") {
    return txn.jobs.filter((job) => !job.autoFinalize).map((job) => {
      const text = `held by manual finalize of "${nameOf(job)}"`;
      return blocker(job, "manualFinalize", text);
    });
  }
  if (phase === "running" || phase === "concluded") return [];
  return txn.jobs.filter((job) => !isOverStatus(job.status)).map((job) =>
    blocker(job, "closing", `waits for the closing callbacks of "${nameOf(job)}"`)
  );
}

function workBlocker(job: JobState, pause: PauseNote | undefined): Blocker {
  const name = nameOf(job);
  const since = instant(job.statusAt);
  if (job.status === "paused" || job.status === "standby") {
    const text = `waits for "${name}" (${job.status}${pausedBy(pause)} since ${since})`;
    return blocker(job, "paused", text);
  }
  if (job.status === "created") {
    return blocker(job, "unstarted", `waits for "${name}" (not started since ${since})`);
  }
  const { current, total } = job.progress;
  const text = `waits for "${name}" (${job.status} since ${since}, ${current} of ${total})`;
  return blocker(job, "works", text);
}

function blocker(job: JobState, kind: Blocker["kind"], text: string): Blocker {
  return { runId: job.runId, name: nameOf(job), kind, since: job.statusAt, text };
}

function pausedBy(pause: PauseNote | undefined): string {
  switch (pause?.by) {
    case undefined:
      return "";
    case "user":
      return ` by ${pause.actor} over ${pause.via}`;
    case "policy":
      return " by its error policy";
    case "logSpace":
      return " because the disk of the log is full";
    case "internal":
      return " by the engine";
  }
}
