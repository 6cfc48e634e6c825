import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type CommitBatch, JoblogError, type StoreBackend } from "../../../events/log/mod.ts";
import type { ToyScript } from "../../support/toy_drivers.ts";
import { toy, World } from "../../support/world.ts";

const LASTING = { type: "lasting" } as const;
const KEPT = { autoDismiss: false } as const;
const MANUAL = { autoFinalize: false, autoDismiss: false } as const;
const COUNTING: ToyScript = { steps: 4, sleepMs: 10, checkpointEvery: 2 };

/** Lets so many commits through, and no other. */
function failAfter(backend: StoreBackend, commitsLeft: number): StoreBackend {
  return new Proxy(backend, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (name !== "commit") return typeof value === "function" ? value.bind(target) : value;
      return async (batch: CommitBatch) => {
        if (commitsLeft === 0) throw new JoblogError("commitFailed", "Cannot commit: EIO");
        commitsLeft -= 1;
        await target.commit(batch);
      };
    },
  });
}

describe("recovery", () => {
  it("goes on from the last checkpoint and not from the last step", async () => {
    const world = await World.open();
    await world.start("a", { ...COUNTING, steps: 9 }, LASTING);
    await world.ports.advance(25);
    assertEquals(world.joblog.job("a")!.state.progress.current, 300);
    const next = await world.reopen();
    const { stepCount, progress } = next.joblog.job("a")!.state;
    assertEquals([stepCount, progress], [4, { current: 300, total: 900 }]);
    await next.ports.runTimers();
    const end = await next.stateOf("a");
    assertEquals([end.ret, end.progress], [0, { current: 900, total: 900 }]);
  });

  it("fails what cannot go on with EINTR, through the legal path", async () => {
    const world = await World.open();
    await world.start("a", { steps: 1, sleepMs: 10 }, KEPT);
    await world.done(world.joblog.verb("a", "pause"));
    const next = await world.reopen();
    const { ret, error, status } = next.joblog.job("a")!.state;
    assertEquals([ret, error!.errno, status], [-4, "EINTR", "concluded"]);
    assertEquals(await next.sent(2), [
      ...["a paused", "a running", "a aborting", `a COMPLETED: ${error!.text}`, "a concluded"],
    ]);
  });

  it("fails a job whose driver cannot be opened again, and not the opening", async () => {
    const world = await World.open();
    const script = { ...COUNTING, faults: { reopen: "ENOENT" } };
    await world.start("a", script, { ...LASTING, ...KEPT });
    await world.start("b", COUNTING, { ...LASTING, ...KEPT });
    const next = await world.reopen();
    await next.ports.runTimers();
    assertEquals(
      next.joblog.jobs().map(({ id, ret, status }) => [id, ret, status]),
      [["b", 0, "concluded"], ["a", -2, "concluded"]],
    );
  });

  it("drops internal pauses, whose askers are gone", async () => {
    const world = await World.open();
    const job = await world.start("a", COUNTING, LASTING);
    const entry = world.engine.ledger.entryOfRun(job.runId)!;
    const signal = { kind: "pauseRequested", by: "internal" } as const;
    await world.done(world.engine.signal(entry, job.runId, signal));
    assertEquals(job.state.status, "paused");
    const next = await world.reopen();
    assertEquals(next.joblog.job("a")!.state.status, "running");
    await next.ports.runTimers();
    assertEquals((await next.stateOf("a")).ret, 0);
  });

  it("closes what it has opened when the log fails in the middle of it", async () => {
    // With the first number the second job's driver is open, but nothing of the job is recorded.
    for (const commitsLeft of [1, 2]) {
      const world = await World.open({ maxEvents: 1 });
      await world.start("a", COUNTING, LASTING);
      await world.start("b", COUNTING, LASTING);
      const calls = world.toys.calls.length;
      const failing = world.reopen({ wrap: (backend) => failAfter(backend, commitsLeft) });
      const outcome = await failing.then(() => "opened", (error) => (error as Error).message);
      await world.ports.settle();
      const closing = world.toys.calls.slice(calls).filter((call) => /open|close/.test(call));
      assertEquals(closing.toSorted(), ["a close", "a reopen", "b close", "b reopen"]);
      assertEquals(outcome, "Cannot commit: EIO");
    }
  });

  it("keeps ids taken", async () => {
    const world = await World.open();
    await world.start("a", {}, KEPT);
    const next = await world.reopen();
    assertEquals(
      await next.refusal(next.joblog.start(toy("a"))),
      "Job ID 'a' already in use",
    );
    await next.done(next.joblog.verb("a", "dismiss"));
    assertEquals((await next.start("a", { hangs: true })).state.status, "running");
  });

  it("twice at once: the older engine is fenced off and says so", async () => {
    const world = await World.open();
    const job = await world.start("a", COUNTING, LASTING);
    const next = await world.reopen();
    const outcome = await world.outcome(job.pause());
    assertEquals("error" in outcome && outcome.error.code, "fenced");
    assertEquals(world.joblog.failure !== undefined, true);
    await next.ports.runTimers();
    assertEquals((await next.stateOf("a")).ret, 0);
  });

  it("without running jobs drives closing sequences to their end, and starts nothing", async () => {
    const world = await World.open();
    await world.start("lasts", COUNTING, LASTING);
    const job = await world.start("a", {}, MANUAL);
    world.toys.hold("a", "commit");
    assertEquals(await world.isPending(job.finalize()), true);
    const next = await world.reopen({ isRunning: false });
    world.toys.release("a", "commit");
    await next.ports.settle();
    assertEquals(
      next.joblog.jobs().map(({ id, status }) => [id, status]),
      [["a", "concluded"], ["lasts", "running"]],
    );
    await next.done(next.joblog.verb("lasts", "cancel"));
    assertEquals((await next.sent()).slice(-4), [
      ...["lasts aborting", "lasts CANCELLED", "lasts concluded", "lasts null"],
    ]);
    assertEquals(next.toys.callsOf("lasts").filter((call) => call === "run").length, 1);
  });
});
