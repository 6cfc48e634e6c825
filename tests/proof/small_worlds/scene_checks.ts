/**
 * What must hold in every state. The numbers in the comments are those of the machine's invariants.
 *
 * Source: QEMU 7.2 job.c; DESIGN.md, The job machine.
 */
import { internalPauses, type JobState, type TxnState } from "../../../events/job/mod.ts";
import type { Signal } from "../../../engine/core/mod.ts";
import { isParked, must, type Rules, runIdOf, type Scene, slotOf } from "./scene.ts";

const COMPLETED: ReadonlySet<string> = new Set([
  "waiting",
  "pending",
  "aborting",
  "concluded",
  "null",
]);

/** Checks one state. */
export function checkScene(scene: Scene, rules: Rules): void {
  const { txn } = scene;
  const side = txn.decision?.decision;
  for (let slot = 0; slot < txn.jobs.length; slot++) {
    const job = txn.jobs[slot]!;
    checkJob(job);
    if (job.outcome !== null) {
      // 3: either all members end well or none does, on the side that was recorded.
      must((job.ret === 0) === (side === "commit"), "A member ended on the other side");
      must(job.outcome === (job.isForceCancelled ? "cancelled" : "completed"), "A false outcome");
    }
    // 6: nobody stays parked without a reason; members of an aborted group are woken in turn.
    const isWoken = (scene.entered >> slot & 1) === 1 || side === "abort";
    const isForgotten = scene.isOnline && isParked(job) && job.pauseCount === 0 && !isWoken;
    must(!isForgotten, "A member is parked without a reason, and nobody woke it");
    // 4: pending means that every member has ended well.
    if (job.status === "pending" && side !== "abort") {
      const areWell = txn.jobs.every((other) => COMPLETED.has(other.status) && other.ret === 0);
      must(areWell, "Pending while a member has not ended well");
    }
  }
  checkDue(txn, rules);
}

function checkJob(job: JobState): void {
  const { closed } = job;
  // 5: the flags of a cancel.
  must(!job.isForceCancelled || job.isCancelRequested, "Forced but not cancelled");
  // 6: the count of pauses.
  must(job.pauseCount >= 0 && internalPauses(job) >= 0, "More resumes than pauses");
  must(!job.isUserPaused || job.pauseCount >= 1, "User-paused without a pause");
  must(job.ioStatus === "ok" || job.isUserPaused, "Stopped at an error without a user's pause");
  must(!isParked(job) || !job.hasRunReturned, "Parked after its run has ended");
  // 7: commit and abort exclude each other.
  must(!(closed.includes("commit") && closed.includes("abort")), "Committed and aborted");
  must(new Set(closed).size === closed.length, "A callback ended twice");
  must(job.ret === 0 || job.error !== null, "A failed job without an error");
  must(job.error === null || job.error.number === -job.ret, "A return code without its error");
  must(job.status !== "aborting" || job.ret !== 0, "Aborting without an error");
  const isOver = job.status === "concluded" || job.status === "null";
  must(isOver === (job.outcome !== null) || !job.isStarted, "Over without an outcome");
}

/** Only the decided side becomes due, and nothing before the decision but prepare. */
function checkDue(txn: TxnState, rules: Rules): void {
  const due = rules.dueWork(txn);
  if (due === undefined) return;
  must(rules.isClosing(txn), "Work is due while commands are taken");
  const slot = slotOf(due.runId);
  const job = txn.jobs[slot]!;
  const areOver = txn.jobs.slice(slot + 1).every((other) =>
    other.outcome !== null || isGone(other)
  );
  if (due.kind === "enter") {
    must(txn.decision?.decision === "abort", "A member is woken to end before the decision");
    must(job.isForceCancelled || job.runId === txn.decision.trigger, "An uncancelled one is woken");
    return must(areOver, "A member is awaited before a newer one has concluded");
  }
  must(!job.closed.includes(due.callback), `${due.callback} is due twice`);
  must(job.callbacks.includes(due.callback), `${due.callback} is due without being there`);
  if (due.callback === "prepare") {
    return must(txn.decision === null && txn.isFinalizing, "prepare is due after the decision");
  }
  must(txn.decision !== null, `${due.callback} is due before the decision`);
  must(areOver, `${due.callback} is due before a newer member has concluded`);
  const isOfSide = due.callback === "clean" || due.callback === txn.decision.decision;
  must(isOfSide, `${due.callback} is due after the decision ${txn.decision.decision}`);
}

/** A member whose creation was refused late: dismissed at once, without an outcome. */
function isGone(job: JobState): boolean {
  return job.status === "null" && !job.isStarted;
}

const LATE: readonly { readonly signal: Signal; readonly isLate: (job: JobState) => boolean }[] = [
  { signal: { kind: "pausePointLeft" }, isLate: (job) => !isParked(job) },
  {
    signal: { kind: "pausePointReached" },
    isLate: (job) => job.pauseCount === 0 || job.isForceCancelled || COMPLETED.has(job.status),
  },
  { signal: { kind: "ready" }, isLate: (job) => job.status !== "running" },
  { signal: { kind: "runReturned" }, isLate: (job) => COMPLETED.has(job.status) },
  { signal: { kind: "resumeRequested" }, isLate: (job) => internalPauses(job) === 0 },
  { signal: { kind: "dismissed" }, isLate: (job) => job.status !== "concluded" },
  { signal: { kind: "cancelled" }, isLate: (job) => job.outcome !== null },
];
const CALLBACKS = ["prepare", "commit", "abort", "clean"] as const;

/** Signals that no longer apply, and callbacks that are not due, have no effect. */
export function checkLate({ txn }: Scene, rules: Rules, position: number): void {
  const due = rules.dueWork(txn);
  txn.jobs.forEach((job, slot) => {
    const runId = runIdOf(slot);
    const silent = (signal: Signal, what: string) => {
      const { events } = rules.decideSignal(txn, runId, signal, position);
      must(events.length === 0, `A late ${what} of member ${slot} had an effect`);
    };
    for (const { signal, isLate } of LATE) if (isLate(job)) silent(signal, signal.kind);
    for (const callback of CALLBACKS) {
      if (due?.kind === "callback" && due.runId === runId && due.callback === callback) continue;
      silent({ kind: "callbackReturned", callback }, callback);
    }
  });
}
