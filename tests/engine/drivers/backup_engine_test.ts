import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import type { RecordedEvent } from "../../../events/log/event.ts";
import { type Joblog, JoblogError, openJoblog } from "../../../mod.ts";
import { noise } from "../../support/images.ts";
import { BackupBed } from "./backup_bed.ts";

const MIB = 1_048_576;
const PARAMETERS = { source: "source.raw", target: "target.raw" };

let bed: BackupBed;
let joblog: Joblog;
const open = () => openJoblog({ path: bed.folder.file("jobs.db"), baseFolder: bed.folder.path });
beforeEach(async () => {
  bed = new BackupBed();
  bed.folder.sparse("source.raw", 24 * MIB + 7, [[0, 5 * MIB], [9 * MIB, 8 * MIB]]);
  joblog = await open();
});
afterEach(async () => {
  await joblog.close({ jobs: "cancel" });
  bed.folder.remove();
});

async function eventsOf(runId: string): Promise<RecordedEvent[]> {
  const events: RecordedEvent[] = [];
  for await (const event of joblog.reader.readStream(`job-${runId}`)) events.push(event);
  return events;
}

describe("backup in the engine", () => {
  it("copies, and its steps in the log cover the image once", async () => {
    const job = await joblog.start({ type: "backup", id: "b", parameters: PARAMETERS });
    const end = await job.done;
    assertEquals([end.ret, end.progress.current, end.progress.total], [
      0,
      24 * MIB + 65_536,
      24 * MIB + 65_536,
    ]);
    assert(bed.isEqual);
    const steps = (await eventsOf(job.runId)).filter(({ type }) => type === "StepTaken");
    let at = 0;
    for (const { data } of steps) {
      assertEquals(data["offset"], at);
      at += Number(data["length"]);
    }
    assertEquals(at, 24 * MIB + 7);
  });

  it("is refused with the driver's own hint, and on record without it", async () => {
    const cases = [
      [
        { source: "nope", target: "t" },
        "Check the path, and which folder a relative one starts at.",
      ],
      [{ ...PARAMETERS, "max-chunk": 1 }, "Give 65536 or more, or 0 for no limit."],
    ] as const;
    for (const [parameters, hint] of cases) {
      const request = { type: "backup", id: "b", parameters };
      const error = await assertRejects(() => joblog.start(request), JoblogError);
      assertEquals(error.hint, hint);
    }
    const refused = { types: ["VerbRefused"] };
    for await (const { data } of joblog.reader.readAll(refused)) assert(!("hint" in data));
  });

  it("pauses, resumes and ends with equal bytes", async () => {
    const request = { type: "backup", id: "b", speed: MIB, parameters: PARAMETERS };
    const job = await joblog.start(request);
    await joblog.verb("b", "pause");
    const paused = await job.until(({ status }) => status === "paused");
    assert(paused.progress.current < 24 * MIB);
    await joblog.verb("b", "set-speed", { speed: 0 });
    await joblog.verb("b", "resume");
    assertEquals((await job.done).ret, 0);
    assert(bed.isEqual);
  });

  it("a cancel ends it at once and leaves the partial target", async () => {
    const request = { type: "backup", id: "b", speed: MIB, parameters: PARAMETERS };
    const job = await joblog.start(request);
    await job.until(({ progress }) => progress.current > 0);
    await joblog.verb("b", "cancel");
    assertEquals((await job.done).error?.errno, "ECANCELED");
    assertEquals(bed.folder.read("target.raw").byteLength, 24 * MIB + 7);
  });

  it("goes on from its checkpoint after its process closed", async () => {
    bed.folder.write("source.raw", noise(24 * MIB + 7));
    const request = { type: "backup", id: "b", speed: 8 * MIB, parameters: PARAMETERS };
    const { runId } = await joblog.start(request);
    await joblog.job("b")!.until(({ progress }) => progress.current >= 2 * MIB);
    await joblog.close();
    joblog = await open();
    const job = joblog.job("b")!;
    assertEquals(job.runId, runId);
    await joblog.verb("b", "set-speed", { speed: 0 });
    const end = await job.done;
    assertEquals([end.ret, end.progress.current], [0, 24 * MIB + 65_536]);
    assert(bed.isEqual);
    const events = await eventsOf(runId);
    const types = events.map(({ type }) => type);
    const parkedAt = types.indexOf("JobParked");
    const taken = events[types.lastIndexOf("CheckpointTaken", parkedAt)];
    assertEquals(parkedAt > 0 && taken !== undefined, true);
    const { offset } = taken?.data["resumeFrom"] as { offset: number };
    assert(offset >= 2 * MIB);
    const steps = events.filter(({ type }) => type === "StepTaken");
    assertEquals(steps.reduce((sum, { data }) => sum + Number(data["length"]), 0), 24 * MIB + 7);
  });

  it("refuses the same file as source and target", async () => {
    const parameters = { source: "source.raw", target: "./source.raw" };
    const act = () => joblog.start({ type: "backup", id: "b", parameters });
    await assertRejects(act, Error, "Source and target cannot be the same");
    assertEquals(joblog.jobs().length, 0);
  });

  it("refuses a target that another job uses, until that one is over", async () => {
    bed.folder.sparse("other.raw", 24 * MIB + 7, [[0, MIB]]);
    const start = (id: string, parameters: { source: string; target: string; mode?: string }) =>
      joblog.start({ type: "backup", id, speed: MIB, parameters });
    const busy = async (act: () => Promise<unknown>) =>
      assert(/^Node '.*' is busy: /.test((await assertRejects(act, Error)).message));
    const both = { source: "source.raw", target: "both.raw" };
    const pair = ["a", "b"].map((id) => ({ type: "backup", id, parameters: both }));
    await busy(() => joblog.transaction(pair, { completionMode: "grouped" }));
    const job = await start("a", PARAMETERS);
    await job.until(({ progress }) => progress.current > 0);
    await busy(() => start("b", { source: "other.raw", target: "target.raw", mode: "existing" }));
    await busy(() => start("b", { source: "other.raw", target: "source.raw", mode: "existing" }));
    await busy(() => start("b", { source: "target.raw", target: "copy.raw" }));
    const reader = await start("b", { source: "source.raw", target: "copy.raw" });
    await Promise.all([reader.cancel(), job.cancel()]);
    await Promise.all([reader.done, job.done]);
    const back = { source: "target.raw", target: "source.raw", mode: "existing" };
    const restore = await start("b", back);
    await joblog.verb("b", "set-speed", { speed: 0 });
    assertEquals((await restore.done).ret, 0);
  });
});
