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
