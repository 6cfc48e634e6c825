/**
 * What must hold of every run of the machine, checked over its events and states.
 *
 * - `checkAppend` holds after every append, `checkEnd` once every job has been dismissed.
 * - The allowed transitions are typed in here and not taken from the code.
 *
 * Source: QEMU 7.2 job.c; the invariants of the job layer.
 */
import { assert, assertEquals } from "@std/assert";
import type { JobEvent, JobState, TxnState } from "../../../events/job/mod.ts";
import { type DecidedEvent, Draft } from "../../../engine/core/mod.ts";
import type { Machine } from "../../support/machine.ts";

const ALLOWED = new Set(
  ("undefined>created created>running created>aborting created>null running>paused running>ready " +
    "running>waiting running>aborting paused>running ready>standby ready>waiting ready>aborting " +
    "standby>ready waiting>pending waiting>aborting pending>aborting pending>concluded " +
    "aborting>concluded concluded>null").split(" "),
);
const COMPLETED = ["waiting", "pending", "aborting", "concluded", "null"];

/** Checks the state of one transaction after an append. */
export function checkState(txn: TxnState): void {
  const over = txn.jobs.filter(({ outcome }) => outcome !== null);
  const sides = new Set(over.map(({ ret }) => ret === 0));
  assert(sides.size < 2, "concluded members of one transaction ended on both sides");
  for (const job of txn.jobs) {
    if (job.isForceCancelled) assert(job.isCancelRequested, "forced but not cancelled");
    if (job.isUserPaused) assert(job.pauseCount >= 1, "user-paused without a pause");
    assert(job.pauseCount >= 0, "negative pause count");
    if (job.status === "pending" && txn.decision === null) {
      for (const member of txn.jobs.filter((other) => other.isStarted)) {
        assertEquals([member.status, member.ret], ["pending", 0]);
      }
    }
    const closed = job.closed as readonly string[];
    assert(!(closed.includes("commit") && closed.includes("abort")), "committed and aborted");
    if (job.outcome !== null) checkClosed(job);
  }
  assertEquals(JSON.parse(JSON.stringify(txn)), txn);
}

function checkClosed(job: JobState): void {
  const side = job.ret === 0 ? "commit" : "abort";
  for (const callback of [side, "clean"] as const) {
    if (job.callbacks.includes(callback)) {
      assert(job.closed.includes(callback), `concluded without ${callback}`);
    }
  }
}

/** Checks that what the rules drafted is what the events fold to. */
export function checkDraft(
  machine: Machine,
  before: TxnState | undefined,
  decided: readonly DecidedEvent[],
): void {
  if (before === undefined) return;
  const draft = new Draft(before, machine.position - decided.length);
  for (const { stream, type, data, cause } of decided) draft.add(stream, type, data, cause);
  assertEquals(timeless(draft.txn), timeless(machine.txns.get(before.txnId)!));
}

/** A draft knows positions, and neither versions nor times. */
function timeless(txn: TxnState): TxnState {
  const jobs = txn.jobs.map((job) => ({ ...job, version: 0, createdAt: 0, statusAt: 0 }));
  return { ...txn, version: 0, jobs };
}

interface Life {
  status: string;
  last: string;
  finals: number;
  isStarted: boolean;
  nulls: number;
  commits: number;
  aborts: number;
  cleans: number;
}

/** Checks the lines of each job, and the order of group facts, over all events so far. */
export function checkHistory(machine: Machine): ReadonlyMap<string, Life> {
  const lives = new Map<string, Life>();
  for (const line of machine.sent()) {
    const [id, word] = line.split(" ") as [string, string];
    const fresh = () => ({ commits: 0, aborts: 0, cleans: 0, last: "" });
    const life = lives.get(id) ??
      { status: "undefined", finals: 0, isStarted: false, nulls: 0, ...fresh() };
    lives.set(id, life);
    if (word === word.toLowerCase()) enterStatus(life, word);
    else checkBlockEvent(life, word);
    life.last = word;
  }
  checkClosings(machine.events);
  checkPendings(machine.events);
  return lives;
}

function enterStatus(life: Life, status: string): void {
  assert(ALLOWED.has(`${life.status}>${status}`), `${life.status} became ${status}`);
  if (status === "concluded") {
    const isFinal = /^(COMPLETED|CANCELLED)/.test(life.last);
    assertEquals(isFinal, life.isStarted, "the final event stands just before concluded");
  }
  life.isStarted ||= status === "running";
  life.nulls += status === "null" ? 1 : 0;
  life.status = status;
}

function checkBlockEvent(life: Life, word: string): void {
  assert(life.isStarted, `${word} of a job that never started`);
  assertEquals(life.finals, 0, `${word} after the final event`);
  if (/^(COMPLETED|CANCELLED)/.test(word)) life.finals += 1;
  if (word === "READY" || word === "PENDING") assertEquals(life.last, word.toLowerCase());
}

/** The decision stands before the callbacks of its side, and those of a job end once. */
function checkClosings(events: readonly JobEvent[]): void {
  const txnOf = new Map<string, string>();
  const decisions = new Map<string, string>();
  const seen = new Set<string>();
  for (const { stream, type, data } of events) {
    if (type === "JobCreated") txnOf.set(stream, data.txnId);
    if (type === "TxnCreated") txnOf.set(stream, data.txnId);
    const txnId = txnOf.get(stream) ?? "";
    if (type === "TxnDecided") {
      assert(!decisions.has(txnId), "decided twice");
      decisions.set(txnId, data.decision);
    }
    const side = /^(Commit|Abort)Returned$/.exec(type)?.[1]?.toLowerCase();
    if (side !== undefined) assertEquals(decisions.get(txnId), side);
    if (/^(Prepare|Commit|Abort|Clean|Run)Returned$/.test(type)) {
      assert(!seen.has(`${stream} ${type}`), `${type} twice`);
      seen.add(`${stream} ${type}`);
    }
  }
}

/** When a member becomes pending, every member has ended well. */
function checkPendings(events: readonly JobEvent[]): void {
  const statuses = new Map<string, { txnId: string; isWell: boolean }>();
  for (const { stream, type, data } of events) {
    if (type === "JobCreated") statuses.set(stream, { txnId: data.txnId, isWell: false });
    const job = statuses.get(stream);
    if (job === undefined) continue;
    if (type === "JobWaiting") job.isWell = true;
    if (type === "JobAborting" || type === "JobDismissed") job.isWell = false;
    if (type !== "JobPending") continue;
    const members = [...statuses.values()].filter(({ txnId }) => txnId === job.txnId);
    assert(members.every(({ isWell }) => isWell), "pending while a member has not ended well");
  }
}

/** Checks a run whose jobs have all been dismissed. */
export function checkEnd(machine: Machine): void {
  for (const [id, life] of checkHistory(machine)) {
    assertEquals([id, life.status, life.nulls], [id, "null", 1]);
    assertEquals(life.finals, life.isStarted ? 1 : 0);
  }
  for (const txn of machine.txns.values()) {
    checkState(txn);
    assertEquals(txn.awaited, [], "a command was never answered");
    if (txn.isGroup) assert(txn.isConcluded, "a group never concluded");
    const { jobs } = txn;
    for (const job of jobs) assert(COMPLETED.includes(job.status));
  }
}
