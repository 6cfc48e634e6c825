import { assertEquals } from "@std/assert";
import { beforeEach, describe, it } from "@std/testing/bdd";
import { initialQmp, qmpEventsOf } from "../../../events/views/wire/mod.ts";
import type { ToyScript } from "../../support/toy_drivers.ts";
import { toy, World } from "../../support/world.ts";

const MIRROR: ToyScript = { ready: true, has: ["complete", "prepare", "abort"] };
const SLOW: ToyScript = { steps: 100, sleepMs: 10 };
const MANUAL = { autoFinalize: false, autoDismiss: false } as const;

let world: World;

beforeEach(async () => {
  world = await World.open();
});

async function refuses(verbs: readonly string[], status: string): Promise<void> {
  for (const verb of verbs) {
    assertEquals(
      await world.refusal(world.joblog.verb("j", verb as "pause")),
      `Job 'j' in state '${status}' cannot accept command verb '${verb}'`,
    );
  }
}

describe("Job lifecycle", () => {
  it("refuses finalize, dismiss and complete while running", async () => {
    await world.start("j", SLOW);
    await refuses(["finalize", "dismiss", "complete"], "running");
    assertEquals(await world.sent(), ["j created", "j running"]);
  });

  it("holds its progress while paused, and goes on after resume", async () => {
    const job = await world.start("j", SLOW);
    await world.ports.advance(95);
    await world.done(job.pause());
    const { current } = job.state.progress;
    await world.ports.advance(500);
    assertEquals([job.state.status, job.state.progress.current], ["paused", current]);
    await world.done(job.resume());
    await world.ports.advance(50);
    assertEquals(job.state.progress.current > current, true);
    await world.ports.runTimers();
    assertEquals(job.state.ret, 0);
  });

  it("passes ready and standby, and completes", async () => {
    const job = await world.start("j", MIRROR);
    await refuses(["finalize", "dismiss"], "ready");
    await world.done(job.pause());
    await world.done(job.resume());
    await world.done(job.complete());
    assertEquals(await world.sent(2), [
      ...["j ready", "j READY", "j standby", "j ready", "j waiting", "j pending"],
      ...["j COMPLETED", "j concluded", "j null"],
    ]);
    assertEquals(world.joblog.jobs(), []);
  });

  it("stays pending until finalize", async () => {
    const job = await world.start("j", {}, { autoFinalize: false });
    await refuses(["pause", "complete", "dismiss"], "pending");
    await world.done(job.finalize());
    assertEquals(await world.sent(5), ["j COMPLETED", "j concluded", "j null"]);
    assertEquals((await world.wire()).at(-1), "= finalize j");
  });

  it("stays concluded until dismiss", async () => {
    const job = await world.start("j", { steps: 3 }, { autoDismiss: false });
    assertEquals(job.state.progress, { current: 300, total: 300 });
    await refuses(["pause", "complete", "finalize", "cancel"], "concluded");
    const text = await world.refusal(job.resume());
    assertEquals(text, "Can't resume a job that was not paused");
    await world.done(job.dismiss());
    assertEquals((await world.sent()).at(-1), "j null");
  });

  it("answers finalize well when prepare fails", async () => {
    const job = await world.start("j", { faults: { prepare: "EPERM" } }, MANUAL);
    await world.done(job.finalize());
    assertEquals([job.state.status, job.state.ret, job.state.error?.text], [
      ...["concluded", -1, "Operation not permitted"],
    ]);
    assertEquals(await world.sent(5), [
      ...["j aborting", "j COMPLETED: Operation not permitted", "j concluded"],
    ]);
  });

  it("sends the wire events of a mirror with their numbers", async () => {
    const script = { ...MIRROR, steps: 2 };
    const job = await world.start("j", script, { type: "mirror", speed: 0 });
    await world.done(job.complete());
    const state = initialQmp();
    const sent = (await world.events()).flatMap((event) => qmpEventsOf(state, event as never));
    const got: readonly unknown[] = sent.map(({ event, data }) => [event, data]);
    const numbers = { type: "mirror", device: "j", len: 200, offset: 200, speed: 0 };
    const status = (name: string) => ["JOB_STATUS_CHANGE", { id: "j", status: name }];
    assertEquals(got, [
      ...["created", "running", "ready"].map(status),
      ["BLOCK_JOB_READY", numbers],
      ...["waiting", "pending"].map(status),
      ["BLOCK_JOB_COMPLETED", numbers],
      ...["concluded", "null"].map(status),
    ]);
  });

  it("job(id) and jobs() give the newest first, one object for each life", async () => {
    const first = await world.start("a", SLOW);
    await world.start("b", SLOW);
    assertEquals(world.joblog.jobs().map(({ id }) => id), ["b", "a"]);
    assertEquals(world.joblog.job("a") === first, true);
    await world.done(first.cancel());
    assertEquals(world.joblog.job("a"), undefined);
    const next = await world.start("a", SLOW);
    assertEquals([next === first, first.state.status], [false, "null"]);
    assertEquals(await world.refusal(first.pause()), "Job not found");
  });
});

