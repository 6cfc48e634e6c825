/**
 * The checks of what the records say: every job folds without a forbidden transition, every event
 * stands in its stream, every transaction converges on one side.
 *
 * - The rules of convergence are in `txn_rules.ts`, read from the folded state before each event.
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
  isOverStatus,
  type JobEvent,
  type JobState,
  memberOf,
  runIdOfStream,
  type TxnState,
} from "../job/mod.ts";
import type { Faults } from "./faults.ts";
import { checkMembers, checkTxnRules, isVerb } from "./txn_rules.ts";
import { GraphCheck } from "./verify_graph.ts";

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

/** Answers may come after a job's end, and its driver may fail when it is closed. */
function mayFollowEnd(event: JobEvent): boolean {
  return isVerb(event.type) || event.type === "DriverFaulted" && event.data.callback === "close";
}

/** See the head of this file. */
export class JobCheck {
  /** What was checked so far. */
  readonly counts: JobCounts = { jobs: 0, txns: 0, steps: 0 };
  /** Run ids of the jobs that the last event created; the caller empties it. */
  readonly created: string[] = [];
  readonly #faults: Faults;
  readonly #graph: GraphCheck;
  /** Unfinished transactions by the names of their streams; null = finished or not to be folded. */
  readonly #streams = new Map<string, Entry | null>();
  readonly #entries = new Set<Entry>();
  #lastFinished: TxnState | undefined;

  /** @param faults where findings go */
  constructor(faults: Faults) {
    this.#faults = faults;
    this.#graph = new GraphCheck(faults);
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
    if (this.#graph.concerns(event)) return this.#graph.check(event);
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
    const job = runId === undefined ? undefined : memberOf(entry.txn, runId);
    if (job?.status === "null" && !isOfTxn && !mayFollowEnd(event)) {
      this.#faults.add("stream", event.position, `a dismissed job`, "nothing after its end", type);
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
    if (isKnown && mayFollowEnd(event)) return undefined;
    if (type === "TxnCreated" && stream === `txn-${event.data.txnId}` && !isKnown) {
      const { txnId, members } = event.data;
      if (!Array.isArray(members)) throw new TypeError("members is no list");
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
