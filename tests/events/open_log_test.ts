import { assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { at, JoblogError, openLog, readTimeline, verify, why } from "../../events/mod.ts";
import { openEventStore } from "../../events/log/mod.ts";
import { openSqliteLog } from "../../events/store/sqlite/mod.ts";
import { failingGroup, twoBackups } from "./replay/history.ts";

describe("openLog", () => {
  let folder = "";
  beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "joblog-open-"))));
  afterEach(() => rm(folder, { recursive: true }));

  /** Copies a history of the memory store into a file. */
  async function fileOf(path: string, make: typeof twoBackups): Promise<string> {
    const { store: memory } = await make().toLog();
    const file = await openEventStore(await openSqliteLog(path), { clock: { now: () => 1 } });
    for await (const { stream, type, data, metadata } of memory.readAll()) {
      await file.append({ streams: [{ stream, events: [{ type, data, metadata }] }] });
    }
    await file.close();
    return path;
  }

  for (const make of [twoBackups, failingGroup]) {
    it(`reads, explains and verifies a file of ${make.name}`, async () => {
      const log = await openLog(await fileOf(join(folder, "jobs.log"), make));
      const { jobs } = await at(log);
      assertEquals(jobs.every((job) => job.status === "null"), true);
      const report = await verify(log);
      assertEquals([report.faults, report.size], [[], (await log.end()).position]);
      assertEquals(report.checked.jobs, jobs.length);
      const { runId } = jobs[0]!;
      assertEquals((await readTimeline(log, runId))?.entries.at(-1)?.status, "null");
      assertEquals((await why(log, { runId }, "status"))?.value, "null");
      await log.close();
    });
  }

  it("gives a reader and no writer", async () => {
    const log = await openLog(await fileOf(join(folder, "jobs.log"), twoBackups));
    assertEquals("append" in log, false);
    await log.close();
  });

  it("refuses a file that is missing or no log", async () => {
    const missing = await assertRejects(() => openLog(join(folder, "missing")), JoblogError);
    assertEquals((missing as JoblogError).code, "logUnreadable");
    await writeFile(join(folder, "text"), "no log at all, but long enough to look at".repeat(50));
    const foreign = await assertRejects(() => openLog(join(folder, "text")), JoblogError);
    assertEquals((foreign as JoblogError).code, "logForeign");
  });
});
