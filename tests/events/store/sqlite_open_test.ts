import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { itWhen } from "../../support/skip.ts";
import { batch, failure, LogFolder, records } from "./log_folder.ts";

const WHOLE = { direction: "forwards", from: 1, to: 100, limit: 100 } as const;
const isRoot = process.getuid?.() === 0;

describe("openSqliteLog()", () => {
  let logs: LogFolder;

  beforeEach(() => {
    logs = new LogFolder();
  });

  afterEach(() => logs.remove());

  /** Makes a closed log of `count` events. */
  async function made(count = 3): Promise<void> {
    const backend = await logs.open();
    if (count > 0) await backend.commit(batch(backend, records(1, count)));
    await backend.close();
  }

  /** Changes a closed log behind our back. */
  function alter(sql: string): void {
    const db = new DatabaseSync(logs.path());
    db.exec(sql);
    db.close();
  }

  /** The code with which both ways of opening refuse the file. */
  async function codes(): Promise<readonly string[]> {
    const reading = await failure(logs.open({ readOnly: true }));
    const writing = await failure(logs.open({ create: false }));
    assert(reading.hint !== undefined && writing.hint !== undefined, "both say what to do");
    return [reading.code, writing.code];
  }

  it("creates a log whose name is 32 hex digits and keeps it", async () => {
    const backend = await logs.open();
    assert(/^[0-9a-f]{32}$/.test(backend.logId));
    await backend.close();
    const again = await logs.open();
    assertEquals([again.logId, again.token], [backend.logId, 2]);
    const other = await logs.open({}, "b.log");
    assertNotEquals(other.logId, backend.logId);
  });

  it("takes the name of a new log from createLogId", async () => {
    const backend = await logs.open({ createLogId: () => "0123456789abcdef".repeat(2) });
    assertEquals(backend.logId, "0123456789abcdef".repeat(2));
  });

  it("clears away what a dead creator left", async () => {
    for (const suffix of ["", "-wal", "-journal"]) {
      writeFileSync(`${logs.path()}.new${suffix}`, "half a log");
    }
    const backend = await logs.open();
    assertEquals(await backend.end(), { position: 0, time: 0 });
    await backend.close();
    assertEquals(readdirSync(logs.folder).sort(), ["a.log", "a.log.writer"]);
  });

  it("refuses a missing log without creating anything", async () => {
    assertEquals(await codes(), ["logUnreadable", "logUnreadable"]);
    assertEquals(readdirSync(logs.folder), []);
    const error = await failure(logs.open({}, "no/such/folder/a.log"));
    assertEquals([error.code, error.actual], ["logUnreadable", "ENOENT"]);
  });

  it("refuses a folder", async () => {
    mkdirSync(logs.path());
    assertEquals(await codes(), ["logUnreadable", "logUnreadable"]);
  });

  it("refuses an empty file and leaves it as it is", async () => {
    writeFileSync(logs.path(), "");
    assertEquals(await codes(), ["logForeign", "logForeign"]);
    assertEquals([statSync(logs.path()).size, readdirSync(logs.folder)], [0, ["a.log"]]);
  });

  it("refuses a file that is no database and leaves it as it is", async () => {
    const text = "these are the notes of somebody else\n".repeat(1000);
    writeFileSync(logs.path(), text);
    assertEquals(await codes(), ["logForeign", "logForeign"]);
    assertEquals(readFileSync(logs.path(), "utf8"), text);
    assertEquals(readdirSync(logs.folder), ["a.log"]);
  });

  it("refuses another program's database", async () => {
    alter("create table notes (id integer primary key)");
    assertEquals(await codes(), ["logForeign", "logForeign"]);
    alter("pragma application_id = 7; pragma journal_mode = wal");
    assertEquals(await codes(), ["logForeign", "logForeign"]);
    assertEquals(readdirSync(logs.folder), ["a.log"]);
  });

  it("refuses a newer format and names both", async () => {
    await made();
    alter("pragma user_version = 99");
    assertEquals(await codes(), ["logNewer", "logNewer"]);
    const error = await failure(logs.open());
    assertEquals([error.expected, error.actual], [1, 99]);
  });

  it("refuses a log without a format number", async () => {
    await made();
    alter("pragma user_version = 0");
    assertEquals(await codes(), ["logDamaged", "logDamaged"]);
  });

  it("refuses a log that was cut off", async () => {
    await made(500);
    const size = statSync(logs.path()).size;
    truncateSync(logs.path(), size - 16 * 1024);
    assertEquals(await codes(), ["logDamaged", "logDamaged"]);
  });

  it("refuses a log whose pages were overwritten", async () => {
    await made(500);
    const bytes = readFileSync(logs.path());
    bytes.fill(0xa5, 16 * 1024);
    writeFileSync(logs.path(), bytes);
    assertEquals(await codes(), ["logDamaged", "logDamaged"]);
  });

  it("refuses a log with a missing table, name or token", async () => {
    await made();
    alter("alter table commands rename to orders");
    assertEquals(await codes(), ["logDamaged", "logDamaged"]);
    alter(
      "alter table orders rename to commands; update meta set value = '' where name = 'log_id'",
    );
    assertEquals(await codes(), ["logDamaged", "logDamaged"]);
  });

  it("refuses a log whose last events have a hole", async () => {
    await made(10);
    alter("drop trigger events_no_delete; delete from events where position = 8");
    const error = await failure(logs.open({ readOnly: true }));
    assertEquals([error.code, error.actual], ["logDamaged", 8]);
    assertEquals((await failure(logs.open())).code, "logDamaged");
  });

  it("frees the writer's token when opening fails", async () => {
    await made();
    alter("pragma user_version = 99");
    await failure(logs.open());
    alter("pragma user_version = 1");
    assertEquals((await logs.open()).token, 2);
  });

  it("refuses a second writer of this process, under any name", async () => {
    const backend = await logs.open();
    symlinkSync(logs.path(), logs.path("link.log"));
    assertEquals((await failure(logs.open())).code, "logLocked");
    const error = await failure(logs.open({}, "link.log"));
    assertEquals(error.code, "logLocked");
    assertStringIncludes(error.message, `process ${process.pid}`);
    await backend.commit(batch(backend, records(1, 1)));
    await backend.close();
    assertEquals((await logs.open({}, "link.log")).token, 2);
  });

  it("leaves a quiet log and its folder as they were after reading", async () => {
    await made();
    const before = readdirSync(logs.folder).sort();
    const mtimeMs = statSync(logs.path()).mtimeMs;
    const reader = await logs.open({ readOnly: true });
    assertEquals((await reader.end()).position, 3);
    assertEquals(reader.token, 0);
    await reader.close();
    assertEquals(readdirSync(logs.folder).sort(), before);
    assertEquals(statSync(logs.path()).mtimeMs, mtimeMs);
  });

  itWhen(
    "bun" in process.versions,
    "Deno opens a file as immutable with all permissions only",
    "creates nothing while it reads a quiet log",
    async () => {
      await made();
      const before = readdirSync(logs.folder).sort();
      const reader = await logs.open({ readOnly: true });
      assertEquals((await reader.readPage(WHOLE)).length, 3);
      assertEquals(readdirSync(logs.folder).sort(), before);
    },
  );

  it("refuses to write through a reader", async () => {
    await made();
    const reader = await logs.open({ readOnly: true });
    assertEquals((await failure(reader.commit(batch(reader, records(4, 4))))).code, "logReadOnly");
    assertEquals((await failure(reader.putCursor("p", 1))).code, "logReadOnly");
    const row = { name: "p", foldVersion: 1, position: 1, state: null };
    assertEquals((await failure(reader.putSnapshot(row))).code, "logReadOnly");
    assertEquals([await reader.releaseReserve(), await reader.restoreReserve()], [false, false]);
  });

  it("refuses a link that leads to itself", async () => {
    symlinkSync(logs.path(), logs.path());
    assertEquals(await codes(), ["logUnreadable", "logUnreadable"]);
  });

  itWhen(!isRoot, "root may read everything", "refuses a file without permission", async () => {
    await made();
    chmodSync(logs.path(), 0);
    assertEquals(await codes(), ["logUnreadable", "logUnreadable"]);
    chmodSync(logs.path(), 0o600);
  });

  it("closes twice, and refuses to be used afterwards", async () => {
    const backend = await logs.open();
    await backend.close();
    await backend.close();
    assertEquals((await failure(backend.end())).code, "logClosed");
    assertEquals((await failure(backend.commit(batch(backend, records(1, 1))))).code, "logClosed");
    assertEquals(existsSync(`${logs.path()}-wal`), false, "closing writes the WAL back");
  });
});
