/**
 * The reading half of a store, common to all SQL databases.
 *
 * Invariants: each method is a handful of compiled queries; nothing here keeps a transaction open
 * between two awaits, so a slow reader never holds a writer up. Called by the stores' backends.
 */
import type { CompiledQuery, Kysely } from "kysely";
import { JoblogError } from "../../log/errors.ts";
import type {
  CommandRow,
  LogEnd,
  PageQuery,
  SnapshotRow,
  StoredRecord,
  StreamPageQuery,
  SubtreeRow,
} from "../../log/backend.ts";
import type { JsonValue } from "../../log/event.ts";
import {
  AFTER_ALL_NAMES,
  type Direction,
  type EventRow,
  type LogQueries,
  MERGED_TYPES_MAX,
  type PreparedQuery,
} from "./queries.ts";
import type { LogTables } from "./tables.ts";

/** A projection's stored progress. */
export interface StoredCursor {
  /** Global position of the last applied event. */
  readonly position: number;
  /** The projection's state, if it keeps it here. */
  readonly state: JsonValue | undefined;
}

/** Versions `low` to `high` of one stream, of some types or of all. */
interface StreamRange {
  readonly stream: string;
  readonly low: number;
  readonly high: number;
  readonly types: readonly string[];
}

function toRecord(row: EventRow): StoredRecord {
  const { position, stream, version, type, time, text, leaf = "" } = row;
  if (stream === null || type === null) {
    throw new JoblogError("logDamaged", `Cannot read event ${position}: its names are missing`, {
      subject: String(position),
      hint: "Restore the log from a copy, then verify it.",
    });
  }
  return { position, stream, version, type, time, text, leaf };
}

/** Folds can be made anew: one that is no JSON any more must not keep anybody from the log. */
function parsed(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    return undefined;
  }
}

/** Reads a log through Kysely. */
export class SqlReads {
  readonly #db: Kysely<LogTables>;
  readonly #queries: LogQueries;
  readonly #pages = new Map<string, PreparedQuery<EventRow>>();

  /**
   * @param db a connection of its own, not the writer's
   * @param queries compiled for the same database
   */
  constructor(db: Kysely<LogTables>, queries: LogQueries) {
    this.#db = db;
    this.#queries = queries;
  }

  /** Where the log ends. */
  async end(): Promise<LogEnd> {
    const row = await this.#first(this.#queries.end.with(1));
    return { position: row?.position ?? 0, time: row?.time ?? 0 };
  }

