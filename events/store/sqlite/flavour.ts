/** How SQLite fills the places where SQL databases differ. */
import { sql } from "kysely";
import type { SqlFlavour } from "../sql/flavour.ts";

/**
 * SQLite's side of the shared schema.
 *
 * The triggers stop honest mistakes. `INSERT OR REPLACE` from a foreign connection gets past the
 * one for DELETE, and a trigger against that would make appends three times slower; whoever
 * changes the file on purpose is caught by the Merkle tree.
 */
export const SQLITE_FLAVOUR: SqlFlavour = {
  integer: "integer",
  bytes: "blob",
  clustered: sql`without rowid`,
  hex: (bytes) => sql<string>`lower(hex(${bytes}))`,
  unhex: (text) => sql<string>`unhex(${text})`,
  appendOnly: (table) =>
    ["update", "delete"].map((verb) =>
      sql`create trigger ${sql.ref(`${table}_no_${verb}`)} before ${sql.raw(verb)} on ${
        sql.table(table)
      } begin select raise(abort, ${sql.lit(`${table} is append-only: ${verb} refused`)}); end`
    ),
  noteFormat: (format) => sql`pragma user_version = ${sql.lit(format)}`,
};
