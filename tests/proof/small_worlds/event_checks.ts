/**
 * What must hold around every single event. The tables are typed in here and not taken from the
 * code under proof.
 *
 * Source: QEMU 7.2 job.c; DESIGN.md, The job machine, Group decision.
 */
import {
  type JobEventData,
  type JobState,
  jobStream,
  type TxnState,
} from "../../../events/job/mod.ts";
import type { DecidedEvent } from "../../../engine/core/mod.ts";
import { must, slotOf } from "./scene.ts";

const ALLOWED: { readonly [from: string]: string } = {
  undefined: "created",
  created: "running aborting null",
  running: "paused ready waiting aborting",
  paused: "running",
  ready: "standby waiting aborting",
  standby: "ready",
  waiting: "pending aborting",
  pending: "aborting concluded",
  aborting: "aborting concluded",
  concluded: "null",
  null: "",
};

/** Checks one event between the transactions before and after it. */
export function checkEvent(before: TxnState, event: DecidedEvent, after: TxnState): void {
  if (!event.stream.startsWith("job-") || isFactOfLone(event)) {
    return checkFact(before, event, after);
  }
  const slot = slotOf(event.stream.slice(4));
  const now = after.jobs[slot]!;
  const old = before.jobs[slot];
  if (old === undefined) {
    return must(event.type === "JobCreated", `${event.type} of a job that was not created`);
  }
  checkChange(old, now);
  checkOwn(after, slot, old, now, event);
}

/** Facts of a lone job stand in its own stream. */
function isFactOfLone({ type }: DecidedEvent): boolean {
  return type.startsWith("Txn") || type === "VerbAnswered";
}

/** What was said is never taken back. */
function checkChange(old: JobState, now: JobState): void {
  const { status } = now;
  if (old.status !== status) {
    const followers = ALLOWED[old.status]!.split(" ");
    must(followers.includes(status), `${old.status} became ${status}`);
  }
  must(!old.isForceCancelled || now.isForceCancelled, "A force cancel was taken back");
  must(!old.isCancelRequested || now.isCancelRequested, "A cancel was taken back");
  must(!old.isCompleteRequested || now.isCompleteRequested, "A completion was taken back");
  must(!old.isStarted || now.isStarted, "A start was taken back");
  must(!old.hasRunReturned || now.hasRunReturned, "The end of a run was taken back");
  must(old.ret === 0 || old.ret === now.ret, `Return code ${old.ret} became ${now.ret}`);
  must(old.error === null || old.error === now.error, "An error was replaced");
  must(old.outcome === null || old.outcome === now.outcome, "An outcome was replaced");
  must(old.closed.every((name) => now.closed.includes(name)), "A callback was forgotten");
}

type OwnCheck = (txn: TxnState, slot: number, old: JobState, now: JobState, data: never) => void;

/** The decision stands before the callbacks of its side; members go newest first. */
const OWN_CHECKS: { readonly [type: string]: OwnCheck } = {
  JobStarted: (_txn, _slot, old) => must(!old.isStarted, "A job was started twice"),
  JobPaused(_txn, _slot, old) {
    must(old.pauseCount > 0 && !old.isForceCancelled, "A job paused without a reason");
  },
  JobReady: (_txn, _slot, old) => must(old.status === "running", "Ready without running"),
  JobParametersChanged(_txn, _slot, _old, _now, data: JobEventData["JobParametersChanged"]) {
    must(Object.keys(data.after).length > 0, "A change changed nothing");
  },
  JobSyncChanged(_txn, _slot, old, now) {
    must(old.status === "ready" || old.status === "standby", `In step in ${old.status}`);
    must(old.isActivelySynced !== now.isActivelySynced, "Being in step was told twice");
  },
  RunReturned(_txn, _slot, old) {
    must(old.isStarted && !old.hasRunReturned, "A run ended that was not under way");
    must(old.status === "running" || old.status === "ready", `A run ended in ${old.status}`);
  },
  JobWaiting(_txn, _slot, old) {
    const isWell = old.hasRunReturned && old.ret === 0 && !old.isForceCancelled;
    must(isWell, "A job waits that has not ended well");
  },
  JobPending(txn, slot) {
    const areWell = txn.jobs.every(({ status, ret }) =>
      ret === 0 && (status === "waiting" || status === "pending")
    );
    must(areWell, "Pending while a member has not ended well");
    must(newer(txn, slot).every(({ status }) => status === "pending"), "Pending out of order");
  },
  JobAborting: (_txn, _slot, _old, now) => must(now.ret !== 0, "Aborting without an error"),
  JobCancelRequested(txn, _slot, old, _now, data: JobEventData["JobCancelRequested"]) {
    must(old.outcome === null && old.status !== "null", "A concluded job was cancelled");
    if (data.by === "group") must(txn.decision?.decision === "abort", "Cancelled undecided");
    must(data.force || !old.hasRunReturned, "A soft cancel reached a run that had ended");
  },
  PrepareReturned(txn, slot, old) {
    must(txn.isFinalizing && txn.decision === null, "A prepare after the decision");
    must(old.status === "pending" && old.ret === 0, `A prepare in ${old.status}`);
    must(!old.closed.includes("prepare"), "A prepare ended twice");
    must(newer(txn, slot).every((job) => hasEnded(job, "prepare")), "A prepare out of order");
  },
  CommitReturned: (txn, slot, old) => checkClosing(txn, slot, old, "commit"),
  AbortReturned: (txn, slot, old) => checkClosing(txn, slot, old, "abort"),
  CleanReturned: (txn, slot, old) => checkClosing(txn, slot, old, "clean"),
  DriverFaulted(txn, slot, old, _now, { callback }: JobEventData["DriverFaulted"]) {
    if (callback === "commit" || callback === "abort" || callback === "clean") {
      checkClosing(txn, slot, old, callback);
    }
  },
  JobConcluded: checkConcluded,
  JobDismissed(_txn, _slot, old) {
    must(old.status === "concluded" || !old.isStarted, `Dismissed in ${old.status}`);
  },
  JobRecovered(_txn, _slot, old) {
    must(!old.hasRunReturned, "A job was recovered whose run had ended");
  },
};

