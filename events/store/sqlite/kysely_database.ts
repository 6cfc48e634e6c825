/** Lets Kysely's SqliteDialect run over node:sqlite. */
import { Kysely, type SqliteDatabase, SqliteDialect } from "kysely";
import type { LogTables, SqlParameter } from "../sql/mod.ts";

/** What the dialect needs of a connection: rows of a text with parameters. */
export interface RowSource {
  /** Runs a statement and gives all its rows; none for one that has no rows. */
  all(text: string, parameters: readonly SqlParameter[]): readonly unknown[];
}

function asDatabase(source: RowSource): SqliteDatabase {
  return {
    close: () => {},
    prepare: (text) => ({
      reader: true,
      all: (parameters) => [...source.all(text, parameters as readonly SqlParameter[])],
      run: () => ({ changes: 0, lastInsertRowid: 0 }),
      iterate: (parameters) => source.all(text, parameters as readonly SqlParameter[]).values(),
    }),
  };
}

/** A Kysely over a connection that somebody else owns and closes. */
export function kyselyOver(source: RowSource): Kysely<LogTables> {
  return new Kysely<LogTables>({ dialect: new SqliteDialect({ database: asDatabase(source) }) });
}
