/**
 * The one place of the engine that appends: decided events in, head and durable state out.
 *
 * - `append` is synchronous up to the head: the next decision sees what this one did.
 * - Durable changes are told in log order, each exactly once, before the append's promise resolves.
 * - After a failed commit the head is void: nobody was told anything, and nothing goes on.
 *
 * Called by the engine's other parts only.
 */
import type { EventMetadata, NewEvent, RecordedEvent } from "../../events/log/event.ts";
import type {
  AppendRequest,
  EventStore,
  PendingAppend,
  StreamAppend,
} from "../../events/log/store.ts";
import {
  EVENT_SCHEMAS,
  evolveTxn,
  initialTxn,
  type JobEvent,
  type JobState,
  memberOf,
  runIdOfStream,
  type TxnState,
} from "../../events/job/mod.ts";
import type { IdsInUse } from "../core/create.ts";
import type { DecidedEvent } from "../core/draft.ts";
import { isFinished } from "./directory.ts";
import { TxnEntry } from "./entry.ts";

/** What is told about one durable event of a transaction. */
export type DurableListener = (
  entry: TxnEntry,
  event: JobEvent,
  before: TxnState,
  after: TxnState,
) => void;

/** What an event made of its transaction. */
interface Change {
  readonly entry: TxnEntry;
  readonly event: JobEvent;
  readonly after: TxnState;
}

/** Metadata of what the engine does by itself. */
export const BY_ENGINE: EventMetadata = { actor: "engine", via: "engine" };

/** Appends decided events and keeps the unfinished transactions. */
export class Ledger {
  readonly #store: EventStore;
  readonly #listener: DurableListener;
  readonly #entries = new Map<string, TxnEntry>();
  readonly #entryOfRun = new Map<string, TxnEntry>();
  readonly #runOfId = new Map<string, string>();
  readonly #versions = new Map<string, number>();
  readonly #kept = new Map<TxnEntry, number>();
  #durablePosition: number;

  /**
   * @param store the log
   * @param listener told about each durable event of a transaction
   */
  constructor(store: EventStore, listener: DurableListener) {
    this.#store = store;
    this.#listener = listener;
    this.#durablePosition = store.headPosition;
  }

  /** Position of the last event that the durable states hold: of one moment with all of them. */
  get durablePosition(): number {
    return this.#durablePosition;
  }

