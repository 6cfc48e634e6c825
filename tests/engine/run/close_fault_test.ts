import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { JoblogError, type StoreBackend } from "../../../events/log/mod.ts";
import { World } from "../../support/world.ts";

/** A backend that keeps no snapshot, and knows whether it was closed. */
class WithoutSnapshots {
  isClosed = false;

  readonly wrap = (backend: StoreBackend): StoreBackend =>
    new Proxy(backend, {
      get: (target, name) => {
        if (name === "putSnapshot") return () => Promise.reject(fault());
        if (name === "close") this.isClosed = true;
        const value = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
}

function fault(): JoblogError {
  return new JoblogError("commitFailed", "Cannot keep a snapshot: EIO");
}

describe("closeEngine()", () => {
  it("closes the log and ends all waits when the last snapshot cannot be kept", async () => {
    const disk = new WithoutSnapshots();
    const world = await World.open({ wrap: disk.wrap });
    const job = await world.start("j", { steps: 100, sleepMs: 10 }, { type: "lasting" });
    const waiting = job.until(() => false).catch((error) => error.code);
    const events = world.joblog.events()[Symbol.asyncIterator]();
    const outcome = await world.outcome(world.joblog.close());
    assertEquals("error" in outcome ? outcome.error.code : undefined, "commitFailed");
    assertEquals([disk.isClosed, await world.done(waiting)], [true, "logClosed"]);
    assertEquals((await world.done(events.next())).done, true);
  });
});
