import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { JobEvent } from "../../../events/job/mod.ts";
import { toy, World } from "../../support/world.ts";

describe("Joblog.verb with blockJobId", () => {
  it("knows a block job by its id", async () => {
    const world = await World.open();
    await world.start("j", { hangs: true }, { type: "stream" });
    assertEquals(await world.outcome(world.joblog.verb({ blockJobId: "j" }, "pause")), {
      value: undefined,
    });
  });

  it("knows no job of another type, and records so in its own words", async () => {
    const world = await World.open();
    await world.done(world.joblog.start(toy("j", { hangs: true })));
    for (const id of ["j", "nobody"]) {
      const outcome = await world.outcome(world.joblog.verb({ blockJobId: id }, "pause"));
      assertEquals("error" in outcome && [outcome.error.code, outcome.error.message], [
        "unknownBlockJob",
        `Block job '${id}' not found`,
      ]);
    }
    const refused = (await world.events()).filter(({ type }) => type === "VerbRefused");
    assertEquals(
      refused.map(({ data }) => (data as (JobEvent & { type: "VerbRefused" })["data"]).text),
      ["Block job 'j' not found", "Block job 'nobody' not found"],
    );
  });
});
