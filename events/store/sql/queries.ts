/**
 * Every query of a SQL store, once, compiled when the store opens and reused ever after.
 *
 * Invariants:
 *
 * - a query's parameters stand in the order of its text, and its caller passes them in that order;
 * - pages are keyset pages; no query uses OFFSET, and none sorts more rows than its page holds;
 * - names are joined from the left, so that the planner always starts at the rows of the page.
 *
 * Called by `reads.ts` and by the stores' append paths.
 */
import { type CompiledQuery, type Kysely, type RawBuilder, sql } from "kysely";
import type { SqlFlavour } from "./flavour.ts";
import type { LogTables } from "./tables.ts";

/** A value that may be bound. */
export type SqlParameter = string | number | null;

/** A compiled query that waits for its parameters. */
export interface PreparedQuery<Row> {
  /** The text, with a place for each parameter. */
  readonly sql: string;
  /** Fills the places, in the order of the text. */
  with(...parameters: readonly SqlParameter[]): CompiledQuery<Row>;
}

/** Order of a page. */
export type Direction = "forwards" | "backwards";

/** A stored event row as all page queries select it. */
export interface EventRow {
  /** Global position. */
  readonly position: number;
  /** Stream name; null only if the log is damaged. */
  readonly stream: string | null;
  /** Place in the stream. */
  readonly version: number;
  /** Event type; null only if the log is damaged. */
  readonly type: string | null;
  /** Milliseconds since 1970 UTC. */
  readonly time: number;
  /** JSON text. */
  readonly text: string;
  /** 64 lower-case hex digits; absent where nobody asked for it. */
  readonly leaf?: string;
}

/** From here on a page is filtered while scanning instead of merged from the types' indexes. */
export const MERGED_TYPES_MAX = 32;

/** Higher than every character that a stream name may have, so `prefix + it` ends a range. */
export const AFTER_ALL_NAMES = "~";

type Db = Kysely<LogTables>;

function prepare<Row>(compiled: CompiledQuery<Row>): PreparedQuery<Row> {
  const count = compiled.parameters.length;
  return {
    sql: compiled.sql,
    with: (...parameters) => {
      if (parameters.length !== count) {
        throw new TypeError(`Cannot bind query: ${parameters.length} values for ${count} places`);
      }
      return { ...compiled, parameters };
    },
  };
}

function order(direction: Direction): "asc" | "desc" {
  return direction === "forwards" ? "asc" : "desc";
}

/** Hex digits of a hash cost a quarter of a page: they are made for who verifies them. */
function eventRows(db: Db, flavour: SqlFlavour, leaves: boolean) {
  return db.selectFrom("events")
    .leftJoin("streams", "streams.key", "events.stream")
    .leftJoin("types", "types.key", "events.type")
    .select([
      "events.position",
      "streams.name as stream",
      "events.version",
      "types.name as type",
      "events.time",
      "events.text",
    ])
    .$if(leaves, (rows) => rows.select((eb) => flavour.hex(eb.ref("events.leaf")).as("leaf")));
}

/** Unary plus: keeps the planner from starting at the index of types, which would sort. */
function unindexedType(): RawBuilder<number> {
  return sql<number>`+${sql.ref("events.type")}`;
}

function typeKeys(db: Db, count: number) {
  return db.selectFrom("types").select("key").where("name", "in", new Array(count).fill(""));
}

function streamKey(db: Db) {
  return db.selectFrom("streams").select("key").where("name", "=", "");
}

function pageQueries(db: Db, flavour: SqlFlavour) {
  /** low, high, limit */
  const page = (direction: Direction, leaves: boolean): PreparedQuery<EventRow> =>
    prepare(
      eventRows(db, flavour, leaves)
        .where("events.position", ">=", 0).where("events.position", "<=", 0)
        .orderBy("events.position", order(direction)).limit(1).compile(),
    );
  /** low, high, types..., limit */
  const scannedTypesPage = (
    direction: Direction,
    leaves: boolean,
    count: number,
  ): PreparedQuery<EventRow> =>
    prepare(
      eventRows(db, flavour, leaves)
        .where("events.position", ">=", 0).where("events.position", "<=", 0)
        .where(unindexedType(), "in", typeKeys(db, count))
        .orderBy("events.position", order(direction)).limit(1).compile(),
    );
  /** (type, low, high) for each type, limit */
  const mergedTypesPage = (
    direction: Direction,
    leaves: boolean,
    count: number,
  ): PreparedQuery<EventRow> => {
    const ofOneType = () =>
      db.selectFrom("events").select("position")
        .where("type", "=", db.selectFrom("types").select("key").where("name", "=", ""))
        .where("position", ">=", 0).where("position", "<=", 0);
    let picked = ofOneType();
    for (let index = 1; index < count; index += 1) picked = picked.unionAll(ofOneType());
    const limited = picked.orderBy("position", order(direction)).limit(1);
    return prepare(
      eventRows(db, flavour, leaves)
        .where("events.position", "in", db.selectFrom(limited.as("picked")).select("position"))
        .orderBy("events.position", order(direction)).compile(),
    );
  };
  /** stream, low version, high version, types..., limit */
  const streamPage = (
    direction: Direction,
    leaves: boolean,
    typeCount: number,
  ): PreparedQuery<EventRow> => {
    let rows = eventRows(db, flavour, leaves)
      .where("events.stream", "=", streamKey(db))
      .where("events.version", ">=", 0).where("events.version", "<=", 0);
    if (typeCount > 0) rows = rows.where(unindexedType(), "in", typeKeys(db, typeCount));
    return prepare(rows.orderBy("events.version", order(direction)).limit(1).compile());
  };
  return { page, scannedTypesPage, mergedTypesPage, streamPage };
}

