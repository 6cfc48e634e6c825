/**
 * Packs a scene into 64 bits and back.
 *
 * ```text
 * low   member 0 (17) | member 1, lower 15
 * high  member 1, upper 2 | member 2 (17) | facts of the transaction (11) | online (1)
 * ```
 *
 * Members and facts are numbered as they are met. What is dropped has no influence on what may
 * happen next: positions, versions, instants, the number of steps, the events that set a field.
 * Whatever else a job may hold must fit, or packing throws; a sample of hits is compared in full.
 */
import {
  type CallbackName,
  JOB_STATUSES,
  type JobState,
  type TxnState,
} from "../../../events/job/mod.ts";
import { isParked, must, type Scene } from "./scene.ts";

const MEMBER_BITS = 17;
const MEMBERS_MAX = 1 << MEMBER_BITS;
const FACTS_MAX = 1 << 11;
const IO_STATUSES = ["ok", "failed", "nospace"];
const OUTCOMES = [null, "completed", "cancelled"];
const SPEEDS = [0, 5];
const SYNCS = [undefined, false, true];
const STATUS_NUMBER = new Map(JOB_STATUSES.map((status, index) => [status, index]));
const CLOSED_BITS: { readonly [C in CallbackName]: number } = {
  complete: 0,
  prepare: 1,
  commit: 2,
  abort: 4,
  clean: 8,
};
const COMPARE_EVERY = 4_096;

/** A job without what has no influence on what may happen next. */
export function essence(job: JobState): JobState {
  const { checkpoint } = job;
  return {
    ...job,
    checkpoint: checkpoint && { ...checkpoint, position: 0 },
    closed: [...job.closed].sort(),
    stepCount: 0,
    createdAt: 0,
    statusAt: 0,
    version: 0,
    position: 0,
    setBy: {},
  };
}

/** The numbered states of one member. */
class MemberTable {
  readonly states: JobState[] = [];
  readonly wasEntered: boolean[] = [];
  readonly #low: number[] = [];
  readonly #errors: string[] = [];
  #table = new Int32Array(1 << 12);
  #hits = 0;

  /** Number of a state; equal states, equal numbers. */
  number(job: JobState, wasEntered: boolean): number {
    const low = this.#lowBits(job);
    const high = highBits(job, wasEntered);
    const mask = this.#table.length - 1;
    let at = Math.imul(low ^ Math.imul(high, 0x9e37_79b1), 0x85eb_ca6b) >>> 7 & mask;
    for (;;) {
      const found = this.#table[at]! - 1;
      if (found < 0) return this.#add(job, wasEntered, low, at);
      if (this.#low[found] === low && this.#highAt(found) === high) {
        if (this.#hits++ % COMPARE_EVERY === 0) assertSame(this.states[found]!, job);
        return found;
      }
      at = (at + 1) & mask;
    }
  }

  #highAt(index: number): number {
    return highBits(this.states[index]!, this.wasEntered[index]!);
  }

  #add(job: JobState, wasEntered: boolean, low: number, at: number): number {
    const index = this.states.length;
    must(index < MEMBERS_MAX, "A member has more states than its bits can number");
    this.states.push(essence(job));
    this.wasEntered.push(wasEntered);
    this.#low.push(low);
    this.#table[at] = index + 1;
    if (index * 3 > this.#table.length) this.#grow();
    return index;
  }

  #grow(): void {
    const mask = this.#table.length * 2 - 1;
    this.#table = new Int32Array(mask + 1);
    this.#low.forEach((low, index) => {
      let at = Math.imul(low ^ Math.imul(this.#highAt(index), 0x9e37_79b1), 0x85eb_ca6b) >>> 7 &
        mask;
      while (this.#table[at] !== 0) at = (at + 1) & mask;
      this.#table[at] = index + 1;
    });
  }

  #lowBits(job: JobState): number {
    const { pauseCount, progress, checkpoint } = job;
    const mark = checkpoint === null ? 0 : checkpoint.current + 1;
    fits(pauseCount, 8);
    fits(progress.current, 4);
    fits(mark, 4);
    let bits = STATUS_NUMBER.get(job.status)!;
    bits = bits << 3 | pauseCount;
    bits = bits << 2 | place(SPEEDS, job.speed);
    bits = bits << 2 | place(IO_STATUSES, job.ioStatus);
    bits = bits << 2 | progress.current;
    bits = bits << 2 | mark;
    bits = bits << 4 | this.#errorNumber(job);
    let closed = 0;
    for (const callback of job.closed) closed |= CLOSED_BITS[callback];
    bits = bits << 4 | closed;
    return bits << 2 | place(OUTCOMES, job.outcome);
  }

  #errorNumber(job: JobState): number {
    if (job.ret === 0 && job.error === null) return 0;
    const text = `${job.ret} ${job.error?.errno} ${job.error?.number} ${job.error?.text}`;
    let index = this.#errors.indexOf(text);
    if (index < 0) index = this.#errors.push(text) - 1;
    fits(index + 1, 16);
    return index + 1;
  }
}

