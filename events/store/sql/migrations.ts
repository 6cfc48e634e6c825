/**
 * Numbered migrations of a log's schema. The number of the last one is the format of the log.
 *
 * A migration that was released is never edited; a new shape is a new migration. The schema that
 * all of them together make is checked in as a text beside the tests.
 */
import type { Kysely } from "kysely";
import type { SqlFlavour } from "./flavour.ts";
import type { LogTables } from "./tables.ts";

/** One step from a format to the next. */
export interface Migration {
  /** The format that the log has afterwards: 1, 2, 3 ... */
  readonly format: number;
  /** Runs inside a transaction. */
  up(db: Kysely<LogTables>, flavour: SqlFlavour): Promise<void>;
}

/** Tables whose rows are never changed or deleted. */
export const APPEND_ONLY_TABLES = ["streams", "types", "events", "subtrees", "commands"] as const;

async function createNames(db: Kysely<LogTables>, flavour: SqlFlavour): Promise<void> {
  for (const table of ["streams", "types"] as const) {
    await db.schema.createTable(table)
      .addColumn("key", flavour.integer, (column) => column.primaryKey())
      .addColumn("name", "text", (column) => column.notNull().unique())
      .execute();
  }
}

async function createEvents(db: Kysely<LogTables>, flavour: SqlFlavour): Promise<void> {
  await db.schema.createTable("events")
    .addColumn("position", flavour.integer, (column) => column.primaryKey())
    .addColumn("stream", flavour.integer, (column) => column.notNull().references("streams.key"))
    .addColumn("version", flavour.integer, (column) => column.notNull())
    .addColumn("type", flavour.integer, (column) => column.notNull().references("types.key"))
    .addColumn("time", flavour.integer, (column) => column.notNull())
    .addColumn("text", "text", (column) => column.notNull())
    .addColumn("leaf", flavour.bytes, (column) => column.notNull())
    .execute();
  await db.schema.createIndex("events_by_stream").unique().on("events")
    .columns(["stream", "version"]).execute();
  await db.schema.createIndex("events_by_type").on("events")
    .columns(["type", "position"]).execute();
}

async function createTreeAndCommands(db: Kysely<LogTables>, flavour: SqlFlavour): Promise<void> {
  await db.schema.createTable("subtrees")
    .addColumn("level", flavour.integer, (column) => column.notNull())
    .addColumn("idx", flavour.integer, (column) => column.notNull())
    .addColumn("hash", flavour.bytes, (column) => column.notNull())
    .addPrimaryKeyConstraint("subtrees_key", ["level", "idx"])
    .modifyEnd(flavour.clustered).execute();
  await db.schema.createTable("commands")
    .addColumn("id", "text", (column) => column.notNull().primaryKey())
    .addColumn("first_position", flavour.integer, (column) => column.notNull())
    .addColumn("last_position", flavour.integer, (column) => column.notNull())
    .modifyEnd(flavour.clustered).execute();
}

async function createKept(db: Kysely<LogTables>, flavour: SqlFlavour): Promise<void> {
  await db.schema.createTable("snapshots")
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("fold_version", flavour.integer, (column) => column.notNull())
    .addColumn("position", flavour.integer, (column) => column.notNull())
    .addColumn("state", "text", (column) => column.notNull())
    .addPrimaryKeyConstraint("snapshots_key", ["name", "fold_version", "position"])
    .execute();
  await db.schema.createTable("cursors")
    .addColumn("name", "text", (column) => column.notNull().primaryKey())
    .addColumn("position", flavour.integer, (column) => column.notNull())
    .addColumn("state", "text")
    .execute();
  await db.schema.createTable("meta")
    .addColumn("name", "text", (column) => column.notNull().primaryKey())
    .addColumn("value", "text", (column) => column.notNull())
    .modifyEnd(flavour.clustered).execute();
}

/** All migrations in order. */
export const MIGRATIONS: readonly Migration[] = [
  {
    format: 1,
    up: async (db, flavour) => {
      await createNames(db, flavour);
      await createEvents(db, flavour);
      await createTreeAndCommands(db, flavour);
      await createKept(db, flavour);
      for (const table of APPEND_ONLY_TABLES) {
        for (const statement of flavour.appendOnly(table)) await statement.execute(db);
      }
    },
  },
];

/** The newest format that this program knows. */
export const LOG_FORMAT: number = MIGRATIONS.length;

/**
 * Brings a schema to the newest format, one transaction for each step: a crash in between leaves
 * a whole older format.
 *
 * @param from the format that the log has; 0 = no tables yet
 */
export async function migrate(
  db: Kysely<LogTables>,
  flavour: SqlFlavour,
  from: number,
): Promise<void> {
  for (const migration of MIGRATIONS) {
    if (migration.format <= from) continue;
    await db.transaction().execute(async (transaction) => {
      await migration.up(transaction, flavour);
      await flavour.noteFormat(migration.format).execute(transaction);
    });
  }
}
