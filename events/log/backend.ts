/**
 * What a store has to offer: the small synchronous-or-asynchronous surface under `EventStore`.
 *
 * Everything that is common to all stores (group commit, positions, times, hashing, expected
 * versions at the head, subscriptions, back-pressure) lives above this interface in `events/log`;
 * a backend keeps rows. Invariants that it must hold by itself, because two processes may try:
 *
 * - `commit` is all or nothing and durable when its promise resolves;
 * - `commit` refuses a fencing token older than the newest one (`fenced`);
 * - `commit` refuses records that do not start at `last position + 1` (`versionConflict`);
 * - rows are never changed or deleted.
 *
 * Called by `event_store.ts` and the appender only.
 */
import type { JsonValue } from "./event.ts";

/** One row to store: the index columns and the exact bytes. */
export interface EncodedRecord {
  /** Global position. */
  readonly position: number;
  /** Stream name. */
  readonly stream: string;
  /** Place in the stream. */
  readonly version: number;
  /** Event type. */
  readonly type: string;
  /** Milliseconds since 1970 UTC. */
  readonly time: number;
  /** The record as JSON text; its UTF-8 bytes are what is hashed. */
  readonly text: string;
  /** SHA-256(0x00 || bytes) as 64 lower-case hex digits. */
  readonly leaf: string;
}

/** One row as read back: the stored text and leaf, untouched. */
export interface StoredRecord {
  /** Global position (index column). */
  readonly position: number;
  /** Stream name (index column). */
  readonly stream: string;
  /** Place in the stream (index column). */
  readonly version: number;
  /** Event type (index column). */
  readonly type: string;
  /** Time (index column). */
  readonly time: number;
  /** The stored JSON text. */
  readonly text: string;
  /** The stored leaf hash, 64 lower-case hex digits. */
  readonly leaf: string;
}

/** A complete subtree of 256^level leaves: row (level, index, hash). */
export interface SubtreeRow {
  /** 1 = 256 leaves, 2 = 65,536 leaves, and so on. */
  readonly level: number;
  /** 0-based index among the subtrees of its level. */
  readonly index: number;
  /** Root of the subtree, 64 lower-case hex digits. */
  readonly hash: string;
}

/** A command id with the positions of the events that it brought about in its own append. */
export interface CommandRow {
  /** The command id. */
  readonly id: string;
  /** Position of the first event of the append. */
  readonly firstPosition: number;
  /** Position of the last event of the append. */
  readonly lastPosition: number;
}

/** What one commit stores, in one database transaction. */
export interface CommitBatch {
  /** The writer's fencing token. */
  readonly token: number;
  /** Dense, ascending positions. */
  readonly records: readonly EncodedRecord[];
  /** Subtrees that these records complete. */
  readonly subtrees: readonly SubtreeRow[];
  /** Command ids that these records belong to. */
  readonly commands: readonly CommandRow[];
}

/** Where the log ends. */
export interface LogEnd {
  /** Last position; 0 = empty log. */
  readonly position: number;
  /** Time of the last record; 0 = empty log. */
  readonly time: number;
}

/** Which rows a page holds. All conditions hold together. */
export interface PageQuery {
  /** Ascending by position, or descending. */
  readonly direction: "forwards" | "backwards";
  /** First position of the page, inclusive. */
  readonly from: number;
  /** Last position to consider, inclusive (the lowest one when reading backwards). */
  readonly to: number;
  /** Only this stream. */
  readonly stream?: string;
  /** Only these types; an empty list matches nothing. */
  readonly types?: readonly string[];
  /** At most this many rows, 1 to 10,000. */
  readonly limit: number;
  /** False = `leaf` may be "" in the rows, for who does not verify them. @default true */
  readonly leaves?: boolean;
}

/** Which rows of one stream a page holds. */
export interface StreamPageQuery {
  /** Ascending by version, or descending. */
  readonly direction: "forwards" | "backwards";
  /** Name of the stream. */
  readonly stream: string;
  /** First version of the page, inclusive. */
  readonly from: number;
  /** At most this many rows, 1 to 10,000. */
  readonly limit: number;
  /** False = `leaf` may be "" in the rows, for who does not verify them. @default true */
  readonly leaves?: boolean;
}