function pointQueries(db: Db, flavour: SqlFlavour) {
  return {
    end: prepare(
      db.selectFrom("events").select(["position", "time"])
        .orderBy("position", "desc").limit(1).compile(),
    ),
    /** position */
    timeAt: prepare(
      db.selectFrom("events").select("time").where("position", "=", 0).compile(),
    ),
    /** stream, version: the first place at or after a version */
    streamPlace: prepare(
      db.selectFrom("events").select(["position", "version"])
        .where("stream", "=", streamKey(db)).where("version", ">=", 0)
        .orderBy("version").limit(1).compile(),
    ),
    /** stream */
    streamVersion: prepare(
      db.selectFrom("events").select("version").where("stream", "=", streamKey(db))
        .orderBy("version", "desc").limit(1).compile(),
    ),
    /** after, prefix, end of the prefix, limit */
    streamNames: prepare(
      db.selectFrom("streams").select("name").where("name", ">", "")
        .where("name", ">=", "").where("name", "<", "").orderBy("name").limit(1).compile(),
    ),
    /** from, to */
    leaves: prepare(
      db.selectFrom("events").select((eb) => flavour.hex(eb.ref("leaf")).as("leaf"))
        .where("position", ">=", 0).where("position", "<=", 0).orderBy("position").compile(),
    ),
    /** level, from, to */
    subtrees: prepare(
      db.selectFrom("subtrees")
        .select((eb) => ["level", "idx as index", flavour.hex(eb.ref("hash")).as("hash")])
        .where("level", "=", 0).where("idx", ">=", 0).where("idx", "<=", 0)
        .orderBy("idx").compile(),
    ),
    /** id */
    command: prepare(
      db.selectFrom("commands")
        .select(["id", "first_position as firstPosition", "last_position as lastPosition"])
        .where("id", "=", "").compile(),
    ),
    /** name, fold version, position */
    snapshot: prepare(
      db.selectFrom("snapshots")
        .select(["name", "position", "fold_version as foldVersion", "state"])
        .where("name", "=", "").where("fold_version", "=", 0).where("position", "<=", 0)
        .orderBy("position", "desc").limit(sql.lit(1)).compile(),
    ),
    /** name */
    cursor: prepare(
      db.selectFrom("cursors").select(["position", "state"]).where("name", "=", "").compile(),
    ),
    /** name */
    meta: prepare(db.selectFrom("meta").select("value").where("name", "=", "").compile()),
  };
}

function writeQueries(db: Db, flavour: SqlFlavour) {
  return {
    /** The newest token and the last position, for the checks of a commit. */
    fence: prepare(
      db.selectNoFrom([
        db.selectFrom("meta").select("value").where("name", "=", sql.lit("token")).as("token"),
        db.selectFrom("events").select((eb) => eb.fn.max("position").as("last")).as("last"),
      ]).compile(),
    ),
    /** position, stream key, version, type key, time, text, leaf as hex */
    insertEvent: prepare(
      db.insertInto("events").values({
        position: 0,
        stream: 0,
        version: 0,
        type: 0,
        time: 0,
        text: "",
        leaf: flavour.unhex(""),
      }).compile(),
    ),
    /** level, index, hash as hex */
    insertSubtree: prepare(
      db.insertInto("subtrees").values({ level: 0, idx: 0, hash: flavour.unhex("") }).compile(),
    ),
    /** id, first position, last position */
    insertCommand: prepare(
      db.insertInto("commands").values({ id: "", first_position: 0, last_position: 0 }).compile(),
    ),
    /** name */
    streamKey: prepare(streamKey(db).compile()),
    /** name */
    typeKey: prepare(db.selectFrom("types").select("key").where("name", "=", "").compile()),
    highestStreamKey: prepare(
      db.selectFrom("streams").select((eb) => eb.fn.max("key").as("key")).compile(),
    ),
    highestTypeKey: prepare(
      db.selectFrom("types").select((eb) => eb.fn.max("key").as("key")).compile(),
    ),
    /** key, name */
    insertStream: prepare(db.insertInto("streams").values({ key: 0, name: "" }).compile()),
    /** key, name */
    insertType: prepare(db.insertInto("types").values({ key: 0, name: "" }).compile()),
    /** name, fold version, position, state */
    putSnapshot: prepare(
      db.insertInto("snapshots").values({ name: "", fold_version: 0, position: 0, state: "" })
        .onConflict((conflict) =>
          conflict.columns(["name", "fold_version", "position"])
            .doUpdateSet((eb) => ({ state: eb.ref("excluded.state") }))
        ).compile(),
    ),
    /** name, position, state */
    putCursor: prepare(
      db.insertInto("cursors").values({ name: "", position: 0, state: "" })
        .onConflict((conflict) =>
          conflict.column("name").doUpdateSet((eb) => ({
            position: eb.ref("excluded.position"),
            state: eb.ref("excluded.state"),
          }))
        ).compile(),
    ),
    /** name, value */
    putMeta: prepare(
      db.insertInto("meta").values({ name: "", value: "" })
        .onConflict((conflict) =>
          conflict.column("name").doUpdateSet((eb) => ({ value: eb.ref("excluded.value") }))
        ).compile(),
    ),
  };
}

/** Compiles all queries for one database. */
export function compileQueries(db: Db, flavour: SqlFlavour) {
  return {
    ...pageQueries(db, flavour),
    ...pointQueries(db, flavour),
    ...writeQueries(db, flavour),
  };
}

/** All queries of a store, compiled. */
export type LogQueries = ReturnType<typeof compileQueries>;
