/**
 * A decision in the making: events so far, and the state as if they had happened.
 *
 * The rules read the drafted state, so that each of them sees what the one before it did, exactly
 * as QEMU's functions see each other's assignments. Positions are given as the appender will give
 * them, which holds as long as the caller enqueues the decision before anything else.
 */
import {
  evolveTxn,
  type JobEvent,
  type JobEventData,
  type JobEventType,
  type JobState,
  jobStream,
  memberOf,
  type TxnState,
  txnStream,
} from "../../events/job/mod.ts";
import type { Refusal } from "./refusals.ts";

/** One event of a decision; position, version and time are the appender's. */
export interface DecidedEvent {
  /** Stream that it goes to. */
  readonly stream: string;
  /** Its type. */
  readonly type: JobEventType;
  /** Its data. */
  readonly data: JobEventData[JobEventType];
  /** Position of the event that caused it; absent = the command or signal itself. */
  readonly cause?: number;
}

/** What the sender of a command is told. */
export type Answer =
  | { readonly kind: "accepted" }
  | { readonly kind: "later" }
  | { readonly kind: "refused"; readonly refusal: Refusal };

/** What decide returns: the events to append atomically, and the answer. */
export interface Decision {
  /** In the order in which they happened. */
  readonly events: readonly DecidedEvent[];
  /** For commands; signals are always accepted. */
  readonly answer: Answer;
}

/** The common "yes". */
export const ACCEPTED: Answer = { kind: "accepted" };

/** The fold does not look at it. */
const NOBODY = { actor: "", via: "engine" } as const;

/** Collects the events of one decision. */
export class Draft {
  /** Events so far. */
  readonly events: DecidedEvent[] = [];
  #txn: TxnState;
  #position: number;

  /**
   * @param txn the transaction at the head
   * @param position the last position of the head; the first event gets the next one
   */
  constructor(txn: TxnState, position: number) {
    this.#txn = txn;
    this.#position = position;
  }

  /** The transaction as if everything drafted had happened. */
  get txn(): TxnState {
    return this.#txn;
  }

  /** Members, newest first: the order of every walk over a transaction. */
  get newestFirst(): readonly JobState[] {
    return this.#txn.jobs.toReversed();
  }

  /** A member as drafted. */
  job(runId: string): JobState {
    const job = memberOf(this.#txn, runId);
    if (job === undefined) throw new Error(`No member ${runId} in transaction ${this.#txn.txnId}`);
    return job;
  }

  /** Adds an event of a job's stream. */
  onJob<T extends JobEventType>(
    runId: string,
    type: T,
    data: JobEventData[T],
    cause?: number,
  ): void {
    this.add(jobStream(runId), type, data, cause);
  }

  /** Adds a fact of the transaction: to its own stream, or to a lone job's. */
  onTxn<T extends JobEventType>(type: T, data: JobEventData[T], cause?: number): void {
    const { isGroup, txnId } = this.#txn;
    this.add(isGroup ? txnStream(txnId) : jobStream(txnId), type, data, cause);
  }

  /** Adds an event of any stream of the transaction. */
  add<T extends JobEventType>(
    stream: string,
    type: T,
    data: JobEventData[T],
    cause?: number,
  ): void {
    this.events.push(cause === undefined ? { stream, type, data } : { stream, type, data, cause });
    this.#position += 1;
    this.#txn = evolveTxn(this.#txn, {
      position: this.#position,
      stream,
      version: 0,
      type,
      schema: 1,
      time: 0,
      data,
      metadata: NOBODY,
    } as unknown as JobEvent);
  }
}
