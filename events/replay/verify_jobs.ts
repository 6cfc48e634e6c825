/**
 * The checks of what the records say: every job folds without a forbidden transition, every event
 * stands in its stream, every transaction converges on one side.
 *
 * - The rules are those of the tables and of the closing sequence, read from the folded state
 *   before each event; they are stated here once more, apart from the code that decides, because a
 *   verifier that asked the decider would repeat its mistakes.
 * - A transaction that is finished is forgotten; memory is that of the unfinished ones.
 *
 * Source: QEMU 7.2 job.c job_completed_txn_success, job_completed_txn_abort, job_finalize_single;
 * DESIGN.md, The job machine, Group decision.
 */
import {
  applyToJob,
  ENGINE_STREAM,
  evolveTxn,
  initialTxn,
  isCallbackDue,
  isOverStatus,
  type JobEvent,
  type JobState,
  memberOf,
  runIdOfStream,
  type TxnState,
} from "../job/mod.ts";
import type { Faults } from "./faults.ts";

/** What was checked of the jobs. */
export interface JobCounts {
  /** Jobs that were created. */
  jobs: number;
  /** Transactions, those of lone jobs included. */
  txns: number;
  /** Steps. */
  steps: number;
}

/** A transaction that is not finished. */
interface Entry {
  txn: TxnState;
  /** Run ids that a group named at its creation. */
  readonly declared: readonly string[];
  /** True once it could not be folded: what follows from that is not reported. */
  isBroken: boolean;
}

const ENGINE_TYPES: ReadonlySet<string> = new Set([
  "EngineOpened",
  "EngineClosed",
  "CommandsThrottled",
  "LogSpaceLow",
]);

/** True once nothing more can happen to a transaction. */
function isFinished(txn: TxnState): boolean {
  if (txn.awaited.length > 0 || (txn.isGroup && !txn.isConcluded)) return false;
  return txn.jobs.length > 0 && txn.jobs.every((job) => job.status === "null");
}

/** See the head of this file. */
export class JobCheck {
  /** What was checked so far. */
  readonly counts: JobCounts = { jobs: 0, txns: 0, steps: 0 };
  /** Run ids of the jobs that the last event created; the caller empties it. */
  readonly created: string[] = [];
  readonly #faults: Faults;
  /** Unfinished transactions by the names of their streams; null = finished or not to be folded. */
  readonly #streams = new Map<string, Entry | null>();
  readonly #entries = new Set<Entry>();
  #lastFinished: TxnState | undefined;

  /** @param faults where findings go */
  constructor(faults: Faults) {
    this.#faults = faults;
  }

  /** The transactions that are not finished, in the order of their creation. */
  get unfinished(): readonly TxnState[] {
    return [...this.#entries].filter((entry) => entry.txn.jobs.length > 0)
      .map((entry) => entry.txn);
  }

  /** A job of an unfinished transaction, or of the one that the last event finished. */
  job(runId: string): JobState | undefined {
    const txn = this.#streams.get(`job-${runId}`)?.txn ?? this.#lastFinished;
    return txn && memberOf(txn, runId);
  }

  /** Whether every job of a stream's transaction has ended. */
  isOver(stream: string): boolean {
    const entry = this.#streams.get(stream);
    if (entry === undefined) return false;
    return entry === null || entry.txn.jobs.every((job) => isOverStatus(job.status));
  }

  /** Checks one event. */
  check(event: JobEvent): void {
    const { stream, type } = event;
    const runId = runIdOfStream(stream);
    if (type === "StepTaken") this.counts.steps += 1;
    if (stream === ENGINE_STREAM || ENGINE_TYPES.has(type)) return this.#checkEngine(event);
    const entry = this.#streams.get(stream) ?? this.#open(event, runId);
    if (entry === undefined || entry.isBroken) return;
    if (type === "StepTaken" && runId !== undefined) {
      const job = memberOf(entry.txn, runId);
      if (job !== undefined) {
        // Steps are many: the folded states are this verifier's own, so they may be changed.
        applyToJob(job, event);
        (entry.txn as { position: number }).position = event.position;
        return;
      }
    }
    const isOfTxn = type.startsWith("Txn");
    if (isOfTxn ? entry.txn.isGroup && runId !== undefined : runId === undefined && !isVerb(type)) {
      this.#misplaced(event, isOfTxn ? "the stream of its group" : "the stream of a job");
    }
    checkTxnRules(entry.txn, entry.declared, event, this.#faults);
    this.#fold(entry, event);
  }

  #checkEngine(event: JobEvent): void {
    if (event.stream === ENGINE_STREAM && (ENGINE_TYPES.has(event.type) || isVerb(event.type))) {
      return;
    }
    const isEngines = ENGINE_TYPES.has(event.type);
    this.#misplaced(event, isEngines ? `"${ENGINE_STREAM}"` : "the stream of a job");
  }

  #misplaced({ position, type, stream }: JobEvent, expected: string): void {
    this.#faults.add("stream", position, `the stream of its ${type}`, expected, `"${stream}"`);
  }

