/**
 * Opens a log over a backend: for writing (`openEventStore`) or for reading (`openEventReader`).
 *
 * Invariants:
 *
 * - whoever opened the backend hands it over: closing the store closes it;
 * - subscriptions of a writer are fed from memory, those of a reader from `backend.watch`;
 * - snapshots and cursors never run ahead of what is durable.
 *
 * Called by the composition (`mod.ts` of the house), tests and whoever opens a log.
 */
import { Appender } from "./appender.ts";
import { JoblogError } from "./errors.ts";
import { Feed, type FeedOptions } from "./feed.ts";
import { checkJson } from "./plain_json.ts";
import { bound } from "./read_bounds.ts";
import {
  readCommand,
  readConsistency,
  readInclusion,
  readLog,
  readLogPages,
  readRoot,
  readRows,
  readStream,
  readStreamNames,
} from "./reader.ts";
import { followLog } from "./subscription.ts";
import type { AppenderOptions } from "./appender_options.ts";
import type { BackendFlags, LogEnd, SnapshotRow, StoreBackend } from "./backend.ts";
import type { StoredRecord, SubtreeRow } from "./backend.ts";
import type { JsonValue, RecordedEvent } from "./event.ts";
import type {
  AppendRequest,
  AppendResult,
  EventReader,
  EventStore,
  PendingAppend,
  ReadAllOptions,
  ReadStreamOptions,
  SubscribeOptions,
  Subscription,
} from "./store.ts";

/** Ports and bounds of a store that writes. */
export interface EventStoreOptions extends AppenderOptions {
  /** Bounds of what is kept in memory for live followers. */
  readonly feed?: FeedOptions;
}

/**
 * Opens a log for writing; reads where it ends and the right edge of its tree.
 *
 * @throws {JoblogError} code "logReadOnly" when the backend was opened for reading only
 * @throws {JoblogError} code "logDamaged" when stored hashes are missing
 */
export async function openEventStore(
  backend: StoreBackend,
  options: EventStoreOptions,
): Promise<EventStore> {
  if (backend.readOnly) {
    throw new JoblogError("logReadOnly", "Cannot open the log for writing: it is read-only");
  }
  const feed = new Feed((await backend.end()).position, options.feed);
  const lookup = (id: string) => readCommand(backend, id);
  return new Writer(backend, feed, await Appender.open(backend, feed, lookup, options));
}

/** Opens a log for reading. Nothing is read before it is asked for. */
export function openEventReader(backend: StoreBackend): EventReader {
  return new Reader(backend, new Feed(undefined));
}

class Reader implements EventReader {
  protected readonly backend: StoreBackend;
  protected readonly feed: Feed;
  readonly #subscriptions = new Set<Subscription>();
  #unwatch: (() => void) | undefined;
  #refreshing = false;
  #stale = false;
  #closed: Promise<void> | undefined;

  constructor(backend: StoreBackend, feed: Feed) {
    this.backend = backend;
    this.feed = feed;
  }

  get flags(): BackendFlags {
    return this.backend.flags;
  }

  get logId(): string {
    return this.backend.logId;
  }

  end(): Promise<LogEnd> {
    return this.backend.end();
  }

  readAll(options: ReadAllOptions = {}): AsyncIterable<RecordedEvent> {
    return readLog(this.backend, options);
  }

  readPages(options: ReadAllOptions = {}): AsyncIterable<readonly RecordedEvent[]> {
    return readLogPages(this.backend, options);
  }

  readStream(stream: string, options: ReadStreamOptions = {}): AsyncIterable<RecordedEvent> {
    return readStream(this.backend, stream, options);
  }

  readStored(from: number, to: number): AsyncIterable<StoredRecord> {
    return readRows(this.backend, from, to);
  }

