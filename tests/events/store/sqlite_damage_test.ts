import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { FOLD_VERSION } from "../../../events/job/mod.ts";
import { openLog } from "../../../events/mod.ts";
import { ENGINE_SNAPSHOT, verify, type VerifyReport } from "../../../events/replay/mod.ts";
import { defineDriver, type Joblog, openJoblog } from "../../../mod.ts";
import { LogFolder } from "./log_folder.ts";

/** Waits to be finalized, so that the engine's snapshot has something to hold. */
const waiter = defineDriver({
  type: "waiter",
  summary: "does nothing",
  isResumable: true,
  parameters: (input) => input,
  open: () => ({ run: () => Promise.resolve() }),
});

describe("a log whose derived rows were damaged", () => {
  let folder: LogFolder;

  const open = (): Promise<Joblog> => openJoblog({ path: folder.path(), drivers: [waiter] });

  beforeEach(async () => {
    folder = new LogFolder();
    const joblog = await open();
    const context = { idempotencyKey: "once" };
    await joblog.start({ type: "waiter", id: "held", autoFinalize: false }, context);
    await joblog.job("held")!.until(({ status }) => status === "pending");
    await joblog.close();
  });

  afterEach(() => folder.remove());

  function change(sql: string): void {
    const db = new DatabaseSync(folder.path());
    const triggers = db.prepare("select name from sqlite_master where type = 'trigger'").all();
    for (const { name } of triggers) db.exec(`drop trigger "${name}"`);
    db.exec(sql);
    db.close();
  }

  async function report(): Promise<VerifyReport> {
    const log = await openLog(folder.path());
    try {
      return await verify(log);
    } finally {
      await log.close();
    }
  }

  it("verify accepts it before", async () => {
    assertEquals((await report()).faults, []);
  });

  for (const column of ["first_position", "last_position"]) {
    it(`verify locates a changed ${column} of a command`, async () => {
      change(`update commands set ${column} = ${column} + 1`);
      const { first } = await report();
      assertEquals([first?.kind, first?.position], ["command", 2]);
      assertStringIncludes(first?.text ?? "", 'the index entry of command "key:');
    });
  }

  it("verify locates a command that the index has lost", async () => {
    change("delete from commands");
    const { first } = await report();
    assertEquals([first?.kind, first?.position, first?.found], ["command", 2, "none"]);
  });

  it("verify finds an index that lacks a row, which only the store can see", async () => {
    const sql = "select rootpage, sql from sqlite_master where name = 'events_by_type'";
    const db = new DatabaseSync(folder.path());
    const { rootpage } = db.prepare(sql).get() as { readonly rootpage: number };
    const [{ page_size: size }] = db.prepare("pragma page_size").all() as [{ page_size: number }];
    db.close();
    // Byte 3 and 4 of an index page are the number of its entries.
    const file = openSync(folder.path(), "r+");
    const count = new Uint8Array(2);
    readSync(file, count, 0, 2, (rootpage - 1) * size + 3);
    writeSync(file, new Uint8Array([count[0]!, count[1]! - 1]), 0, 2, (rootpage - 1) * size + 3);
    closeSync(file);
    const { first, faults } = await report();
    assertEquals([first?.kind, first?.position], ["store", 0]);
    assert(faults.some(({ text }) => text.includes("events_by_type")), first?.text);
  });

  it("verify locates a snapshot that is no JSON any more", async () => {
    change("update snapshots set state = substr(state, 2)");
    const { first, size } = await report();
    assertEquals([first?.kind, first?.position], ["snapshot", size]);
  });

  it("openJoblog folds from zero when the engine's snapshot is no JSON any more", async () => {
    change("update snapshots set state = substr(state, 2)");
    const joblog = await open();
    try {
      const row = await joblog.reader.snapshot(ENGINE_SNAPSHOT, FOLD_VERSION);
      assertEquals(row?.state, null);
      assertEquals(joblog.job("held")?.state.status, "pending");
    } finally {
      await joblog.close();
    }
  });

  it("cursor is gone when its state is no JSON any more", async () => {
    change("insert into cursors values ('view', 2, '{\"a\"'), ('bare', 2, null)");
    const log = await openLog(folder.path());
    try {
      assertEquals(await log.cursor("view"), undefined);
      assertEquals(await log.cursor("bare"), { position: 2, state: undefined });
    } finally {
      await log.close();
    }
  });
});
