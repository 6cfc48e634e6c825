import { assertEquals } from "@std/assert";
import { beforeEach, describe, it } from "@std/testing/bdd";
import { type CommitBatch, JoblogError, type StoreBackend } from "../../../events/log/mod.ts";
import type { ToyScript } from "../../support/toy_drivers.ts";
import { toy, World } from "../../support/world.ts";

const KEPT = { autoDismiss: false } as const;
const LASTING = { type: "lasting", ...KEPT } as const;
const COUNTING: ToyScript = { steps: 6, sleepMs: 10, checkpointEvery: 2 };

/** Stands before a backend and fails commits as told. */
class FaultyBackend {
  /** Errno of the next commits to fail, in order; undefined = goes through. */
  readonly faults: (string | undefined)[] = [];
  /** True while a reserve is there to be freed. */
  hasReserve = true;

  readonly wrap = (backend: StoreBackend): StoreBackend =>
    new Proxy(backend, {
      get: (target, name) => {
        if (name === "commit") return (batch: CommitBatch) => this.#commit(target, batch);
        if (name === "releaseReserve") return () => Promise.resolve(this.#release());
        if (name === "restoreReserve") return () => Promise.resolve(this.hasReserve = true);
        const value = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });

  #release(): boolean {
    const { hasReserve } = this;
    this.hasReserve = false;
    return hasReserve;
  }

  async #commit(backend: StoreBackend, batch: CommitBatch): Promise<void> {
    const actual = this.faults.shift();
    if (actual === undefined) return await backend.commit(batch);
    throw new JoblogError("commitFailed", `Cannot commit: ${actual}`, { actual });
  }
}

let disk: FaultyBackend;
let world: World;

beforeEach(async () => {
  disk = new FaultyBackend();
  world = await World.open({ wrap: disk.wrap });
});

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  const outcome = await world.outcome(promise);
  return "error" in outcome ? outcome.error.code : undefined;
}

describe("Engine after a failed commit", () => {
  it("tells nobody, rejects everything that waits, and says why it stopped", async () => {
    const job = await world.start("j", COUNTING, LASTING);
    const pending = await world.start("p", {}, { ...KEPT, autoFinalize: false });
    world.toys.hold("p", "commit");
    const waiting = [pending.finalize(), job.done, job.until(() => false)];
    await world.ports.settle();
    const before = JSON.stringify(job.state);
    disk.faults.push("EIO");
    const codes = [job.pause(), ...waiting, pending.dismiss()].map(codeOf);
    await world.ports.settle();
    assertEquals(await Promise.all(codes), [
      ...["commitFailed", "commitFailed", "commitFailed", "commitFailed", "commitFailed"],
    ]);
    assertEquals(JSON.stringify(job.state), before);
    assertEquals((world.joblog.failure as JoblogError).actual, "EIO");
    for (const late of [() => job.resume(), () => world.joblog.start(toy("k"))]) {
      assertEquals(await codeOf(late()), "logClosed");
    }
    assertEquals(await codeOf(job.done), "commitFailed");
    assertEquals(await codeOf(job.cancelSync()), "logClosed");
  });

  it("runs nothing any more, and closes whole", async () => {
    await world.start("j", COUNTING, LASTING);
    await world.start("k", { hangs: true }, KEPT);
    disk.faults.push("EIO");
    await world.outcome(world.joblog.verb("j", "pause"));
    assertEquals(world.ports.timerCount, 0);
    await world.close("park");
    assertEquals(world.toys.calls.filter((call) => call.endsWith("close")), ["j close", "k close"]);
    const next = await world.reopen();
    await next.ports.runTimers();
    const ends = next.joblog.jobs().map(({ id, ret }) => [id, ret]);
    assertEquals(ends, [["k", -4], ["j", 0]]);
  });

  for (let nth = 0; nth < 24; nth++) {
    it(`has a log that can be opened again when commit ${nth} fails`, async () => {
      disk.faults.push(...Array<undefined>(nth).fill(undefined), "EIO");
      const requests = [toy("a", COUNTING, LASTING), toy("b", COUNTING, KEPT)];
      const created = world.joblog.transaction(requests, { completionMode: "grouped" });
      await world.outcome(created);
      await world.ports.advance(25);
      for (const verb of ["pause", "resume"] as const) {
        await world.outcome(world.joblog.verb("a", verb));
      }
      await world.ports.advance(500);
      assertEquals(await world.folded(), world.live());
      const last = await world.reopen({ wrap: (backend) => backend });
      await last.ports.runTimers();
      const rets = last.joblog.jobs().map(({ ret, status }) => [ret === 0, status]);
      assertEquals(new Set(rets.map(String)).size <= 1, true);
    });
  }
});