  /** Unfinished transactions, oldest first. */
  get entries(): readonly TxnEntry[] {
    return [...this.#entries.values()];
  }

  /** How many transactions are unfinished. */
  get entryCount(): number {
    return this.#entries.size;
  }

  /** The durable state of all jobs of unfinished transactions, newest first. */
  jobs(): readonly JobState[] {
    const runs = [...this.#entryOfRun].reverse();
    return runs.flatMap(([runId, entry]) => memberOf(entry.durable, runId) ?? []);
  }

  /** Ids that jobs hold at the head: looked up, never copied, as there may be very many. */
  get idsInUse(): IdsInUse {
    return this.#runOfId;
  }

  /** Last position of the head. */
  get position(): number {
    return this.#store.headPosition;
  }

  /** Run id of the job that holds an id at the head. */
  runOf(id: string): string | undefined {
    return this.#runOfId.get(id);
  }

  /** The transaction of a job. */
  entryOfRun(runId: string): TxnEntry | undefined {
    return this.#entryOfRun.get(runId);
  }

  /** A transaction. */
  entry(txnId: string): TxnEntry | undefined {
    return this.#entries.get(txnId);
  }

  /**
   * Makes a stream known that belongs to no transaction. Its version is kept here, because the
   * appender forgets streams that are quiet for long.
   */
  async prime(stream: string): Promise<void> {
    this.#versions.set(stream, await this.#store.prime(stream));
  }

  /**
   * Takes over an unfinished transaction of an earlier process. The versions of its streams are in
   * its state; the log checks them at the first commit.
   */
  adopt(txn: TxnState): TxnEntry {
    const entry = new TxnEntry(txn);
    this.#entries.set(txn.txnId, entry);
    for (const job of txn.jobs) {
      this.#entryOfRun.set(job.runId, entry);
      if (job.id !== null && job.status !== "null") this.#runOfId.set(job.id, job.runId);
    }
    return entry;
  }

  /**
   * Appends the events of one decision atomically.
   *
   * @param events in the order in which they happened; an empty list appends nothing
   * @param metadata who and why; an event's own cause wins over its causation id
   * @param options a command id makes the append idempotent; a patient one may wait for company
   * @returns resolves when durable and told; rejects when it cannot be appended, and never throws
   */
  async append(
    events: readonly DecidedEvent[],
    metadata: EventMetadata,
    options: Pick<AppendRequest, "commandId" | "isPatient"> = {},
  ): Promise<void> {
    if (events.length === 0) return;
    const streams = this.#streams(events, metadata);
    const pending = this.#store.enqueue({ streams, ...options });
    const changes: (Change | undefined)[] = [];
    for (const event of pending.events) {
      changes.push(this.#evolve(event as RecordedEvent & JobEvent));
    }
    await this.#follow(pending, changes);
  }

  /** Neighbours of one stream go together: most decisions concern one job. */
  #streams(events: readonly DecidedEvent[], metadata: EventMetadata): StreamAppend[] {
    const parts: StreamAppend[] = [];
    let seen: Set<string> | undefined;
    for (let from = 0; from < events.length;) {
      const { stream } = events[from]!;
      const made: NewEvent[] = [];
      for (; from < events.length && events[from]!.stream === stream; from += 1) {
        made.push(newEvent(events[from]!, metadata));
      }
      const expectedVersion = seen?.has(stream) ? undefined : this.#versionOf(stream);
      const part = { stream, events: made };
      parts.push(expectedVersion === undefined ? part : { ...part, expectedVersion });
      if (from < events.length) (seen ??= new Set()).add(stream);
    }
    return parts;
  }

  #versionOf(stream: string): number | undefined {
    const runId = runIdOfStream(stream);
    if (runId !== undefined) {
      const entry = this.#entryOfRun.get(runId);
      return entry === undefined ? 0 : memberOf(entry.head, runId)?.version ?? 0;
    }
    if (!stream.startsWith("txn-")) return this.#versions.get(stream);
    return this.#entries.get(stream.slice(4))?.head.version ?? 0;
  }

  #evolve(event: JobEvent): Change | undefined {
    if (this.#versions.has(event.stream)) this.#versions.set(event.stream, event.version);
    const entry = this.#entryFor(event);
    if (entry === undefined) return undefined;
    entry.head = evolveTxn(entry.head, event);
    if (event.type === "JobDismissed") this.#releaseId(event);
    return { entry, event, after: entry.head };
  }

  #entryFor(event: JobEvent): TxnEntry | undefined {
    if (event.type === "TxnCreated") return this.#open(event.data.txnId, true);
    const runId = runIdOfStream(event.stream);
    if (event.type === "JobCreated") {
      const { txnId, id } = event.data;
      const entry = this.#entries.get(txnId) ?? this.#open(txnId, false);
      this.#entryOfRun.set(event.data.runId, entry);
      if (id !== null) this.#runOfId.set(id, event.data.runId);
      return entry;
    }
    if (runId !== undefined) return this.#entryOfRun.get(runId);
    return this.#entries.get(event.stream.slice(4));
  }

  #open(txnId: string, isGroup: boolean): TxnEntry {
    const entry = new TxnEntry(initialTxn(txnId, isGroup));
    this.#entries.set(txnId, entry);
    return entry;
  }

  #releaseId(event: JobEvent): void {
    const runId = runIdOfStream(event.stream)!;
    const job = memberOf(this.#entryOfRun.get(runId)!.head, runId);
    if (job?.id && this.#runOfId.get(job.id) === runId) this.#runOfId.delete(job.id);
  }

  async #follow(
    pending: PendingAppend,
    changes: readonly (Change | undefined)[],
  ): Promise<void> {
    await pending.durable;
    const first = pending.events[0]!.position;
    for (let index = 0; index < changes.length; index += 1) {
      this.#durablePosition = first + index;
      const change = changes[index];
      if (change === undefined) continue;
      const { entry, event, after } = change;
      const before = entry.durable;
      entry.durable = after;
      this.#listener(entry, event, before, after);
      this.#forgetFinished(entry);
    }
  }

  /** Keeps jobs known, also when their transaction is finished, while work may report on them. */
  async keepWhile(entry: TxnEntry, work: Promise<void>): Promise<void> {
    this.#kept.set(entry, (this.#kept.get(entry) ?? 0) + 1);
    try {
      await work;
    } finally {
      const count = this.#kept.get(entry)! - 1;
      if (count > 0) this.#kept.set(entry, count);
      else this.#kept.delete(entry);
      this.#forgetFinished(entry);
    }
  }

  #forgetFinished(entry: TxnEntry): void {
    const isOver = isFinished(entry.durable) && entry.head === entry.durable;
    if (!isOver) return;
    this.#entries.delete(entry.head.txnId);
    if (this.#kept.has(entry)) return;
    for (const job of entry.head.jobs) this.#entryOfRun.delete(job.runId);
  }
}

function newEvent(event: DecidedEvent, metadata: EventMetadata): NewEvent {
  const { type, data, cause } = event;
  return {
    type,
    schema: EVENT_SCHEMAS[type],
    data: data as NewEvent["data"],
    metadata: cause === undefined ? metadata : { ...metadata, causationId: `@${cause}` },
  };
}
