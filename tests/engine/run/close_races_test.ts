import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { verify } from "../../../events/replay/verify.ts";
import { defineDriver } from "../../../engine/drivers/driver.ts";
import { toy, World } from "../../support/world.ts";

const KEPT = { autoDismiss: false } as const;
const LASTING = { type: "lasting", ...KEPT } as const;

/** Lets promises go on, and no commit. */
async function promisesOnly(): Promise<void> {
  for (let count = 0; count < 100; count++) await Promise.resolve();
}

describe("closeEngine()", () => {
  it("parks a job that was about to pause", async () => {
    const world = await World.open();
    const job = await world.start("j", { steps: 5, sleepMs: 10, checkpointEvery: 1 }, LASTING);
    world.toys.hold("j", "pause");
    await world.done(job.pause());
    const closing = world.joblog.close({ jobs: "park" });
    await world.ports.settle();
    world.toys.release("j", "pause");
    await world.done(closing);
    const next = await world.reopen();
    assertEquals(next.joblog.jobs().map(({ status }) => status), ["paused"]);
  });

  it("parks and cancels jobs whose creation is still on its way to the disk", async () => {
    for (const jobs of ["park", "cancel"] as const) {
      const world = await World.open();
      const script = { steps: 5, sleepMs: 10, checkpointEvery: 1 };
      const requests = [toy("a", script, LASTING), toy("b", { hangs: true }, KEPT)];
      const created = world.joblog.transaction(requests);
      await promisesOnly();
      await world.close(jobs);
      await world.done(created);
      const last = (await (await world.reopen({ isRunning: false })).events()).at(-2);
      assertEquals(last?.type, "EngineClosed");
      assertEquals(world.ports.timerCount, 0);
    }
  });

  it("writes EngineClosed after everything else, faults of closing drivers included", async () => {
    const world = await World.open();
    await world.start("j", { steps: 5, sleepMs: 10, faults: { close: "EIO" } }, LASTING);
    await world.close("park");
    const types = (await (await world.reopen({ isRunning: false })).events()).map((e) => e.type);
    assertEquals(types.slice(-4), ["JobParked", "DriverFaulted", "EngineClosed", "EngineOpened"]);
  });
});

describe("Engine", () => {
  for (const mode of ["individual", "grouped"] as const) {
    it(`records that the driver of a dismissed ${mode} job could not be closed`, async () => {
      const world = await World.open();
      world.toys.hold("b", "close");
      const requests = [toy("a"), toy("b", { faults: { close: "EIO" } })];
      await world.done(world.joblog.transaction(requests, { completionMode: mode }));
      assertEquals([world.joblog.jobs(), world.toys.callsOf("b").at(-1)], [[], "close"]);
      world.toys.release("b", "close");
      await world.ports.settle();
      const late = (await world.events()).findLast(({ type }) => type === "DriverFaulted");
      assertEquals((late?.data as { readonly callback: string }).callback, "close");
      const { runId } = await world.stateOf("b");
      const types = await world.typesOf({ runId });
      assertEquals(types.slice(-2), ["JobDismissed", "DriverFaulted"]);
      assertEquals((await verify(world.store)).faults, []);
      assertEquals(world.engine.ledger.entryCount, 0);
      assertEquals((await world.reopen()).live(), "[]");
    });
  }

  it("opens a job once more that failed while another one was being closed", async () => {
    const gate = Promise.withResolvers<void>();
    const done: string[] = [];
    const driver = defineDriver({
      type: "maker",
      summary: "cannot be opened while another one is closed",
      parameters: () => ({}),
      open() {
        done.push("open");
        if (done.join() === "open,close,open") throw new Error("it goes just now");
        return {
          run: () => Promise.resolve(),
          async close() {
            done.push("close");
            await gate.promise;
            done.push("closed");
          },
        };
      },
    });
    const world = await World.open({ drivers: { get: () => driver } });
    await world.done(world.joblog.start({ type: "maker", id: "a" }));
    await world.ports.settle();
    assertEquals([done, world.joblog.jobs()], [["open", "close"], []]);
    const starting = world.joblog.start({ type: "maker", id: "b" });
    await world.ports.settle();
    assertEquals(done, ["open", "close", "open"]);
    gate.resolve();
    assertEquals((await world.done(starting)).id, "b");
    await world.ports.settle();
    assertEquals(done.slice(2, 5), ["open", "closed", "open"]);
  });

  it("lets a cancel through to a job that asks for its pause again and again", async () => {
    let pauses = 0;
    const restless = defineDriver({
      type: "restless",
      summary: "waits by asking",
      parameters: () => ({}),
      open: () => ({
        async run(context) {
          while (!context.isCancelled) await context.yield();
        },
        pause() {
          pauses += 1;
          if (pauses > 1_000) throw Object.assign(new Error(""), { code: "EDEADLK" });
        },
      }),
    });
    const world = await World.open({ maxEvents: 1, drivers: { get: () => restless } });
    const job = await world.done(world.joblog.start({ type: "restless", id: "j", ...KEPT }));
    const answers = [job.pause(), job.cancel()];
    await world.done(Promise.all(answers));
    assertEquals([job.state.status, job.state.ret], ["concluded", -125]);
  });
});