describe("Job callbacks", () => {
  const cases: readonly (readonly [string, ToyScript, readonly string[]])[] = [
    ["success", {}, ["run", "prepare", "commit", "clean", "close"]],
    ["run fails", { fails: "EIO" }, ["run", "abort", "clean", "close"]],
    ["prepare fails", { faults: { prepare: "EIO" } }, [
      ...["run", "prepare", "abort", "clean", "close"],
    ]],
  ];
  for (const [name, script, calls] of cases) {
    it(`${name}: ${calls.join(", ")}`, async () => {
      await world.start("j", script);
      assertEquals(world.toys.calls, ["open", ...calls].map((call) => `j ${call}`));
    });
  }

  it("cancel of a running job: cancel, abort, clean, close", async () => {
    const job = await world.start("j", { hangs: true });
    await world.done(job.cancel());
    assertEquals(world.toys.callsOf("j"), ["open", "run", "cancel", "abort", "clean", "close"]);
  });

  it("early failure: close alone", async () => {
    await world.refusal(world.joblog.start(toy("j", {}, { speed: -1 })));
    assertEquals(world.toys.callsOf("j"), ["open", "close"]);
  });

  it("calls only what the driver has", async () => {
    await world.start("j", { has: ["clean"] });
    assertEquals(world.toys.callsOf("j"), ["open", "run", "clean", "close"]);
  });

  it("close is called once for a job that is dismissed later", async () => {
    const job = await world.start("j", {}, MANUAL);
    await world.done(job.finalize());
    await world.done(job.dismiss());
    await world.close();
    assertEquals(world.toys.calls.filter((call) => call === "j close").length, 1);
  });

  it("records what closing callbacks and those beside run throw, and goes on", async () => {
    const faults = { commit: "EIO", clean: "ENOSPC", complete: "EIO", userResume: "EIO" };
    const job = await world.start("j", { ...MIRROR, has: ["complete", "commit", "clean"], faults });
    await world.done(job.pause());
    await world.done(job.resume());
    assertEquals(job.state.status, "ready");
    await world.done(job.complete());
    assertEquals([job.state.status, job.state.ret], ["null", 0]);
    const faulted = (await world.events()).filter(({ type }) => type === "DriverFaulted");
    assertEquals(faulted.map(({ data }) => (data as { callback: string }).callback), [
      ...["userResume", "complete", "commit", "clean"],
    ]);
  });

  it("a faulty cancel, userResume and canCancelSoftly do not save a job", async () => {
    const faults = { cancel: "EIO", userResume: "EIO", canCancelSoftly: "EIO", abort: "EIO" };
    const job = await world.start("j", { ...MIRROR, faults }, { autoDismiss: false });
    await world.done(job.pause());
    await world.done(job.cancel());
    assertEquals([job.state.status, job.state.outcome], ["concluded", "cancelled"]);
    const soft = await world.start("k", { ...MIRROR, faults }, { autoDismiss: false });
    await world.done(soft.cancel({ force: false }));
    assertEquals([soft.state.status, soft.state.outcome], ["concluded", "cancelled"]);
  });

  it("a faulty setSpeed keeps nobody asleep, a faulty completeRefusal refuses", async () => {
    const faults = { "setSpeed 0": "EIO", completeRefusal: "EIO" };
    const job = await world.start("j", { ...MIRROR, steps: 1, sleepMs: 60_000, faults });
    await world.done(job.setSpeed(0));
    assertEquals(job.state.status, "ready");
    assertEquals(await world.refusal(job.complete()), "Input/output error");
  });
});