function highBits(job: JobState, wasEntered: boolean): number {
  return (job.isStarted ? 1 : 0) | (job.isUserPaused ? 2 : 0) | (job.isCancelRequested ? 4 : 0) |
    (job.isForceCancelled ? 8 : 0) | (job.isCompleteRequested ? 16 : 0) |
    (job.hasRunReturned ? 32 : 0) | (wasEntered ? 64 : 0) |
    (isChanged(job) ? 128 : 0) | place(SYNCS, job.isActivelySynced) << 8;
}

/** The one change that there is. */
function isChanged({ parameters }: JobState): boolean {
  const isFirst = Object.keys(parameters).length === 0;
  must(isFirst || parameters["mode"] === "other", "A job holds unexpected parameters");
  return !isFirst;
}

function place<T>(values: readonly T[], value: T): number {
  const index = values.indexOf(value);
  must(index >= 0, `A job holds the unexpected value ${value}`);
  return index;
}

function fits(value: number, limit: number): void {
  must(value >= 0 && value < limit, `A job holds the value ${value}, which is past its bound`);
}

function assertSame(known: JobState, job: JobState): void {
  const [one, other] = [JSON.stringify(known), JSON.stringify(essence(job))];
  must(one === other, `Packing lost a difference: ${one} became ${other}`);
}

/** Packs the scenes of one world. */
export class Codec {
  /** Lower half of the last packed scene. */
  low = 0;
  /** Upper half of the last packed scene. */
  high = 0;
  readonly #members = [new MemberTable(), new MemberTable(), new MemberTable()];
  readonly #facts: TxnState[] = [];
  readonly #factNumbers = new Map<string, number>();

  /**
   * Packs a scene; the halves are left in `low` and `high`.
   *
   * @param before the unpacked scene that it came from: members that are the same object keep
   *   their numbers
   */
  pack(scene: Scene, before?: Unpacked): void {
    const { txn, entered } = scene;
    const numbers = [0, 0, 0];
    for (let slot = 0; slot < txn.jobs.length; slot++) {
      const job = txn.jobs[slot]!;
      const wasEntered = (entered >> slot & 1) === 1 && isParked(job);
      numbers[slot] = before !== undefined && before.txn.jobs[slot] === job &&
          (before.entered >> slot & 1) === (wasEntered ? 1 : 0)
        ? before.numbers[slot]!
        : this.#members[slot]!.number(job, wasEntered);
    }
    const facts = this.#factsNumber(txn, before);
    this.low = (numbers[0]! | numbers[1]! << MEMBER_BITS) >>> 0;
    this.high = (numbers[1]! >>> 15 | numbers[2]! << 2 | facts << 19 |
      (scene.isOnline ? 1 << 30 : 0)) >>> 0;
  }

  /** Unpacks a scene. */
  unpack(low: number, high: number): Unpacked {
    const one = (low >>> MEMBER_BITS) | ((high & 3) << 15);
    const numbers = [low & (MEMBERS_MAX - 1), one, high >>> 2 & (MEMBERS_MAX - 1)];
    const facts = high >>> 19 & (FACTS_MAX - 1);
    const known = this.#facts[facts]!;
    const jobs: JobState[] = [];
    let entered = 0;
    for (let slot = 0; slot < known.jobs.length; slot++) {
      const table = this.#members[slot]!;
      jobs.push(table.states[numbers[slot]!]!);
      if (table.wasEntered[numbers[slot]!]) entered |= 1 << slot;
    }
    return { txn: { ...known, jobs }, entered, isOnline: high >>> 30 === 1, numbers, facts };
  }

  /** Number of states of each member that were met. */
  get memberCounts(): readonly number[] {
    return this.#members.map((table) => table.states.length);
  }

  #factsNumber(txn: TxnState, before: Unpacked | undefined): number {
    const old = before?.txn;
    if (
      old !== undefined && old.isFinalizing === txn.isFinalizing && old.decision === txn.decision &&
      old.awaited === txn.awaited && old.isConcluded === txn.isConcluded
    ) return before!.facts;
    const { isFinalizing, isConcluded, awaited } = txn;
    const decision = txn.decision && { ...txn.decision, position: 0 };
    const key = JSON.stringify([isFinalizing, isConcluded, decision, awaited]);
    let index = this.#factNumbers.get(key);
    if (index === undefined) {
      index = this.#facts.push({ ...txn, decision, version: 0, position: 0 }) - 1;
      must(index < FACTS_MAX, "A transaction has more facts than its bits can number");
      this.#factNumbers.set(key, index);
    }
    return index;
  }
}

/** A scene with the numbers of its parts. */
export interface Unpacked extends Scene {
  /** Number of each member's state. */
  readonly numbers: readonly number[];
  /** Number of the facts of the transaction. */
  readonly facts: number;
}
