import { assertEquals, assertRejects } from "@std/assert";
import { beforeEach, describe, it } from "@std/testing/bdd";
import type { Job } from "../../../engine/run/mod.ts";
import { JoblogError } from "../../../events/log/mod.ts";
import type { ToyScript } from "../../support/toy_drivers.ts";
import { toy, World } from "../../support/world.ts";

// The cases of QEMU's tests/unit/test-blockjob.c; names as there.

const ECANCELED = -125;
const MANUAL = { autoFinalize: false, autoDismiss: false } as const;
const MIRROR: ToyScript = {
  ready: true,
  has: ["complete", "prepare", "commit", "abort", "clean"],
};

let world: World;

beforeEach(async () => {
  world = await World.open();
});

function statusOf(job: Job): string {
  return job.state.status;
}

describe("blockjob ids", () => {
  it("refuses malformed ids and records no job", async () => {
    for (const id of ["0id", "", "   ", "123", "_id", "-id", ".id", "#id", "a b", "\u00e9"]) {
      const text = await world.refusal(world.joblog.start(toy(id)));
      assertEquals(text, `Invalid job ID '${id}'`);
    }
    assertEquals(await world.sent(), []);
  });

  it("refuses an id in use, also one of a concluded job, until it is dismissed", async () => {
    const job = await world.start("id0", {}, { autoDismiss: false });
    assertEquals(statusOf(job), "concluded");
    await world.start("id1", { hangs: true });
    for (const id of ["id0", "id1"]) {
      const text = await world.refusal(world.joblog.start(toy(id)));
      assertEquals(text, `Job ID '${id}' already in use`);
    }
    await world.done(job.dismiss());
    assertEquals(statusOf(await world.start("id0", { hangs: true })), "running");
  });

  it("refuses a missing id, and makes internal jobs without one", async () => {
    const { id: _, ...request } = toy("x");
    const text = await world.refusal(world.joblog.start(request));
    assertEquals(text, "An explicit job ID is required");
    const job = await world.done(world.joblog.start(toy(null, { hangs: true })));
    assertEquals([statusOf(job), world.joblog.jobs().length], ["running", 0]);
    assertEquals(await world.sent(), []);
    assertEquals(await world.done(job.cancelSync()), ECANCELED);
  });

  it("refuses a negative speed after it took the id", async () => {
    const text = await world.refusal(world.joblog.start(toy("j", {}, { speed: -1 })));
    assertEquals(text, "Parameter 'speed' expects a non-negative value");
    assertEquals(await world.sent(), ["j created", "j null"]);
    assertEquals(world.toys.calls, ["j open", "j close"]);
    assertEquals(world.joblog.jobs(), []);
  });
});

describe("blockjob cancel", () => {
  it("created: is gone at once, without dismiss", async () => {
    const job = await world.done(world.joblog.create(toy("j", MIRROR, MANUAL)));
    assertEquals(statusOf(job), "created");
    assertEquals(await world.done(job.cancelSync()), ECANCELED);
    assertEquals(statusOf(job), "null");
    assertEquals(world.toys.calls, ["j open", "j abort", "j clean", "j close"]);
    assertEquals(await world.sent(), ["j created", "j aborting", "j concluded", "j null"]);
  });

  it("running: concludes", async () => {
    const job = await world.start("j", { ...MIRROR, steps: 9, sleepMs: 10 }, MANUAL);
    assertEquals(statusOf(job), "running");
    await cancelsAndConcludes(job);
  });

  it("paused: ends the pause and concludes", async () => {
    const job = await world.start("j", { ...MIRROR, steps: 9, sleepMs: 10 }, MANUAL);
    await world.done(job.pause());
    assertEquals(statusOf(job), "paused");
    await cancelsAndConcludes(job);
    assertEquals((await world.sent()).slice(3, 5), ["j running", "j aborting"]);
  });

  it("ready: concludes", async () => {
    const job = await world.start("j", MIRROR, MANUAL);
    assertEquals(statusOf(job), "ready");
    await cancelsAndConcludes(job);
  });

  it("standby: concludes through ready", async () => {
    const job = await world.start("j", MIRROR, MANUAL);
    await world.done(job.pause());
    assertEquals(statusOf(job), "standby");
    await cancelsAndConcludes(job);
    assertEquals((await world.sent()).slice(4, 7), ["j standby", "j ready", "j aborting"]);
  });

  it("pending: concludes without finalize", async () => {
    const job = await pendingJob();
    await cancelsAndConcludes(job);
  });

  it("concluded: dismisses", async () => {
    const job = await pendingJob();
    await world.done(job.finalize());
    assertEquals(statusOf(job), "concluded");
    assertEquals(await world.done(job.cancelSync()), 0);
    assertEquals(statusOf(job), "null");
  });

  async function pendingJob(): Promise<Job> {
    const job = await world.start("j", MIRROR, MANUAL);
    assertEquals(await world.done(job.completeSync()), 0);
    assertEquals(statusOf(job), "pending");
    return job;
  }

  async function cancelsAndConcludes(job: Job): Promise<void> {
    assertEquals(await world.done(job.cancelSync()), ECANCELED);
    await world.ports.settle();
    assertEquals(statusOf(job), "concluded");
    const calls = world.toys.calls.filter((call) => !/resume/i.test(call)).slice(-4);
    assertEquals(calls, ["j cancel", "j abort", "j clean", "j close"]);
    assertEquals((await world.sent()).slice(-2), ["j CANCELLED", "j concluded"]);
    await world.done(job.dismiss());
    assertEquals(statusOf(job), "null");
  }
});