describe("Engine on a full disk", () => {
  it("frees the reserve, pauses all jobs for that reason, and says so", async () => {
    const job = await world.start("j", COUNTING, LASTING);
    const paused = await world.start("p", COUNTING, LASTING);
    await world.done(paused.pause());
    disk.faults.push("ENOSPC");
    await world.ports.advance(10);
    assertEquals([job.state.status, disk.hasReserve], ["paused", false]);
    const events = await world.events();
    const pauses = events.flatMap(({ type, data }) =>
      type === "JobPauseRequested" ? [data.by] : []
    );
    assertEquals(pauses, ["user", "logSpace"]);
    const low = events.find(({ type }) => type === "LogSpaceLow");
    assertEquals([low?.stream, low?.data as unknown], ["engine", { pausedJobs: 1 }]);
    assertEquals(world.joblog.failure, undefined);
  });

  it("goes on after resume, which makes the reserve again", async () => {
    const job = await world.start("j", COUNTING, LASTING);
    disk.faults.push("ENOSPC");
    await world.ports.advance(10);
    await world.done(job.resume());
    assertEquals(disk.hasReserve, true);
    await world.ports.runTimers();
    assertEquals([job.state.status, job.state.ret], ["concluded", 0]);
  });

  it("stops when the retry fails too", async () => {
    await world.start("j", COUNTING, LASTING);
    disk.faults.push("ENOSPC", "ENOSPC");
    await world.ports.advance(10);
    assertEquals((world.joblog.failure as JoblogError).code, "commitFailed");
    assertEquals(world.ports.timerCount, 0);
  });
});

describe("Job.until", () => {
  it("rejects with what its condition throws, and harms nobody else", async () => {
    const job = await world.start("j", COUNTING, KEPT);
    const faulty = job.until(({ status }) => {
      if (status === "paused") throw new Error("no");
      return false;
    });
    const outcome = world.outcome(faulty);
    await world.done(job.pause());
    assertEquals((await outcome as { error: Error }).error.message, "no");
    await world.done(job.resume());
    await world.ports.runTimers();
    assertEquals(job.state.ret, 0);
  });

  it("rejects with the reason of its signal", async () => {
    const job = await world.start("j", COUNTING, KEPT);
    const controller = new AbortController();
    const outcome = world.outcome(job.until(() => false, { signal: controller.signal }));
    controller.abort(new Error("enough"));
    assertEquals((await outcome as { error: Error }).error.message, "enough");
  });
});

describe("Joblog.job", () => {
  it("leaves nothing behind, however often jobs are looked up and waited for", async () => {
    const job = await world.start("j", { hangs: true }, KEPT);
    const count = world.engine.waits.watchedCount;
    const controller = new AbortController();
    const waits = Array.from({ length: 100 }, () => {
      const again = world.joblog.job("j")!;
      return again.until(() => false, { signal: controller.signal }).catch(() => {});
    });
    controller.abort();
    await world.done(Promise.all(waits));
    assertEquals(world.engine.waits.watchedCount, count);
    await world.done(job.cancel());
    await world.done(job.dismiss());
    assertEquals(world.engine.waits.watchedCount, 0);
  });
});
