import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { CommitBatch, StoreBackend } from "../../events/log/mod.ts";
import { Service } from "../../api/service.ts";
import { toy, World } from "../support/world.ts";

/** Holds the commits that dismiss a job. */
class Gate {
  readonly opened = Promise.withResolvers<void>();
  readonly wrap = (backend: StoreBackend): StoreBackend =>
    new Proxy(backend, {
      get: (target, name) => {
        const value = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        if (name !== "commit") return value.bind(target);
        return async (batch: CommitBatch) => {
          if (batch.records.some((one) => one.type === "JobDismissed")) await this.opened.promise;
          await target.commit(batch);
        };
      },
    });
}

describe("Service.job() and jobs()", () => {
  it("say who paused a job, also that the disk of the log was full", async () => {
    const world = await World.open();
    const service = new Service({ reader: world.store, joblog: world.joblog });
    const script = { steps: 9, sleepMs: 10 };
    const { runId } = await world.start("a", script);
    await world.start("b", script);
    await world.start("c", script);
    const pausedBy = async () => {
      const { jobs } = await world.done(service.jobs());
      const { job } = await world.done(service.job("a"));
      return [...jobs.map((one) => one.pausedBy), job.pausedBy];
    };
    assertEquals(await pausedBy(), [null, null, null, null]);
    const signal = { kind: "pauseRequested", by: "logSpace" } as const;
    await world.done(world.engine.signal(world.engine.ledger.entryOfRun(runId)!, runId, signal));
    await world.done(world.joblog.verb("b", "pause"));
    assertEquals(await pausedBy(), [null, "user", "logSpace", "logSpace"]);
    const { txn } = await world.done(service.txn(runId));
    assertEquals(txn.members.map((one) => one.pausedBy), ["logSpace"]);
    await world.done(world.joblog.verb("a", "resume"));
    assertEquals(await pausedBy(), [null, "user", null, null]);
    await world.close();
  });
});

async function setSpeedAcrossLives(address: (runId: string) => string) {
  const gate = new Gate();
  const world = await World.open({ wrap: gate.wrap });
  const service = new Service({ reader: world.store, joblog: world.joblog });
  world.toys.hold("a", "prepare");
  const first = await world.start("a");
  const late = service.verb(address(first.runId), "set-speed", { speed: 7 }, {});
  await world.ports.settle();
  world.toys.release("a", "prepare");
  await world.ports.settle();
  const second = world.joblog.start(toy("a", { hangs: true }));
  await world.ports.settle();
  gate.opened.resolve();
  const outcome = await world.outcome(late);
  const { speed } = (await world.done(second)).state;
  await world.close();
  return { code: "error" in outcome ? outcome.error.code : "none", speed };
}

describe("Service.verb() that waits for a closing sequence", () => {
  it("stays with the run it was addressed to when another job has the id by then", async () => {
    const told = await setSpeedAcrossLives((runId) => runId);
    assertEquals(told, { code: "unknownJob", speed: 0 });
  });

  it("is for whoever has the id when it was addressed to an id", async () => {
    assertEquals(await setSpeedAcrossLives(() => "a"), { code: "none", speed: 7 });
  });
});
