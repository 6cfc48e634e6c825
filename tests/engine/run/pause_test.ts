import { assertEquals } from "@std/assert";
import { beforeEach, describe, it } from "@std/testing/bdd";
import type { Job } from "../../../engine/run/mod.ts";
import type { ToyScript } from "../../support/toy_drivers.ts";
import { World } from "../../support/world.ts";

const SLOW: ToyScript = { steps: 5, sleepMs: 60_000 };

let world: World;

beforeEach(async () => {
  world = await World.open();
});

function where(job: Job): readonly unknown[] {
  return [job.state.status, job.state.progress.current];
}

describe("Job.pause", () => {
  it("wakes a sleeper, and what was left of the sleep is dropped", async () => {
    const job = await world.start("j", SLOW);
    assertEquals(where(job), ["running", 100]);
    await world.done(job.pause());
    assertEquals([...where(job), world.ports.timerCount], ["paused", 100, 0]);
    await world.done(job.resume());
    assertEquals([...where(job), world.ports.timerCount], ["running", 200, 1]);
  });

  it("takes effect before the first instruction", async () => {
    world.toys.hold("j", "open");
    const started = world.joblog.create({ type: "toy", id: "j", parameters: { name: "j" } });
    world.toys.release("j", "open");
    const job = await world.done(started);
    await world.done(job.pause());
    await world.done(job.start());
    assertEquals([job.state.status, world.toys.callsOf("j")], ["paused", ["open", "pause"]]);
    await world.done(job.resume());
    assertEquals(job.state.ret, 0);
  });

  it("is withdrawn while driver.pause runs: resume is called and no status changes", async () => {
    const job = await world.start("j", SLOW);
    world.toys.hold("j", "pause");
    await world.done(job.pause());
    await world.done(job.resume());
    world.toys.release("j", "pause");
    await world.ports.settle();
    assertEquals(where(job), ["running", 200]);
    assertEquals(world.toys.callsOf("j").slice(2), ["pause", "userResume", "resume"]);
    assertEquals(await world.sent(), ["j created", "j running"]);
  });

  it("gives way to a force cancel while driver.pause runs", async () => {
    const job = await world.start("j", SLOW, { autoDismiss: false });
    world.toys.hold("j", "pause");
    await world.done(job.pause());
    await world.done(job.cancel());
    world.toys.release("j", "pause");
    await world.ports.settle();
    assertEquals(await world.sent(2), ["j aborting", "j CANCELLED", "j concluded"]);
  });

  it("counts reasons: an internal pause outlasts the user's resume", async () => {
    const job = await world.start("j", SLOW);
    const signal = internal(job);
    await signal("pauseRequested");
    assertEquals(job.state.status, "paused");
    assertEquals(await world.refusal(job.resume()), "Can't resume a job that was not paused");
    await world.done(job.pause());
    assertEquals(await world.refusal(job.pause()), "Job is already paused");
    await world.done(job.resume());
    assertEquals([job.state.status, job.state.pauseCount], ["paused", 1]);
    await signal("resumeRequested");
    assertEquals([job.state.status, job.state.pauseCount], ["running", 0]);
  });

  it("is kept by cancel only as far as it is not the user's", async () => {
    const job = await world.start("j", SLOW, { autoDismiss: false });
    await internal(job)("pauseRequested");
    await world.done(job.pause());
    await world.done(job.cancel());
    assertEquals([job.state.status, job.state.pauseCount], ["concluded", 1]);
    assertEquals(await world.sent(2), [
      ...["j paused", "j running", "j aborting", "j CANCELLED", "j concluded"],
    ]);
  });

  it("and a resume at once leave the job running, however they meet its pause point", async () => {
    const job = await world.start("j", { steps: 3, sleepMs: 10 });
    for (let count = 0; count < 3; count++) {
      const both = Promise.all([job.pause(), job.resume()]);
      await world.done(both);
      assertEquals([job.state.isUserPaused, job.state.pauseCount], [false, 0]);
    }
    await world.ports.runTimers();
    assertEquals(job.state.ret, 0);
  });

  it("of a softly cancelled job is honoured", async () => {
    const job = await world.start("j", { ready: true, has: ["complete"] }, { autoDismiss: false });
    world.toys.hold("j", "resume");
    await world.done(job.pause());
    await world.done(job.resume());
    await world.done(job.cancel({ force: false }));
    await world.done(job.pause());
    world.toys.release("j", "resume");
    await world.ports.settle();
    assertEquals(job.state.status, "standby");
    assertEquals(
      await world.refusal(job.cancel({ force: false })),
      "The block job for device 'j' is currently paused",
    );
    await world.done(job.resume());
    assertEquals([job.state.status, job.state.outcome], ["concluded", "completed"]);
  });

  /** What a drain would ask of a job. */
  function internal(job: Job): (kind: "pauseRequested" | "resumeRequested") => Promise<void> {
    return async (kind) => {
      const engine = world.engine;
      const entry = engine.ledger.entryOfRun(job.runId)!;
      const signal = kind === "pauseRequested" ? { kind, by: "internal" } as const : { kind };
      await world.done(engine.signal(entry, job.runId, signal));
    };
  }
});