  /** The first event of a stream, or one behind the end of its transaction. */
  #open(event: JobEvent, runId: string | undefined): Entry | undefined {
    const { stream, type, position } = event;
    const isKnown = this.#streams.has(stream);
    if (isKnown && isVerb(type)) return undefined;
    if (type === "TxnCreated" && stream === `txn-${event.data.txnId}` && !isKnown) {
      const { txnId, members } = event.data;
      return this.#add(stream, {
        txn: initialTxn(txnId, true),
        declared: members,
        isBroken: false,
      });
    }
    if (type === "JobCreated" && runId === event.data.runId && !isKnown) {
      return this.#join(event, runId);
    }
    const expected = isKnown ? "nothing after its end" : "its creation";
    this.#faults.add("stream", position, `the state of "${stream}"`, expected, type);
    this.#streams.set(stream, null);
    return undefined;
  }

  #join(event: JobEvent & { readonly type: "JobCreated" }, runId: string): Entry | undefined {
    const { stream, position, data: { txnId } } = event;
    this.counts.jobs += 1;
    this.created.push(runId);
    if (txnId === runId) {
      const txn = initialTxn(txnId, false);
      return this.#add(stream, { txn, declared: [runId], isBroken: false });
    }
    const entry = this.#streams.get(`txn-${txnId}`) ?? undefined;
    if (entry?.declared.includes(runId) !== true) {
      const what = `the transaction of "${runId}"`;
      this.#faults.add("transaction", position, what, `a group that names it`, `"${txnId}"`);
    }
    this.#streams.set(stream, entry ?? null);
    return entry;
  }

  #add(stream: string, entry: Entry): Entry {
    this.counts.txns += 1;
    this.#streams.set(stream, entry);
    this.#entries.add(entry);
    return entry;
  }

  #fold(entry: Entry, event: JobEvent): void {
    try {
      entry.txn = evolveTxn(entry.txn, event);
    } catch (error) {
      const { expected, actual } = error as { expected?: string; actual?: string };
      const found = actual ?? (error as Error).message;
      const what = `the fold of its ${event.type}`;
      this.#faults.add("fold", event.position, what, expected ?? "no error", found);
      entry.isBroken = true;
      this.#entries.delete(entry);
      return;
    }
    if (!isFinished(entry.txn)) return;
    this.#lastFinished = entry.txn;
    this.#entries.delete(entry);
    for (const job of entry.txn.jobs) this.#streams.set(`job-${job.runId}`, null);
    if (entry.txn.isGroup) this.#streams.set(`txn-${entry.txn.txnId}`, null);
  }

  /** Settles what is left at the end of the log. */
  finish(): void {
    for (const { txn, declared } of this.#entries) {
      checkMembers(txn, declared, txn.position, this.#faults);
    }
  }
}

function isVerb(type: string): boolean {
  return type === "VerbAccepted" || type === "VerbRefused" || type === "VerbAnswered";
}

function checkMembers(
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

/** The rules of convergence, checked against the state before the event. */
function checkTxnRules(
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