  /** One page of the whole log. */
  async readPage(query: PageQuery): Promise<readonly StoredRecord[]> {
    const { direction, from, to, stream, limit, leaves = true } = query;
    const low = direction === "forwards" ? from : to;
    const high = direction === "forwards" ? to : from;
    const types = query.types === undefined ? undefined : [...new Set(query.types)];
    if (types?.length === 0 || low > high) return [];
    if (stream !== undefined) {
      const lowVersion = await this.#versionAtOrAfter(stream, low);
      const highVersion = await this.#versionAtOrAfter(stream, high + 1) - 1;
      const range = { stream, low: lowVersion, high: highVersion, types: types ?? [] };
      return this.#streamRows(direction, leaves, range, limit);
    }
    if (types === undefined) {
      const page = this.#page(
        `page ${direction} ${leaves}`,
        () => this.#queries.page(direction, leaves),
      );
      return this.#records(page.with(low, high, limit));
    }
    const kind = types.length > MERGED_TYPES_MAX ? "scannedTypesPage" : "mergedTypesPage";
    const page = this.#page(
      `${kind} ${direction} ${leaves} ${types.length}`,
      () => this.#queries[kind](direction, leaves, types.length),
    );
    return this.#records(
      kind === "scannedTypesPage"
        ? page.with(low, high, ...types, limit)
        : page.with(...types.flatMap((type) => [type, low, high]), limit),
    );
  }

  /** One page of one stream. */
  readStreamPage(query: StreamPageQuery): Promise<readonly StoredRecord[]> {
    const { direction, stream, from, limit, leaves = true } = query;
    const low = direction === "forwards" ? from : 1;
    const high = direction === "forwards" ? Number.MAX_SAFE_INTEGER : from;
    return this.#streamRows(direction, leaves, { stream, low, high, types: [] }, limit);
  }

  /** Last version of a stream; 0 = no such stream. */
  async streamVersion(stream: string): Promise<number> {
    return (await this.#first(this.#queries.streamVersion.with(stream, 1)))?.version ?? 0;
  }

  /** Names of streams with a prefix, ascending. */
  async streamNames(prefix: string, after: string, limit: number): Promise<readonly string[]> {
    const query = this.#queries.streamNames.with(after, prefix, prefix + AFTER_ALL_NAMES, limit);
    return (await this.#all(query)).map((row) => row.name);
  }

  /** Leaf hashes as hex, ascending. */
  async leaves(from: number, to: number): Promise<readonly string[]> {
    return (await this.#all(this.#queries.leaves.with(from, to))).map((row) => row.leaf);
  }

  /** Stored subtrees of one level, ascending. */
  async subtrees(level: number, from: number, to: number): Promise<readonly SubtreeRow[]> {
    const rows = await this.#all(this.#queries.subtrees.with(level, from, to));
    return rows.map((row) => ({ ...row }));
  }

  /** The recorded outcome of a command id. */
  async command(id: string): Promise<CommandRow | undefined> {
    const row = await this.#first(this.#queries.command.with(id));
    return row === undefined ? undefined : { ...row };
  }

  /** Position of the last record at or before an instant; binary search, as times never fall. */
  async positionAt(time: number): Promise<number> {
    const end = await this.end();
    if (end.time <= time) return end.position;
    let low = 0;
    let high = end.position;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      const row = await this.#first(this.#queries.timeAt.with(middle));
      if (row !== undefined && row.time <= time) low = middle;
      else high = middle;
    }
    return low;
  }

  /** The newest fitting snapshot; its state is null if the stored text was damaged. */
  async snapshot(
    name: string,
    foldVersion: number,
    position: number,
  ): Promise<SnapshotRow | undefined> {
    const row = await this.#first(this.#queries.snapshot.with(name, foldVersion, position));
    return row === undefined ? undefined : { ...row, state: parsed(row.state) ?? null };
  }

  /** A projection's cursor; none if its stored text was damaged: a projection starts anew then. */
  async cursor(name: string): Promise<StoredCursor | undefined> {
    const row = await this.#first(this.#queries.cursor.with(name));
    if (row === undefined) return undefined;
    if (row.state === null) return { position: row.position, state: undefined };
    const state = parsed(row.state);
    return state === undefined ? undefined : { position: row.position, state };
  }

  /** First version of a stream whose position is `position` or later; past the last if none. */
  async #versionAtOrAfter(stream: string, position: number): Promise<number> {
    if (position <= 1) return 1;
    let low = 0;
    let high = await this.streamVersion(stream) + 1;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      const place = await this.#first(this.#queries.streamPlace.with(stream, middle, 1));
      if (place !== undefined && place.position < position) low = middle;
      else high = middle;
    }
    return high;
  }

  #streamRows(
    direction: Direction,
    leaves: boolean,
    { stream, low, high, types }: StreamRange,
    limit: number,
  ): Promise<readonly StoredRecord[]> {
    const page = this.#page(
      `streamPage ${direction} ${leaves} ${types.length}`,
      () => this.#queries.streamPage(direction, leaves, types.length),
    );
    return this.#records(page.with(stream, low, high, ...types, limit));
  }

  #page(name: string, compile: () => PreparedQuery<EventRow>): PreparedQuery<EventRow> {
    const known = this.#pages.get(name);
    if (known !== undefined) return known;
    const compiled = compile();
    this.#pages.set(name, compiled);
    return compiled;
  }

  async #records(query: CompiledQuery<EventRow>): Promise<readonly StoredRecord[]> {
    return (await this.#all(query)).map(toRecord);
  }

  async #first<Row>(query: CompiledQuery<Row>): Promise<Row | undefined> {
    return (await this.#all(query))[0];
  }

  async #all<Row>(query: CompiledQuery<Row>): Promise<readonly Row[]> {
    return (await this.#db.executeQuery(query)).rows;
  }
}
