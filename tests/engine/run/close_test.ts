import { assertEquals } from "@std/assert";
import { beforeEach, describe, it } from "@std/testing/bdd";
import type { DriverContext } from "../../../engine/drivers/driver.ts";
import { defineDriver } from "../../../engine/drivers/driver.ts";
import type { ToyScript } from "../../support/toy_drivers.ts";
import { toy, World } from "../../support/world.ts";

const LASTING = { type: "lasting", autoDismiss: false } as const;
const KEPT = { autoDismiss: false } as const;
const COUNTING: ToyScript = { steps: 9, sleepMs: 10, checkpointEvery: 1 };

let world: World;

beforeEach(async () => {
  world = await World.open();
});

/** Each driver that was opened is closed, once. */
function checkClosed(of = world): void {
  const count = (name: string) => of.toys.calls.filter((call) => call.endsWith(` ${name}`)).length;
  assertEquals(count("close"), count("open") + count("reopen"));
  assertEquals(of.ports.timerCount, 0);
}

async function typesAfterClose(of: World): Promise<readonly string[]> {
  const next = await of.reopen({ isRunning: false });
  return (await next.events()).slice(0, -1).map(({ type }) => type);
}

describe("Joblog.close, park", () => {
  it("leaves resumable jobs where they stand, and ends the others", async () => {
    await world.start("sleeping", COUNTING, LASTING);
    const paused = await world.start("paused", COUNTING, LASTING);
    await world.done(paused.pause());
    await world.start("ready", { ready: true }, LASTING);
    await world.start("ended", COUNTING, KEPT);
    await world.start("pending", {}, { ...KEPT, autoFinalize: false });
    await world.close("park");
    checkClosed();
    const types = await typesAfterClose(world);
    assertEquals(types.filter((type) => type === "JobParked").length, 3);
    assertEquals(types.at(-1), "EngineClosed");
    const next = await world.reopen();
    const now = next.joblog.jobs().map(({ id, status, ret }) => `${id} ${status} ${ret}`);
    assertEquals(now, [
      ...["pending pending 0", "ended concluded -125", "ready ready 0"],
      ...["paused paused 0", "sleeping running 0"],
    ]);
    await next.ports.runTimers();
    assertEquals((await next.stateOf("sleeping")).ret, 0);
  });

  it("finishes a closing sequence that has begun", async () => {
    const job = await world.start("j", {}, { ...KEPT, autoFinalize: false });
    world.toys.hold("j", "commit");
    const finalized = job.finalize();
    await world.ports.settle();
    const closed = world.joblog.close();
    assertEquals(await world.isPending(closed), true);
    world.toys.release("j", "commit");
    await world.done(closed);
    await world.done(finalized);
    checkClosed();
    assertEquals(job.state.status, "concluded");
  });

  it("ends a whole group when one member cannot be parked", async () => {
    const requests = [toy("a", COUNTING, KEPT), toy("b", COUNTING, LASTING), toy("c", {}, LASTING)];
    await world.done(world.joblog.transaction(requests, { completionMode: "grouped" }));
    await world.close("park");
    checkClosed();
    const next = await world.reopen();
    assertEquals(next.joblog.jobs().map(({ status, ret }) => [status, ret]), [
      ...[["concluded", -125], ["concluded", -125], ["concluded", -125]],
    ]);
  });

  it("ends a parked member whose group failed while it was being parked", async () => {
    const requests = [
      toy("a", { ...COUNTING, fails: "EIO" }, LASTING),
      toy("b", COUNTING, LASTING),
    ];
    await world.done(world.joblog.transaction(requests, { completionMode: "grouped" }));
    world.toys.hold("a", "step 8");
    await world.ports.advance(200);
    const closed = world.joblog.close();
    await world.ports.settle();
    world.toys.contexts.get("a")!.step({ kind: "late", offset: 0, length: 0 });
    world.toys.release("a", "step 8");
    await world.done(closed);
    checkClosed();
  });

  it("parks a run that makes light of being parked", async () => {
    const told: string[] = [];
    const stubborn = defineDriver({
      type: "stubborn",
      summary: "swallows what it is told",
      isResumable: true,
      parameters: (input) => input,
      open: () => ({
        async run(context: DriverContext) {
          for (let count = 0; count < 3; count++) {
            await context.sleep(1_000).catch((error: Error) => told.push(error.name));
          }
        },
      }),
    });
    world = await World.open({ drivers: { get: () => stubborn } });
    await world.start("j", {}, { type: "stubborn" });
    await world.close("park");
    assertEquals(told, ["JobParked", "JobParked", "JobParked"]);
    const types = await typesAfterClose(world);
    assertEquals([types.includes("JobParked"), types.includes("RunReturned")], [true, false]);
  });

  it("refuses commands, wakes everybody who waits, and can be called twice", async () => {
    const job = await world.start("j", COUNTING, LASTING);
    const done = world.outcome(job.done);
    const closed = world.joblog.close();
    assertEquals(world.joblog.close() === closed, true);
    const refused = await world.outcome(job.pause());
    await world.done(closed);
    const ended = await done;
    assertEquals(["error" in refused && refused.error.code, "error" in ended && ended.error.code], [
      ...["logClosed", "logClosed"],
    ]);
  });

  it("refuses a command that waited for a closing sequence, and goes on closing", async () => {
    const job = await world.start("j", {}, { ...KEPT, autoFinalize: false });
    world.toys.hold("j", "commit");
    const finalized = job.finalize();
    await world.ports.settle();
    const waited = world.outcome(job.dismiss());
    const closed = world.joblog.close();
    world.toys.release("j", "commit");
    await world.done(closed);
    await world.done(finalized);
    const outcome = await waited;
    assertEquals("error" in outcome && outcome.error.code, "logClosed");
    checkClosed();
    assertEquals((await typesAfterClose(world)).at(-1), "EngineClosed");
  });

  it("keeps a snapshot from which an opening goes on the same way", async () => {
    await world.start("a", COUNTING, LASTING);
    await world.start("b", {}, KEPT);
    await world.close("park");
    const next = await world.reopen({ isRunning: false });
    const fromSnapshot = JSON.stringify(next.joblog.jobs());
    const whole = await next.copyAfter(next.batches.length, { isRunning: false });
    assertEquals(JSON.stringify(whole.joblog.jobs()), fromSnapshot);
  });

  it("records what close throws, and closes the rest", async () => {
    await world.start("a", { ...COUNTING, faults: { close: "EIO" } }, LASTING);
    await world.start("b", COUNTING, LASTING);
    await world.close("park");
    checkClosed();
    assertEquals((await typesAfterClose(world)).includes("DriverFaulted"), true);
  });
});

describe("Joblog.close, cancel", () => {
  it("ends and dismisses all", async () => {
    await world.start("a", COUNTING, LASTING);
    const paused = await world.start("paused", COUNTING, LASTING);
    await world.done(paused.pause());
    await world.start("hangs", { hangs: true }, KEPT);
    await world.start("ready", { ready: true }, LASTING);
    await world.start("concluded", {}, KEPT);
    await world.start("pending", {}, { ...KEPT, autoFinalize: false });
    await world.done(world.joblog.create(toy("created", {}, KEPT)));
    const pair = [toy("c", COUNTING, LASTING), toy("d", {}, LASTING)];
    await world.done(world.joblog.transaction(pair, { completionMode: "grouped" }));
    await world.close("cancel");
    checkClosed();
    const next = await world.reopen();
    assertEquals(next.joblog.jobs(), []);
    const lines = await next.sent();
    for (const id of ["a", "paused", "hangs", "ready", "pending", "c", "d"]) {
      const own = lines.filter((line) => line.startsWith(`${id} `));
      assertEquals(own.slice(-4), [
        `${id} aborting`,
        `${id} CANCELLED`,
        `${id} concluded`,
        `${id} null`,
      ]);
    }
  });
});
