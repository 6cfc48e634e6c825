/**
 * The tables of a log as Kysely sees them. Every SQL store has exactly these.
 *
 * ```text
 * streams   key -> name            types     key -> name
 * events    position -> stream key, version, type key, time, text, leaf
 * subtrees  (level, idx) -> hash   commands  id -> first and last position
 * snapshots (name, fold_version, position) -> state
 * cursors   name -> position, state
 * meta      name -> value          (log_id, token, holder)
 * ```
 *
 * Source: DESIGN.md, The log.
 */
import type { ColumnType } from "kysely";

/** A 32-byte hash column: bound and read as hex text through the flavour's functions. */
export type HashColumn = ColumnType<Uint8Array, string, never>;

/** Names with integer keys; a text key in every row would halve the speed of appends. */
export interface NameTable {
  /** 1, 2, 3 ... in the order of first use. */
  readonly key: number;
  /** The name itself, unique. */
  readonly name: string;
}

/** One row for each recorded event. Columns beside `text` are an index. */
export interface EventTable {
  /** Global position, 1, 2, 3 ... without a hole. */
  readonly position: number;
  /** Key of the stream's name. */
  readonly stream: number;
  /** Place in the stream, 1, 2, 3 ... without a hole. */
  readonly version: number;
  /** Key of the event type's name. */
  readonly type: number;
  /** Milliseconds since 1970 UTC, never decreasing. */
  readonly time: number;
  /** The record's JSON text, as hashed. */
  readonly text: string;
  /** SHA-256(0x00 || bytes), 32 bytes. */
  readonly leaf: HashColumn;
}

/** Complete subtrees of 256^level leaves. */
export interface SubtreeTable {
  /** 1 = 256 leaves, 2 = 65,536 leaves, and so on. */
  readonly level: number;
  /** 0-based index among the subtrees of the level. */
  readonly idx: number;
  /** Root of the subtree, 32 bytes. */
  readonly hash: HashColumn;
}

/** Command ids and the events that their append brought about. */
export interface CommandTable {
  /** The command id. */
  readonly id: string;
  /** Position of the append's first event. */
  readonly first_position: number;
  /** Position of the append's last event. */
  readonly last_position: number;
}

/** Stored folds; discardable. */
export interface SnapshotTable {
  /** What was folded. */
  readonly name: string;
  /** Version of the fold. */
  readonly fold_version: number;
  /** Global position of the last event that is in it. */
  readonly position: number;
  /** JSON text. */
  readonly state: string;
}

/** How far each projection has come. */
export interface CursorTable {
  /** Name of the projection. */
  readonly name: string;
  /** Global position of the last event that it has applied. */
  readonly position: number;
  /** JSON text, or null if the projection keeps its state elsewhere. */
  readonly state: string | null;
}

/** Facts about the log itself, which are not events. */
export interface MetaTable {
  /** `log_id`, `token` (decimal) or `holder`. */
  readonly name: string;
  /** The fact as text. */
  readonly value: string;
}

/** All tables by name. */
export interface LogTables {
  /** Stream names. */
  readonly streams: NameTable;
  /** Event type names. */
  readonly types: NameTable;
  /** The records. */
  readonly events: EventTable;
  /** Merkle subtrees. */
  readonly subtrees: SubtreeTable;
  /** Command ids. */
  readonly commands: CommandTable;
  /** Stored folds. */
  readonly snapshots: SnapshotTable;
  /** Projections' cursors. */
  readonly cursors: CursorTable;
  /** Facts about the log. */
  readonly meta: MetaTable;
}
