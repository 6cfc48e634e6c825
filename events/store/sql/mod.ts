/**
 * What SQL stores share: the schema with its numbered migrations, every query, and the reading
 * half of a backend. A store adds a dialect, a {@link SqlFlavour} and an append path.
 *
 * @example Read the end of a log over any Kysely dialect
 * ```ts ignore
 * import { compileQueries, migrate, SqlReads } from "./events/store/sql/mod.ts";
 * await migrate(db, flavour, 0);
 * const reads = new SqlReads(db, compileQueries(db, flavour));
 * const { position } = await reads.end();
 * ```
 *
 * @module
 */
export type { SqlFlavour } from "./flavour.ts";
export {
  APPEND_ONLY_TABLES,
  LOG_FORMAT,
  migrate,
  type Migration,
  MIGRATIONS,
} from "./migrations.ts";
export {
  compileQueries,
  type EventRow,
  type LogQueries,
  type PreparedQuery,
  type SqlParameter,
} from "./queries.ts";
export { SqlReads, type StoredCursor } from "./reads.ts";
export type {
  CommandTable,
  CursorTable,
  EventTable,
  HashColumn,
  LogTables,
  MetaTable,
  NameTable,
  SnapshotTable,
  SubtreeTable,
} from "./tables.ts";