function checkOwn(
  txn: TxnState,
  slot: number,
  old: JobState,
  now: JobState,
  event: DecidedEvent,
): void {
  OWN_CHECKS[event.type]?.(txn, slot, old, now, event.data as never);
}

function newer(txn: TxnState, slot: number): readonly JobState[] {
  return txn.jobs.slice(slot + 1);
}

function isOver(job: JobState): boolean {
  return job.status === "concluded" || job.status === "null";
}

function hasEnded(job: JobState, callback: "prepare" | "commit" | "abort" | "clean"): boolean {
  return !job.callbacks.includes(callback) || job.closed.includes(callback);
}

function checkClosing(
  txn: TxnState,
  slot: number,
  job: JobState,
  callback: "commit" | "abort" | "clean",
): void {
  const side = txn.decision?.decision;
  must(side !== undefined, `${callback} before the decision`);
  must(callback === "clean" || callback === side, `${callback} after the decision ${side}`);
  must(!job.closed.includes(callback), `${callback} ended twice`);
  must(callback !== "clean" || hasEnded(job, side), `clean before ${side}`);
  must(job.status === (side === "commit" ? "pending" : "aborting"), `${callback} in ${job.status}`);
  must(newer(txn, slot).every(isOver), `${callback} before a newer member has concluded`);
}

function checkConcluded(
  txn: TxnState,
  slot: number,
  old: JobState,
  now: JobState,
  data: JobEventData["JobConcluded"],
): void {
  const side = txn.decision?.decision;
  must(side !== undefined, "A job concluded before the decision");
  must((now.ret === 0) === (side === "commit"), `A job ended with ${now.ret} after ${side}`);
  must(hasEnded(old, side) && hasEnded(old, "clean"), `A job concluded without ${side} and clean`);
  must(newer(txn, slot).every(isOver), "A job concluded before a newer member");
  must(data.outcome === (old.isForceCancelled ? "cancelled" : "completed"), "The wrong outcome");
  must(data.ret === old.ret && data.wasStarted === old.isStarted, "A result that is not the job's");
}

function checkFact(before: TxnState, event: DecidedEvent, after: TxnState): void {
  switch (event.type) {
    case "TxnFinalizing": {
      const { by } = event.data as JobEventData["TxnFinalizing"];
      must(!before.isFinalizing && before.decision === null, "Finalizing twice or too late");
      must(before.jobs.every(({ status }) => status === "pending"), "Finalizing too early");
      const isAuto = before.jobs.every((job) => job.autoFinalize);
      return must(isAuto === (by === "auto"), "Finalizing by the wrong cause");
    }
    case "TxnDecided":
      must(before.decision === null, "Decided twice");
      return checkDecision(before, event.data as JobEventData["TxnDecided"]);
    case "TxnConcluded":
      must(before.isGroup && !before.isConcluded, "A group concluded twice");
      return must(before.jobs.every(isOver), "A group concluded before a member");
    case "VerbAnswered": {
      const { commandId } = event.data as JobEventData["VerbAnswered"];
      const isAwaited = before.awaited.some((answer) =>
        answer.commandId === commandId && answer.stream === event.stream
      );
      must(isAwaited, "An answer that nobody awaits");
      must(after.awaited.length === before.awaited.length - 1, "An answer that stays awaited");
      return must(before.jobs.every(isOver), "An answer before the end");
    }
  }
}

function checkDecision(txn: TxnState, data: JobEventData["TxnDecided"]): void {
  if (data.decision === "commit") {
    must(txn.isFinalizing, "Committed without finalization");
    for (const job of txn.jobs) {
      must(job.status === "pending" && job.ret === 0, `Committed with a member in ${job.status}`);
      must(hasEnded(job, "prepare"), "Committed before a prepare has ended");
    }
    return;
  }
  const trigger = txn.jobs.find((job) => job.runId === data.trigger);
  must(trigger !== undefined, "Aborted by nobody");
  const isCause = trigger.ret !== 0 || trigger.isForceCancelled;
  must(isCause, `Aborted by ${jobStream(trigger.runId)}, which has not failed`);
  const touched = txn.jobs.some(({ closed }) => closed.includes("commit"));
  must(!touched, "Aborted after a commit");
}
