/**
 * How a transaction has to converge, as rules over the folded state before each event.
 *
 * They say once more what the engine's decisions obey, apart from the code that decides: a verifier
 * that asked the decider would repeat its mistakes.
 *
 * Source: QEMU 7.2 job.c job_completed_txn_success, job_completed_txn_abort, job_finalize_single;
 * DESIGN.md, The job machine, Group decision.
 */
import {
  isCallbackDue,
  isOverStatus,
  type JobEvent,
  type JobState,
  memberOf,
  runIdOfStream,
  type TxnState,
} from "../job/mod.ts";
import type { Faults } from "./faults.ts";

/** Says whether a type is a command's record or answer, which may stand in any stream. */
export function isVerb(type: string): boolean {
  return type === "VerbAccepted" || type === "VerbRefused" || type === "VerbAnswered";
}

/** Checks that every run that a group named at its creation was created. */
export function checkMembers(
  txn: TxnState,
  declared: readonly string[],
  position: number,
  faults: Faults,
): void {
  const missing = declared.filter((runId) => memberOf(txn, runId) === undefined);
  if (missing.length === 0) return;
  const what = `the members of transaction "${txn.txnId}"`;
  faults.add("transaction", position, what, "all that it names", `no "${missing.join('", "')}"`);
}

/** Checks the rules of convergence against the state before the event. */
export function checkTxnRules(
  txn: TxnState,
  declared: readonly string[],
  event: JobEvent,
  faults: Faults,
): void {
  const found = brokenRule(txn, event);
  if (found !== undefined) faults.add("transaction", event.position, ...found);
  if (event.type === "TxnConcluded") checkMembers(txn, declared, event.position, faults);
}

type Broken = readonly [what: string, expected: string, found: string] | undefined;

function brokenRule(txn: TxnState, event: JobEvent): Broken {
  const runId = runIdOfStream(event.stream);
  const job = runId === undefined ? undefined : memberOf(txn, runId);
  switch (event.type) {
    case "TxnFinalizing":
      return allPending(txn, "the beginning of finalization");
    case "TxnDecided":
      return brokenDecision(txn, event.data.decision);
    case "CommitReturned":
      return needsSide(txn, "commit", "the end of a commit");
    case "AbortReturned":
      return needsSide(txn, "abort", "the end of an abort");
    case "DriverFaulted": {
      const { callback } = event.data;
      if (callback !== "commit" && callback !== "abort") return undefined;
      return needsSide(txn, callback, `the fault of a callback`);
    }
    case "JobAborting": {
      if (txn.decision?.decision !== "commit") return undefined;
      return ["a member's failure", "no failure after the decision to commit", "aborting"];
    }
    case "JobConcluded":
      return brokenEnd(txn, job, event.data.ret);
    case "TxnConcluded": {
      const rest = txn.jobs.filter((member) => !isOverStatus(member.status));
      if (rest.length > 0) return ["the end of a group", "all members over", rest[0]!.status];
      return needsSide(txn, event.data.decision, "the end of a group");
    }
    default:
      return undefined;
  }
}

function allPending(txn: TxnState, what: string): Broken {
  const other = txn.jobs.find((job) => job.status !== "pending");
  return other && [what, "all members pending", `"${other.runId}" ${other.status}`];
}

function brokenDecision(txn: TxnState, decision: "commit" | "abort"): Broken {
  if (txn.decision !== null) {
    return ["the decision", "one decision", `${txn.decision.decision}, then ${decision}`];
  }
  if (decision === "abort") return undefined;
  if (!txn.isFinalizing) return ["the decision to commit", "finalization before it", "none"];
  const open = txn.jobs.find((job) => isCallbackDue(job, "prepare"));
  if (open !== undefined) return ["the decision to commit", "all prepared", `not "${open.runId}"`];
  return allPending(txn, "the decision to commit");
}

function needsSide(txn: TxnState, side: "commit" | "abort", what: string): Broken {
  const decided = txn.decision?.decision;
  return decided === side
    ? undefined
    : [what, `a decision to ${side} before it`, decided ?? "none"];
}

function brokenEnd(txn: TxnState, job: JobState | undefined, ret: number): Broken {
  const what = "the end of a member";
  const side = ret === 0 ? "commit" : "abort";
  const broken = needsSide(txn, side, `${what} with code ${ret}`);
  if (broken !== undefined || job === undefined) return broken;
  const due = ([side, "clean"] as const).find((callback) => isCallbackDue(job, callback));
  if (due !== undefined) return [what, `its callback "${due}" before it`, "none"];
  return job.ret === ret ? undefined : [what, `code ${job.ret}`, `code ${ret}`];
}
