import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { assert, assertEquals } from "@std/assert";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { compileQueries, LOG_FORMAT, type PreparedQuery } from "../../../events/store/sql/mod.ts";
import { SQLITE_FLAVOUR } from "../../../events/store/sqlite/flavour.ts";
import { kyselyOver } from "../../../events/store/sqlite/kysely_database.ts";
import { APPLICATION_ID, PAGE_BYTES } from "../../../events/store/sqlite/mod.ts";
import { LogFolder } from "./log_folder.ts";

const FIXTURE = new URL("./sqlite_schema.sql", import.meta.url);

/** The schema of a database as one text. */
function schemaOf(db: DatabaseSync): string {
  const rows = db.prepare(
    "select sql from sqlite_master where sql is not null order by type, name",
  ).all();
  return rows.map((row) => `${row["sql"]};\n`).join("");
}

describe("the schema of an SQLite log", () => {
  let logs: LogFolder;
  let db: DatabaseSync;

  beforeEach(async () => {
    logs = new LogFolder();
    await (await logs.open()).close();
    db = new DatabaseSync(logs.path());
  });

  afterEach(async () => {
    db.close();
    await logs.remove();
  });

  /** Written again with JOBLOG_WRITE_FIXTURES=1; a released format never changes. */
  it("is the one that is checked in", () => {
    const schema = schemaOf(db);
    if (process.env["JOBLOG_WRITE_FIXTURES"] === "1") writeFileSync(FIXTURE, schema);
    assertEquals(schema, readFileSync(FIXTURE, "utf8"));
  });

  it("is marked as a log of this format", () => {
    const pragma = (name: string) => Object.values(db.prepare(`pragma ${name}`).get()!)[0];
    assertEquals(pragma("application_id"), APPLICATION_ID);
    assertEquals(pragma("user_version"), LOG_FORMAT);
    assertEquals(pragma("page_size"), PAGE_BYTES);
    assertEquals(pragma("journal_mode"), "wal");
  });

  it("lets every query start at an index, and none sort", () => {
    const queries = compileQueries(kyselyOver({ all: () => [] }), SQLITE_FLAVOUR);
    const { page, scannedTypesPage, mergedTypesPage, streamPage, ...single } = queries;
    const all: readonly PreparedQuery<unknown>[] = [
      ...Object.values(single),
      ...(["forwards", "backwards"] as const).flatMap((direction) => [
        page(direction, true),
        page(direction, false),
        scannedTypesPage(direction, true, 3),
        mergedTypesPage(direction, true, 1),
        mergedTypesPage(direction, false, 3),
        streamPage(direction, true, 0),
        streamPage(direction, false, 3),
      ]),
    ];
    for (const { sql } of all) {
      const plan = db.prepare(`explain query plan ${sql}`).all()
        .map((row) => String(row["detail"])).join("\n");
      assert(!plan.includes("TEMP B-TREE"), `${sql}\n${plan}`);
      // A scan of the events is right for their end only, where a LIMIT of one row stops it.
      const mayScan = sql === queries.end.sql;
      assert(mayScan || !/SCAN (events|streams|types|commands)/.test(plan), `${sql}\n${plan}`);
    }
  });
});
