import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { Buffer } from "node:buffer";
import { CliFolder } from "./cli_process.ts";

const MIB = 1_048_576;
let at: CliFolder;

function image(name: string, bytes: number): void {
  const data = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i += 512) data[i] = i / 512 % 251 + 1;
  writeFileSync(at.path(name), data);
}

function sameBytes(one: string, other: string): boolean {
  return Buffer.compare(readFileSync(at.path(one)), readFileSync(at.path(other))) === 0;
}

function slowBackup(...more: readonly string[]) {
  const files = ["--source", "a.raw", "--target", "b.raw"];
  return at.start("run", "backup", "--id", "b0", "--speed", "512K", ...files, ...more);
}

/** Looks until the job is as it should be; each look is a process of its own. */
async function until(status: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if ((await at.json("job", "b0")).job.status === status) return;
  }
  throw new Error(`b0 never was ${status}`);
}

describe("joblog run", () => {
  beforeEach(() => {
    at = new CliFolder();
    image("a.raw", 8 * MIB);
  });
  afterEach(() => at.remove());

  it("--version tells its own version and that of its runtime", async () => {
    const { status, out } = await at.run("--version");
    assertEquals(status, 0);
    assert(/^joblog \d+\.\d+\.\d+ on (deno|bun) \d+\.\d+\.\d+\n$/.test(out), out);
  });

  it("backs an image up, says so, and ends with 0", async () => {
    const { status, out } = await at.run("run", "backup", "--source", "a.raw", "--target", "b.raw");
    assertEquals(status, 0);
    assert(out.includes("backup0 completed: 100.0 %"), out);
    assert(sameBytes("a.raw", "b.raw"));
    assertEquals((await at.json("jobs")).jobs, []);
    const { jobs } = await at.json("jobs", "--all");
    assertEquals([jobs[0].id, jobs[0].status, jobs[0].outcome], ["backup0", "null", "completed"]);
    const verified = await at.run("verify");
    assertEquals(verified.status, 0);
    assert(verified.out.startsWith("the log is valid: "), verified.out);
  });

  it("is paused, resumed, set to another speed and finalized from another process", async () => {
    const run = slowBackup("--manual-finalize");
    await run.until("b0: running");
    const paused = await at.json("pause", "b0");
    assertEquals(paused.writer.isAlive, true);
    await until("paused");
    const { job, writer } = await at.json("job", "b0");
    assertEquals([writer.isRunning, job.verbs.includes("resume")], [true, true]);
    await run.until("b0 is paused: a pause was asked for, because ");
    assertEquals((await at.run("pause", "b0")).status, 3);
    assertEquals((await at.run("finalize", "b0")).status, 3);
    await at.json("resume", "b0");
    await at.json("set-speed", "b0", "0");
    await until("pending");
    assertEquals((await at.run("finalize", "b0")).status, 0);
    assertEquals((await run.ended).status, 0);
    assert(sameBytes("a.raw", "b.raw"));
    const { events } = { events: (await at.run("--json", "events", "--type", "VerbAccepted")).out };
    const verbs = events.trim().split("\n").map((line) => JSON.parse(line).data.verb);
    assertEquals(verbs, ["create", "pause", "resume", "set-speed", "finalize"]);
  });

  it("hands a job to the process that writes the log, and watches it", async () => {
    const first = slowBackup();
    await first.until("b0: running");
    const files = ["--source", "a.raw", "--target", "c.raw"];
    const second = await at.run("run", "backup", "--id", "b1", "--speed", "4M", ...files);
    assertEquals(second.status, 0);
    assert(sameBytes("a.raw", "c.raw"));
    const { job } = await at.json("job", "b0");
    assertEquals(job.status, "running");
    await first.until("b1: completed, 100.0 %");
    await at.json("set-speed", "b0", "0");
    assertEquals((await first.ended).status, 0);
  });

  it("mirrors until another process completes the job", async () => {
    const files = ["--source", "a.raw", "--target", "b.qcow2", "--format", "qcow2"];
    const run = at.start("run", "mirror", ...files, "--copy-mode", "write-blocking");
    await run.until("mirror0: ready");
    const { job } = await at.json("complete", "mirror0");
    assertEquals(job.parameters["copy-mode"], "write-blocking");
    const { status, out } = await run.ended;
    assertEquals([status, out.includes("mirror0 completed")], [0, true]);
  });

  it("streams and commits chains of files", async () => {
    const make = (name: string, below: string, format: string) =>
      at.run("image", "create", name, "8M", "--backing", below, "--backing-format", format);
    for (
      const [name, below, format] of [["m.qcow2", "a.raw", "raw"], [
        "t.qcow2",
        "m.qcow2",
        "qcow2",
      ]] as const
    ) {
      assertEquals((await make(name, below, format)).status, 0);
    }
    const inner = await at.run(
      "run",
      "commit",
      "--device",
      "t.qcow2",
      "--top",
      "m.qcow2",
      "--speed",
      "1G",
    );
    assertEquals([inner.status, inner.out.includes("commit0 completed")], [0, true], inner.err);
    const whole = await at.run("run", "stream", "--device", "t.qcow2", "--on-error", "stop");
    assertEquals([whole.status, whole.out.includes("stream0 completed")], [0, true], whole.err);
    const refused = await at.run("run", "stream", "--device", "t.qcow2", "--base", "m.qcow2");
    assertEquals(refused.status, 3);
    assert(refused.err.includes("in the backing chain"), refused.err);
    assertEquals((await at.run("image", "compare", "a.raw", "t.qcow2")).status, 0);
  });

  it("parks at Ctrl-C with 130, takes verbs idly, and goes on with --resume", async () => {
    const run = slowBackup();
    await run.until("b0: running");
    run.signal("SIGINT");
    const { status, err } = await run.ended;
    assertEquals(status, 130);
    assert(err.includes("b0 is parked at"), err);
    assert(err.includes("run --resume"), err);
    const { out } = await at.run("jobs");
    assert(out.includes("running (no process runs this job since 20"), out);
    const { writer: before } = await at.json("jobs");
    const { job, writer } = await at.json("set-speed", "b0", "0");
    assertEquals([job.status, job.speed, writer.isAlive], ["running", 0, false]);
    assertEquals((await at.json("jobs")).writer.since, before.since);
    const resumed = await at.run("run", "--resume");
    assertEquals([resumed.status, sameBytes("a.raw", "b.raw")], [0, true]);
    assertEquals((await at.run("run", "--resume")).err, "nothing to go on with\n");
  });

  it("killed, leaves a job that verbs still reach and that the next process finishes", async () => {
    const run = slowBackup();
    await run.until("b0: running");
    run.signal("SIGKILL");
    assertEquals((await run.ended).status, "SIGKILL");
    const { writer } = await at.json("job", "b0");
    assertEquals([writer.isAlive, writer.since > 0], [false, true]);
    assertEquals((await at.run("pause", "b0")).status, 0);
    assertEquals((await at.json("job", "b0")).writer.since, writer.since);
    assertEquals((await at.run("resume", "b0")).status, 0);
    assertEquals((await at.run("set-speed", "b0", "0")).status, 0);
    assertEquals((await at.run("verify")).status, 0);
    assertEquals((await at.run("run", "--resume")).status, 0);
    assert(sameBytes("a.raw", "b.raw"));
  });

  it("serves its socket to its own user only, and removes it", async () => {
    const run = slowBackup();
    await run.until("b0: running");
    assertEquals(statSync(at.path("jobs.db.api")).mode & 0o777, 0o700);
    assertEquals(statSync(at.path("jobs.db.api/sock")).mode & 0o777, 0o600);
    assertEquals((await at.run("cancel", "b0")).status, 0);
    const { status, out } = await run.ended;
    assertEquals([status, out.includes("b0 cancelled: ")], [1, true]);
    assertEquals(statSync(at.path("jobs.db.api/sock"), { throwIfNoEntry: false }), undefined);
  });

  it("shows the past, the reasons and the log", async () => {
    const run = slowBackup("--manual-dismiss");
    await run.until("b0: running");
    await at.json("pause", "b0");
    await until("paused");
    const { position } = await at.json("job", "b0");
    await at.json("resume", "b0");
    await at.json("set-speed", "b0", "0");
    assertEquals((await run.ended).status, 0);
    assertEquals((await at.json("job", "b0")).job.status, "concluded");
    assertEquals((await at.json("job", "b0", "--at", `${position}`)).job.status, "paused");
    const then = await at.run("job", "b0", "--at", `${position}`);
    assert(/^status +paused$/m.test(then.out) && !/^writer/m.test(then.out), then.out);
    const replayed = await at.json("replay", "--at", `${position}`);
    assertEquals([replayed.position, replayed.jobs[0].status], [position, "paused"]);
    const timeline = await at.run("timeline", "b0");
    for (const word of ["created", "paused", "concluded", 'asked for "pause" over cli']) {
      assert(timeline.out.includes(word), word);
    }
    const why = await at.json("why", "b0", "status");
    assertEquals([why.value, why.event.type], ["concluded", "JobConcluded"]);
    const { job } = await at.json("job", "b0");
    const txn = await at.json("txn", job.txnId);
    assertEquals([txn.txn.isGroup, txn.txn.convergence.phase], [false, "concluded"]);
    const log = await at.json("log");
    const { status } = await at.run("verify", "--size", `${log.position}`, "--root", log.root);
    assertEquals(status, 0);
    assertEquals((await at.run("verify", "--root", "0".repeat(64))).status, 1);
    assertEquals((await at.json("dismiss", "b0")).job, null);
  });
});

