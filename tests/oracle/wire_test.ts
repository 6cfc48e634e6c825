import { assertEquals } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { itWhen } from "../support/skip.ts";
import { HAS_ORACLE, NO_ORACLE, play } from "./player.ts";

/** Some that need neither images nor jobs; the script beside this plays all of them. */
const SCENARIOS = [
  "verbs-unknown-id",
  "wire-before-negotiation",
  "wire-capabilities-args",
  "wire-malformed-recovery",
  "wire-numbers",
  "wire-oob-enabled",
  "wire-quit",
  "wire-shape",
];

describe("joblog qmp beside the recorded QEMU", () => {
  itWhen(HAS_ORACLE, NO_ORACLE, "says the same on the wire, in the same order", async () => {
    const played = await play(SCENARIOS, "stream");
    assertEquals(played.filter(({ ok }) => !ok), []);
    assertEquals(played.length, SCENARIOS.length);
  });
});