  subscribe(options: SubscribeOptions = {}): Subscription {
    if (this.#closed !== undefined) {
      throw new JoblogError("logClosed", "Cannot subscribe: the log is closed");
    }
    const subscription = followLog(this.backend, this.feed, options, (ended) => {
      this.#subscriptions.delete(ended);
      if (this.#subscriptions.size === 0) this.stopFollowing();
    });
    this.#subscriptions.add(subscription);
    this.startFollowing();
    return subscription;
  }

  streamVersion(stream: string): Promise<number> {
    return this.backend.streamVersion(stream);
  }

  streamNames(prefix = ""): AsyncIterable<string> {
    return readStreamNames(this.backend, prefix);
  }

  positionAt(time: number): Promise<number> {
    return this.backend.positionAt(time);
  }

  command(id: string): Promise<readonly RecordedEvent[] | undefined> {
    return readCommand(this.backend, id);
  }

  root(size?: number): Promise<string> {
    return readRoot(this.backend, size);
  }

  inclusionProof(position: number, size?: number): Promise<readonly string[]> {
    return readInclusion(this.backend, position, size);
  }

  consistencyProof(first: number, second?: number): Promise<readonly string[]> {
    return readConsistency(this.backend, first, second);
  }

  subtrees(level: number, from: number, to: number): Promise<readonly SubtreeRow[]> {
    return this.backend.subtrees(level, from, to);
  }

  snapshot(
    name: string,
    foldVersion: number,
    position = Number.MAX_SAFE_INTEGER,
  ): Promise<SnapshotRow | undefined> {
    return this.backend.snapshot(name, foldVersion, position);
  }

  cursor(name: string): Promise<{ position: number; state: JsonValue | undefined } | undefined> {
    return this.backend.cursor(name);
  }

  async selfCheck(): Promise<readonly string[]> {
    return await this.backend.selfCheck?.() ?? [];
  }

  sizeBytes(): Promise<number> {
    return this.backend.sizeBytes();
  }

  close(): Promise<void> {
    this.#closed ??= this.closeAll();
    return this.#closed;
  }

  protected async closeAll(): Promise<void> {
    for (const subscription of [...this.#subscriptions]) subscription.close();
    this.stopFollowing();
    await this.backend.close();
  }

  protected startFollowing(): void {
    // Watching before reading the end: what is committed in between is then reported.
    this.#unwatch ??= this.backend.watch(() => this.#refresh());
    this.#refresh();
  }

  protected stopFollowing(): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  #refresh(): void {
    this.#stale = true;
    if (this.#refreshing) return;
    this.#refreshing = true;
    void this.#readEnd();
  }

  async #readEnd(): Promise<void> {
    try {
      while (this.#stale) {
        this.#stale = false;
        this.feed.advance((await this.backend.end()).position);
      }
    } catch {
      // The next change or the next read meets the same trouble and says so to its caller.
    } finally {
      this.#refreshing = false;
    }
  }
}

class Writer extends Reader implements EventStore {
  readonly #appender: Appender;

  constructor(backend: StoreBackend, feed: Feed, appender: Appender) {
    super(backend, feed);
    this.#appender = appender;
  }

  get token(): number {
    return this.backend.token;
  }

  get headPosition(): number {
    return this.#appender.headPosition;
  }

  get failure(): Error | undefined {
    return this.#appender.failure;
  }

  append(request: AppendRequest): Promise<AppendResult> {
    return this.#appender.append(request);
  }

  enqueue(request: AppendRequest): PendingAppend {
    return this.#appender.enqueue(request);
  }

  prime(stream: string): Promise<number> {
    return this.#appender.prime(stream);
  }

  flush(): Promise<void> {
    return this.#appender.flush();
  }

  onFailure(listener: (error: Error) => void): () => void {
    return this.#appender.onFailure(listener);
  }

  onReserveReleased(listener: () => void): () => void {
    return this.#appender.onReserveReleased(listener);
  }

  restoreReserve(): Promise<boolean> {
    return this.backend.restoreReserve();
  }

  async putSnapshot(row: SnapshotRow): Promise<void> {
    this.#checkDurable(row.position);
    checkJson(row.state, "state");
    await this.backend.putSnapshot(row);
  }

  async putCursor(name: string, position: number, state?: JsonValue): Promise<void> {
    this.#checkDurable(position);
    if (state !== undefined) checkJson(state, "state");
    await this.backend.putCursor(name, position, state);
  }

  #checkDurable(position: number): void {
    if (bound("position", position, 0, 0) <= this.feed.end) return;
    throw new JoblogError(
      "invalidArgument",
      `Cannot store a fold at position ${position}: the log is durable up to ${this.feed.end}`,
      { expected: this.feed.end, actual: position },
    );
  }

  protected override async closeAll(): Promise<void> {
    await this.#appender.close();
    await super.closeAll();
  }

  // The appender feeds the live end; there is nothing to watch.
  protected override startFollowing(): void {}
}
