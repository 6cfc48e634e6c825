/**
 * The event store as everybody above the log sees it.
 *
 * Guarantees, for every store:
 *
 * - positions are dense: 1, 2, 3 ... in the order of the appends, with no hole;
 * - an append is atomic over all its streams: all its events get neighbouring positions, or none;
 * - what `append` resolves with is durable; a subscriber and a reader never see less or earlier;
 * - several appends that arrive in one turn of the event loop share one commit (group commit);
 * - times never decrease.
 *
 * Source: DESIGN.md, The log.
 */
import type { ExpectedVersion, JsonValue, NewEvent, RecordedEvent } from "./event.ts";
import type { BackendFlags, LogEnd, SnapshotRow, StoredRecord, SubtreeRow } from "./backend.ts";
import type { Upcast } from "./upcast.ts";

/** Events for one stream, with the version that the stream must have. */
export interface StreamAppend {
  /** Name of the stream: 1 to 200 characters of `A-Z a-z 0-9 - . _`. */
  readonly stream: string;
  /** What the stream's version must be. @default "any" */
  readonly expectedVersion?: ExpectedVersion;
  /** At least one event. */
  readonly events: readonly NewEvent[];
}

/**
 * One atomic append.
 *
 * Events get positions in the order of `streams` and, within it, of `events`. A stream may stand
 * more than once in the list, so that events of several streams interleave as they happened; its
 * expected version is then checked at its first place only.
 */
export interface AppendRequest {
  /** The streams, in the order in which their events happened. */
  readonly streams: readonly StreamAppend[];
  /**
   * Names the append. A repeat with the same id and the same events appends nothing and answers
   * with the events of the first time.
   */
  readonly commandId?: string;
  /**
   * True for what nobody waits for: it may wait a little, so that it shares a commit with what
   * comes after it. An append that is not patient takes everything before it along. @default false
   */
  readonly isPatient?: boolean;
}

/** What an append did. */
export interface AppendResult {
  /** The events with their positions, versions and times. */
  readonly events: readonly RecordedEvent[];
  /** True if the command id was known and nothing was appended. */
  readonly repeated: boolean;
}

/**
 * An append whose place in the log is known and whose commit is under way.
 *
 * `events` may be folded at once (the *head*); nobody outside may be told before `durable`.
 */
export interface PendingAppend {
  /** The events with their final positions, versions and times. */
  readonly events: readonly RecordedEvent[];
  /**
   * Resolves when they are durable; rejects if the commit failed (nothing of it is stored). Appends
   * of one group share the promise; a rejection that nobody awaits is no unhandled one.
   */
  readonly durable: Promise<void>;
  /** True if the command id was known and nothing was enqueued. */
  readonly repeated: boolean;
}

/** Bounds and filters of a read of the whole log. */
export interface ReadAllOptions {
  /** Ascending by position, or descending. @default "forwards" */
  readonly direction?: "forwards" | "backwards";
  /** First position, inclusive. @default 1 forwards, the end backwards */
  readonly from?: number;
  /** Last position, inclusive. @default the end forwards, 1 backwards */
  readonly to?: number;
  /** Only this stream. */
  readonly stream?: string;
  /** Only these event types. */
  readonly types?: readonly string[];
  /** At most this many events. @default no limit */
  readonly limit?: number;
  /** Turns old shapes into today's while reading; types and bytes stored are untouched. */
  readonly upcast?: Upcast;
}

/** Bounds of a read of one stream. */
export interface ReadStreamOptions {
  /** Ascending by position, or descending. @default "forwards" */
  readonly direction?: "forwards" | "backwards";
  /** First version, inclusive. @default 1 forwards, the last one backwards */
  readonly from?: number;
  /** At most this many events. @default no limit */
  readonly limit?: number;
  /** Turns old shapes into today's while reading; types and bytes stored are untouched. */
  readonly upcast?: Upcast;
}

/** Where a subscription starts and what it lets through. */
export interface SubscribeOptions {
  /** The last position already seen; the first event delivered is a later one. @default 0 */
  readonly after?: number;
  /** Only this stream. */
  readonly stream?: string;
  /** Only these event types. */
  readonly types?: readonly string[];
  /** Ends the subscription; pending and later `next()` calls then answer `done`. */
  readonly signal?: AbortSignal;
  /** Turns old shapes into today's before delivery; `types` names the stored types. */
  readonly upcast?: Upcast;
}

/**
 * A follower of the log: catches up from its position, then goes on live, with no gap and no
 * repeat. A slow reader is served from the store at its own pace and never holds the writer up.
 */
export interface Subscription extends AsyncIterable<RecordedEvent> {
  /** The next event; `done` after `close()` or an abort. */
  next(): Promise<IteratorResult<RecordedEvent, undefined>>;
  /** Position up to which everything that passes the filter was delivered. */
  readonly position: number;
  /** Resolves when the subscription has met the live end for the first time, or was ended. */
  readonly caughtUp: Promise<void>;
  /** Ends it. Safe to call twice. */
  close(): void;
}