/** A stored fold of a stream or of the whole log; always discardable, never hashed. */
export interface SnapshotRow {
  /** What was folded: a stream name, or a name of the projection's own. */
  readonly name: string;
  /** Global position of the last event that is in it. */
  readonly position: number;
  /** Version of the fold that made it; a reader with another version ignores the row. */
  readonly foldVersion: number;
  /** The folded state. */
  readonly state: JsonValue;
}

/** What a backend can do beside the minimum; documented flags instead of checks by name. */
export interface BackendFlags {
  /** Short name for messages and metrics, such as `memory` or `sqlite`. */
  readonly name: string;
  /** True if data outlives the process. */
  readonly durable: boolean;
  /** True if another process can read while this one writes. */
  readonly sharedReaders: boolean;
}

/** The rows of one log. Methods may be called concurrently except `commit`, which is serial. */
export interface StoreBackend {
  /** What it can do. */
  readonly flags: BackendFlags;
  /** Random name of the log, made at creation: 32 lower-case hex digits. */
  readonly logId: string;
  /** True if opened without the writer's token; `commit` and the `put` methods refuse. */
  readonly readOnly: boolean;
  /** The fencing token of this writer (1, 2, 3 ... rising with each writer); 0 if read-only. */
  readonly token: number;
  /** Where the log ends now, as seen by this process. */
  end(): Promise<LogEnd>;
  /**
   * Stores a batch atomically and durably. Called by one appender, one call at a time.
   *
   * @throws {JoblogError} code "fenced" when a newer writer's token is stored
   * @throws {JoblogError} code "versionConflict" when a position or a version is not the next one
   * @throws {JoblogError} code "commandReused" when a command id is stored already
   * @throws {JoblogError} code "commitFailed" otherwise; `actual` is "ENOSPC" when the disk is full
   */
  commit(batch: CommitBatch): Promise<void>;
  /** One page of the whole log, by keyset. */
  readPage(query: PageQuery): Promise<readonly StoredRecord[]>;
  /** One page of one stream, by keyset. */
  readStreamPage(query: StreamPageQuery): Promise<readonly StoredRecord[]>;
  /** Last version of a stream; 0 = no such stream. */
  streamVersion(stream: string): Promise<number>;
  /** Names of the streams that start with a prefix, ascending, after `after`, at most `limit`. */
  streamNames(prefix: string, after: string, limit: number): Promise<readonly string[]>;
  /** Leaf hashes of the positions `from` to `to`, both inclusive, ascending, as hex. */
  leaves(from: number, to: number): Promise<readonly string[]>;
  /** Stored subtrees of one level with `from` <= index <= `to`, ascending. */
  subtrees(level: number, from: number, to: number): Promise<readonly SubtreeRow[]>;
  /** The recorded outcome of a command id. */
  command(id: string): Promise<CommandRow | undefined>;
  /** Position of the last record whose time is `time` or earlier; 0 = none. */
  positionAt(time: number): Promise<number>;
  /** Keeps a snapshot beside earlier ones of the same name. */
  putSnapshot(row: SnapshotRow): Promise<void>;
  /** The newest snapshot of `name` with this fold version at `position` or before. */
  snapshot(name: string, foldVersion: number, position: number): Promise<SnapshotRow | undefined>;
  /** Stores a projection's cursor and state atomically; without a state the old one is dropped. */
  putCursor(name: string, position: number, state?: JsonValue): Promise<void>;
  /** A projection's cursor; undefined = never ran. */
  cursor(name: string): Promise<{ position: number; state: JsonValue | undefined } | undefined>;
  /** Frees the reserve for a full disk, or a piece of it. Returns false if nothing is left. */
  releaseReserve(): Promise<boolean>;
  /** Makes the reserve again. Returns false if there is no room or no such thing. */
  restoreReserve(): Promise<boolean>;
  /** What the store finds wrong with its own files and indexes, a few sentences at most. */
  selfCheck?(): Promise<readonly string[]>;
  /** Bytes on disk, log and side files together; 0 where nothing is stored. */
  sizeBytes(): Promise<number>;
  /** Positions may have grown through another process: calls back soon after. Returns a stop. */
  watch(changed: () => void): () => void;
  /** Closes everything. Safe to call twice. */
  close(): Promise<void>;
}