describe("DriverContext.errorAction", () => {
  const failing = (policy: "stop" | "enospc" | "report" | "ignore" | "auto", errno = "EIO") => ({
    steps: 3,
    errors: [{ at: 1, policy, errno, operation: "write" as const }],
  });

  it("stop pauses with io-status failed, and resume retries", async () => {
    const job = await world.start("j", failing("stop"), { autoDismiss: false });
    assertEquals([...where(job), job.state.ioStatus], ["paused", 100, "failed"]);
    assertEquals(await world.sent(2), ["j ERROR write stop", "j paused"]);
    assertEquals(await world.refusal(job.pause()), "Job is already paused");
    await world.done(job.resume());
    assertEquals([job.state.ret, job.state.ioStatus, job.state.progress.current], [0, "ok", 300]);
  });

  it("enospc and auto stop for ENOSPC with io-status nospace, and report others", async () => {
    for (const policy of ["enospc", "auto"] as const) {
      const job = await world.start(policy, failing(policy, "ENOSPC"));
      assertEquals([job.state.status, job.state.ioStatus], ["paused", "nospace"]);
      await world.done(job.cancel());
      const other = await world.start(`${policy}2`, failing(policy), { autoDismiss: false });
      assertEquals([other.state.ret, other.state.ioStatus], [-5, "ok"]);
    }
  });

  it("report fails the job and leaves io-status ok, ignore goes on", async () => {
    const job = await world.start("j", failing("report"), { autoDismiss: false });
    assertEquals([job.state.ret, job.state.ioStatus], [-5, "ok"]);
    assertEquals(await world.sent(2), [
      ...["j ERROR write report", "j aborting", "j COMPLETED: Input/output error", "j concluded"],
    ]);
    const ignoring = await world.start("k", failing("ignore"), { autoDismiss: false });
    assertEquals([ignoring.state.ret, ignoring.state.ioStatus], [0, "ok"]);
  });

  it("a lasting error pauses again after each resume, until a cancel", async () => {
    const errors = [{ at: 1, policy: "stop" as const, errno: "EIO", times: 9 }];
    const job = await world.start("j", { steps: 3, errors }, { autoDismiss: false });
    for (let count = 0; count < 2; count++) await world.done(job.resume());
    assertEquals(await world.sent(2), [
      ...["j ERROR read stop", "j paused", "j running", "j ERROR read stop", "j paused"],
      ...["j running", "j ERROR read stop", "j paused"],
    ]);
    await world.done(job.cancel());
    assertEquals([job.state.outcome, job.state.ioStatus], ["cancelled", "ok"]);
    assertEquals((await world.sent()).slice(-4), [
      ...["j running", "j aborting", "j CANCELLED", "j concluded"],
    ]);
  });

  it("stop in ready means standby", async () => {
    const job = await world.start("j", { ready: true });
    const context = world.toys.contexts.get("j")!;
    await world.done(context.errorAction("stop", "write", { code: "EIO" }));
    assertEquals([job.state.status, job.state.ioStatus], ["standby", "failed"]);
  });
});

describe("Job.setSpeed", () => {
  const CHUNKS: ToyScript = { steps: 3, unit: 524_288 };

  it("64 KiB/s: a chunk of 512 KiB is followed by 8.0007 s", async () => {
    const job = await world.start("j", CHUNKS, { speed: 65_536 });
    assertEquals(where(job), ["running", 524_288]);
    await world.ports.advance(8_000);
    assertEquals(job.state.progress.current, 524_288);
    await world.ports.advance(1);
    assertEquals(job.state.progress.current, 2 * 524_288);
  });

  it("raised or unlimited wakes the sleeper, lowered does not", async () => {
    const job = await world.start("j", CHUNKS, { speed: 65_536 });
    await world.done(job.setSpeed(1_000));
    assertEquals(where(job), ["running", 524_288]);
    await world.done(job.setSpeed(2_000));
    assertEquals(where(job), ["running", 2 * 524_288]);
    await world.done(job.setSpeed(0));
    assertEquals([job.state.ret, job.state.progress.current], [0, 3 * 524_288]);
    assertEquals(world.toys.callsOf("j").filter((call) => call.startsWith("setSpeed")), [
      ...["setSpeed 1000", "setSpeed 2000", "setSpeed 0"],
    ]);
  });

  it("is refused below 0, and while pending by the table", async () => {
    const job = await world.start("j", {}, { autoFinalize: false });
    assertEquals(
      await world.refusal(job.setSpeed(5)),
      "Job 'j' in state 'pending' cannot accept command verb 'set-speed'",
    );
    const running = await world.start("k", CHUNKS, { speed: 1 });
    assertEquals(
      await world.refusal(running.setSpeed(-1)),
      "Parameter 'speed' expects a non-negative value",
    );
  });
});