/** The reading half: all that an auditor, a view or a status page needs. */
export interface EventReader {
  /** What the store can do. */
  readonly flags: BackendFlags;
  /** Random name of the log: 32 lower-case hex digits. */
  readonly logId: string;
  /** Last durable position and its time. */
  end(): Promise<LogEnd>;
  /** Reads the whole log by keyset pages. */
  readAll(options?: ReadAllOptions): AsyncIterable<RecordedEvent>;
  /** The same in pages of at most 1,000 events, none empty: cheaper for who takes many. */
  readPages(options?: ReadAllOptions): AsyncIterable<readonly RecordedEvent[]>;
  /** Reads one stream by keyset pages. */
  readStream(stream: string, options?: ReadStreamOptions): AsyncIterable<RecordedEvent>;
  /** The rows as stored, for verification and export: never re-serialised, never upcast. */
  readStored(from: number, to: number): AsyncIterable<StoredRecord>;
  /** Follows the log. */
  subscribe(options?: SubscribeOptions): Subscription;
  /** Last version of a stream; 0 = no such stream. */
  streamVersion(stream: string): Promise<number>;
  /** Names of all streams that start with a prefix, ascending. */
  streamNames(prefix?: string): AsyncIterable<string>;
  /** Position of the last event at or before an instant (ms since 1970 UTC); 0 = none. */
  positionAt(time: number): Promise<number>;
  /** The events of the append that carried this command id. */
  command(id: string): Promise<readonly RecordedEvent[] | undefined>;
  /** Root of the Merkle tree over the first `size` records, as 64 hex digits. @default the end */
  root(size?: number): Promise<string>;
  /**
   * Proves that the record at a position is in the tree of `size` records: see `verifyInclusion`,
   * whose `index` is position - 1. @default the end
   */
  inclusionProof(position: number, size?: number): Promise<readonly string[]>;
  /** Proves that the first `first` records begin the first `second`. @default the end */
  consistencyProof(first: number, second?: number): Promise<readonly string[]>;
  /**
   * Stored subtrees of 256^level records with `from` <= index <= `to` (0-based), ascending, as they
   * stand: for verification.
   */
  subtrees(level: number, from: number, to: number): Promise<readonly SubtreeRow[]>;
  /** The newest snapshot of `name` with this fold version at `position` or before. */
  snapshot(name: string, foldVersion: number, position?: number): Promise<SnapshotRow | undefined>;
  /** A projection's cursor and state. */
  cursor(name: string): Promise<{ position: number; state: JsonValue | undefined } | undefined>;
  /**
   * What the store finds wrong with its own files and indexes, such as an index that lacks a row;
   * empty = nothing, or a store that keeps no such things. Reads the whole log once.
   */
  selfCheck(): Promise<readonly string[]>;
  /** Bytes on disk. */
  sizeBytes(): Promise<number>;
  /** Ends all subscriptions and closes the files. Safe to call twice. */
  close(): Promise<void>;
}

/** Reading and writing: one per log and process. */
export interface EventStore extends EventReader {
  /** The fencing token of this writer. */
  readonly token: number;
  /**
   * Appends and resolves when durable. Concurrent calls are ordered as they were made.
   *
   * @throws {JoblogError} code "versionConflict" when a stream's version is not the expected one
   * @throws {JoblogError} code "fenced" when a newer writer took over
   * @throws {JoblogError} code "commandReused" when the command id is known with other events
   * @throws {JoblogError} code "invalidRecord" when an event does not fit the record format
   * @throws {JoblogError} code "commitFailed" when the store could not commit
   * @throws {JoblogError} code "logClosed" after `close()` or a failed commit
   */
  append(request: AppendRequest): Promise<AppendResult>;
  /**
   * Gives an append its place at once and commits it with the next group, synchronously checked
   * against the head. A stream whose version the appender does not know must come with a number as
   * its expected version, which the store checks at the commit; for the words call `prime()` first.
   * A command id is compared with those that are queued or were recorded lately; ask `command(id)`
   * first for one that may be older.
   *
   * Keep the events unchanged after the call: they are what readers of the live end receive.
   *
   * @throws {JoblogError} codes "versionConflict", "commandReused", "invalidRecord", "logClosed"
   * @throws {JoblogError} code "invalidArgument" when a version is a word and not known
   */
  enqueue(request: AppendRequest): PendingAppend;
  /** Makes a stream's version known to the appender, so that `enqueue` can check it. */
  prime(stream: string): Promise<number>;
  /** Position of the last event given a place, durable or not. */
  readonly headPosition: number;
  /** Resolves when everything enqueued so far is durable; rejects if a commit failed. */
  flush(): Promise<void>;
  /** The error of the commit that stopped this writer, if one did. */
  readonly failure: Error | undefined;
  /** Called once when a commit fails for good: the head is void, the log must be opened again. */
  onFailure(listener: (error: Error) => void): () => void;
  /** Called when a full disk made the appender free the reserve and the retry went through. */
  onReserveReleased(listener: () => void): () => void;
  /** Makes the reserve again after room was made. */
  restoreReserve(): Promise<boolean>;
  /** Keeps a snapshot of durable events; discardable. */
  putSnapshot(row: SnapshotRow): Promise<void>;
  /** Stores a projection's cursor and state together. */
  putCursor(name: string, position: number, state?: JsonValue): Promise<void>;
}
