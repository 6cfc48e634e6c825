/**
 * The order in which a driver may be called, checked call by call against durable events.
 *
 * - `run` once, of a job that was started and has not ended; no closing callback beside it.
 * - `prepare` only once finalization has begun and nothing is decided; `commit` and `abort` only
 *   after a decision for their side; `clean` after either; newest member first, one at a time.
 * - `close` last, exactly once, and while the process lives on only for what has concluded.
 * - `cancel`, `complete`, `setSpeed` and `userResume` only for what is durable, before `close`.
 *
 * Source: engine/drivers/driver.ts, DriverJob; DESIGN.md, Group decision.
 */
import { isOverStatus, type JobState, type TxnState } from "../../events/job/mod.ts";
import type { DriverWorld } from "./driver_world.ts";

const CLOSING: readonly string[] = ["prepare", "commit", "abort", "clean"];

/** Closing callbacks that are under way, by process and transaction. */
const underWay = new WeakMap<DriverWorld, Set<string>>();

/** The calls of one opened driver. */
export class CallRules {
  /** True once `close` was called. */
  isClosed = false;
  readonly #world: DriverWorld;
  readonly #name: string;
  readonly #current = new Set<string>();
  #hasRun = false;
  #speedCalls = 0;
  readonly #speedChangesBefore: number;

  /**
   * @param world the process and what is durable
   * @param name name of the job's script
   */
  constructor(world: DriverWorld, name: string) {
    this.#world = world;
    this.#name = name;
    this.#speedChangesBefore = this.#speedChanges();
  }

  /** A call that takes time begins. */
  begin(name: string): void {
    this.#world.judge.tell(`  ${this.#name} ${name}`);
    this.#check(!this.isClosed, name, "after close");
    this.#check(!this.#current.has(name), name, "while it is called already");
    this.#current.add(name);
    if (CLOSING.includes(name)) this.#beginClosing(name);
    else if (name === "close") this.#beginClose();
    else if (name === "run") this.#beginRun();
    else this.#checkDurable(this.#job?.hasRunReturned === false, name, "of a job that has ended");
  }

  /** A call that takes time ends. */
  end(name: string): void {
    this.#current.delete(name);
    const txnId = this.#txn?.txnId;
    if (CLOSING.includes(name) && txnId !== undefined) this.#underWay.delete(txnId);
  }

  /** A call that takes no time. */
  note(name: string): void {
    this.#world.judge.tell(`  ${this.#name} ${name}`);
    const job = this.#job;
    this.#check(!this.isClosed, name, "after close");
    if (name === "complete") this.#check(job?.isCompleteRequested === true, name, "unasked");
    if (name === "cancel softly") this.#check(job?.isCancelRequested === true, name, "unasked");
    if (name === "cancel") this.#check(job?.isForceCancelled === true, name, "unasked");
    if (name !== "setSpeed") return;
    this.#speedCalls += 1;
    const changes = this.#speedChanges() - this.#speedChangesBefore;
    this.#check(this.#speedCalls <= changes, name, "more often than it was changed");
  }

  /** Nothing is under way in the process: what is over is closed. */
  checkQuiet(): void {
    const job = this.#job;
    const isOver = job === undefined || isOverStatus(job.status);
    this.#check(this.isClosed || !isOver, "close", "never");
  }

  #beginRun(): void {
    const job = this.#job;
    this.#check(!this.#hasRun, "run", "twice");
    this.#hasRun = true;
    this.#checkDurable(job !== undefined && job.isStarted, "run", "before its start");
    this.#checkDurable(job?.hasRunReturned === false, "run", "after its end");
  }

  #beginClose(): void {
    const { life, facts } = this.#world;
    this.#check(this.#current.size === 1, "close", "beside another call");
    this.isClosed = true;
    const job = facts.jobOfName(this.#name);
    const isOver = job === undefined || isOverStatus(job.status);
    // An opening that its store refuses closes what it had opened before anybody is told.
    const isGivenUp = life.isClosing || life.excuse !== undefined;
    this.#check(isOver || isGivenUp, "close", "of a job that is not over");
  }

  #beginClosing(name: string): void {
    const job = this.#job;
    const txn = this.#txn;
    if (job === undefined || txn === undefined) return this.#check(false, name, "of no job");
    this.#check(!this.#current.has("run"), name, "beside run");
    this.#check(!this.#underWay.has(txn.txnId), name, "beside another closing callback");
    this.#underWay.add(txn.txnId);
    if (this.#isFenced) return;
    const closed: readonly string[] = job.closed;
    this.#check(!closed.includes(name), name, "although its end is durable");
    this.#check(!isOverStatus(job.status), name, "of a job that is over");
    if (name === "prepare") this.#beginPrepare(txn, job);
    else if (name === "clean") {
      const side = txn.decision?.decision ?? "none";
      const isNext = closed.includes(side) || !(job.callbacks as readonly string[]).includes(side);
      this.#check(txn.decision !== null && isNext, name, "out of order");
      this.#checkNewer(txn, job, name, (other) => isOverStatus(other.status));
    } else {
      this.#check(txn.decision?.decision === name, name, "without a decision for it");
      this.#checkNewer(txn, job, name, (other) => isOverStatus(other.status));
    }
  }

  #beginPrepare(txn: TxnState, job: JobState): void {
    this.#check(txn.isFinalizing && txn.decision === null, "prepare", "out of finalization");
    const isPrepared = (other: JobState) =>
      other.closed.includes("prepare") || !other.callbacks.includes("prepare");
    this.#checkNewer(txn, job, "prepare", isPrepared);
  }

  #checkNewer(
    txn: TxnState,
    job: JobState,
    name: string,
    isDone: (other: JobState) => boolean,
  ): void {
    const newer = txn.jobs.slice(txn.jobs.findIndex(({ runId }) => runId === job.runId) + 1);
    this.#check(newer.every(isDone), name, "before a newer member's turn");
  }

  get #job(): JobState | undefined {
    return this.#world.facts.jobOfName(this.#name);
  }

  get #txn(): TxnState | undefined {
    const job = this.#job;
    return job && this.#world.facts.txnOfRun(job.runId);
  }

  get #underWay(): Set<string> {
    let set = underWay.get(this.#world);
    if (set === undefined) underWay.set(this.#world, set = new Set());
    return set;
  }

  #speedChanges(): number {
    return this.#world.facts.speedChanges.get(this.#job?.runId ?? "") ?? 0;
  }

  /** A writer that was fenced off knows the log of an earlier moment. */
  get #isFenced(): boolean {
    return this.#world.life.excuse === "fenced";
  }

  #checkDurable(isSound: boolean, name: string, what: string): void {
    this.#check(isSound || this.#isFenced, name, what);
  }

  #check(isSound: boolean, name: string, what: string): void {
    this.#world.judge.check(isSound, () => `${name} of ${this.#name} is called ${what}`);
  }
}