describe("blockjob complete_in_standby", () => {
  it("is accepted in standby and takes effect after resume", async () => {
    const job = await world.start("j", MIRROR, MANUAL);
    await world.done(job.pause());
    await world.done(job.complete());
    await world.done(job.complete());
    assertEquals(statusOf(job), "standby");
    await world.done(job.resume());
    assertEquals(statusOf(job), "pending");
    await world.done(job.finalize());
    assertEquals(statusOf(job), "concluded");
    await world.done(job.dismiss());
    assertEquals((await world.sent()).slice(2), [
      ...["j ready", "j READY", "j standby", "j ready", "j waiting", "j pending", "j PENDING"],
      ...["j COMPLETED", "j concluded", "j null"],
    ]);
  });
});

describe("Job return codes", () => {
  it("completeSync gives -EBUSY for a job that cannot be completed", async () => {
    const job = await world.start("j", { hangs: true });
    assertEquals(await world.done(job.completeSync()), -16);
    assertEquals(statusOf(job), "running");
  });

  it("completeSync enters a job in standby until it ends", async () => {
    const job = await world.start("j", MIRROR, { autoDismiss: false });
    await world.done(job.pause());
    assertEquals(await world.done(job.completeSync()), 0);
    assertEquals(statusOf(job), "concluded");
  });

  it("finishSync waits until run has ended, and wakes a paused job until then", async () => {
    const job = await world.start("j", { steps: 3, sleepMs: 60_000 }, MANUAL);
    await world.done(job.pause());
    assertEquals(statusOf(job), "paused");
    assertEquals(await world.done(job.finishSync()), 0);
    assertEquals(statusOf(job), "pending");
  });

  it("finishSync gives the job's own errno", async () => {
    const job = await world.start("j", { steps: 1, sleepMs: 5, fails: "ENOSPC" });
    assertEquals(await world.done(job.finishSync()), -28);
  });

  it("cancelSync of a softly cancelled ready job gives 0", async () => {
    const job = await world.start("j", MIRROR, { autoDismiss: false });
    assertEquals(await world.done(job.cancelSync({ force: false })), 0);
    await world.ports.settle();
    assertEquals([statusOf(job), job.state.outcome], ["concluded", "completed"]);
  });

  it("cancelSync keeps the errno of a run that fails when it is cancelled", async () => {
    const job = await world.start("j", MIRROR, { autoDismiss: false });
    world.toys.hold("j", "resume");
    await world.done(job.pause());
    const result = job.cancelSync();
    assertEquals(await world.isPending(result), true);
    world.toys.release("j", "resume");
    assertEquals(await world.done(result), ECANCELED);
    const failing = await world.start("k", { steps: 2, sleepMs: 9, faults: { resume: "EIO" } });
    await world.done(failing.pause());
    assertEquals(await world.done(failing.cancelSync()), -5);
    assertEquals((await world.sent()).slice(-3), ["k CANCELLED", "k concluded", "k null"]);
  });

  it("finishSync rejects when the engine is closed", async () => {
    const job = await world.start("j", { hangs: true });
    await world.close();
    const error = await assertRejects(() => job.completeSync(), JoblogError);
    assertEquals(error.code, "logClosed");
  });
});
