/**
 * A log in memory for decided events, folded as they come: the part of a test's machine that
 * stands for the appender.
 *
 * - Positions and versions have no holes; one decision is one append.
 * - A cause must lie before its effect.
 */
import {
  evolveTxn,
  initialTxn,
  type JobEvent,
  type JobEventType,
  type JobState,
  jobStream,
  type TxnState,
} from "../../events/job/mod.ts";
import type { DecidedEvent, Decision } from "../../engine/core/mod.ts";
import { QmpTrace } from "./qmp_trace.ts";

/** Called after each append, with the transaction before it. */
export type AppendListener = (
  before: TxnState | undefined,
  decided: readonly DecidedEvent[],
) => void;

/** Recorded events and the states that they fold to. */
export class MachineLog {
  /** Everything recorded. */
  readonly events: JobEvent[] = [];
  /** Position after each append. */
  readonly appends: number[] = [];
  readonly #causes = new Map<number, number>();
  /** Transactions by id. */
  readonly txns = new Map<string, TxnState>();
  /** Set by tests that look at every append. */
  onAppend: AppendListener = () => {};
  readonly #versions = new Map<string, number>();
  readonly #txnOfStream = new Map<string, string>();
  #readCount = 0;

  /** Position of the last event. */
  get position(): number {
    return this.events.length;
  }

  /** Every job, oldest first, dismissed ones included. */
  jobs(): readonly JobState[] {
    return [...this.txns.values()].flatMap(({ jobs }) => jobs);
  }

  /** The newest job of an id. */
  job(id: string): JobState {
    const job = this.jobs().findLast((candidate) => candidate.id === id);
    if (job === undefined) throw new Error(`The machine has no job "${id}"`);
    return job;
  }

  /** The transaction of the newest job of an id. */
  txn(id: string): TxnState {
    return this.txnOf(this.job(id).runId);
  }

  /** The transaction of a run. */
  txnOf(runId: string): TxnState {
    return this.txns.get(this.#txnOfStream.get(jobStream(runId))!)!;
  }

  /** What QEMU would have sent, replies left out. */
  sent(): readonly string[] {
    return this.wire().filter((line) => !line.startsWith("="));
  }

  /** What QEMU would have sent and replied; a reply follows what its append brings about. */
  wire(): readonly string[] {
    const trace = new QmpTrace();
    return this.appends.flatMap((end, index) => {
      const start = this.appends[index - 1] ?? 0;
      const lines = this.events.slice(start, end).flatMap((event) => trace.linesOf(event));
      const isReply = (line: string) => line.startsWith("=");
      return [...lines.filter((line) => !isReply(line)), ...lines.filter(isReply)];
    });
  }

  /** What was sent and replied since the last call. */
  news(): readonly string[] {
    const lines = this.wire();
    const fresh = lines.slice(this.#readCount);
    this.#readCount = lines.length;
    return fresh;
  }

  /** Types of the events that caused the events of a type. */
  causes(type: JobEventType): readonly (JobEventType | undefined)[] {
    return this.events.filter((event) => event.type === type)
      .map(({ position }) => this.events[(this.#causes.get(position) ?? 0) - 1]?.type);
  }

  /** Appends what was decided. */
  record(txnId: string | undefined, { events }: Decision): void {
    if (events.length === 0) return;
    const before = txnId === undefined ? undefined : this.txns.get(txnId);
    for (const { stream, type, data, cause } of events) {
      const position = this.position + 1;
      if (cause !== undefined && cause >= position) throw new Error(`${type} precedes its cause`);
      if (cause !== undefined) this.#causes.set(position, cause);
      const version = (this.#versions.get(stream) ?? 0) + 1;
      const head = { position, stream, version, schema: 1, time: position * 1_000 };
      const metadata = { actor: "test", via: "engine" };
      this.take({ ...head, type, data, metadata } as unknown as JobEvent);
    }
    this.appends.push(this.position);
    this.onAppend(before, events);
  }

  /** Takes an event over as it is. */
  take(event: JobEvent): void {
    this.events.push(event);
    this.#versions.set(event.stream, event.version);
    if (event.type === "TxnCreated") {
      this.#open(event.stream, event.data.txnId, true);
    } else if (event.type === "JobCreated") {
      this.#open(event.stream, event.data.txnId, false);
    }
    const txnId = this.#txnOfStream.get(event.stream);
    if (txnId !== undefined) this.txns.set(txnId, evolveTxn(this.txns.get(txnId)!, event));
  }

  #open(stream: string, txnId: string, isGroup: boolean): void {
    this.#txnOfStream.set(stream, txnId);
    if (!this.txns.has(txnId)) this.txns.set(txnId, initialTxn(txnId, isGroup));
  }
}
