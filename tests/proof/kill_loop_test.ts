import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { main } from "./kill_loop.ts";

describe("the kill loop", () => {
  it("fails when its budget was too short for a single kill", async () => {
    assertEquals(await main(["--budget-s", "1"]), 1);
  });

  it("passes when it has killed and nothing was lost", async () => {
    assertEquals(await main(["--rounds", "1"]), 0);
  });
});