describe("joblog serve and events", () => {
  beforeEach(() => {
    at = new CliFolder();
    image("a.raw", MIB);
  });
  afterEach(() => at.remove());

  it("serves HTTP until SIGTERM, and shows to a follower what happens", async () => {
    const server = at.start("--json", "serve", "--port", "0");
    await server.until("\n");
    const { url } = JSON.parse(server.out.split("\n")[0]!);
    const follower = at.start("--json", "events", "--follow", "--type", "JobCreated,JobDismissed");
    const made = await fetch(`${url}/v1/jobs`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        type: "backup",
        id: "b0",
        parameters: { source: at.path("a.raw"), target: at.path("b.raw") },
      }),
    });
    assertEquals(made.status, 201);
    await made.body?.cancel();
    await follower.until("JobDismissed");
    const types = follower.out.trim().split("\n").map((line) => JSON.parse(line).type);
    assertEquals(types, ["JobCreated", "JobDismissed"]);
    follower.signal("SIGINT");
    assertEquals((await follower.ended).status, 0);
    const second = await at.run("--json", "serve", "--port", "0");
    assertEquals([second.status, JSON.parse(second.err).error.code], [5, "logLocked"]);
    assertEquals((await at.json("log")).writer.isRunning, true);
    server.signal("SIGTERM");
    assertEquals((await server.ended).status, 0);
    assertEquals((await at.json("log")).writer.isAlive, false);
    assert(sameBytes("a.raw", "b.raw"));
  });

  it("prints events from a position on, of a type, of a job, at most so many", async () => {
    await at.run("run", "backup", "--source", "a.raw", "--target", "b.raw");
    const positions = async (...args: string[]) => {
      const { out } = await at.run("--json", "events", ...args);
      return out.trim().split("\n").map((line) => JSON.parse(line).position);
    };
    assertEquals(await positions("--from", "2", "--limit", "2"), [2, 3]);
    assertEquals(await positions("--type", "EngineOpened"), [1]);
    assertEquals((await positions("--job", "backup0"))[0], 2);
    const { out } = await at.run("events", "--limit", "1");
    assert(/^1 {2}20\S+Z {2}EngineOpened {2}engine over engine {2}\{/.test(out), out);
  });
});
