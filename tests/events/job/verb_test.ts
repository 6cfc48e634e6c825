import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  acceptsVerb,
  JOB_STATUSES,
  JOB_VERBS,
  type JobVerb,
  verbRefusalText,
} from "../../../events/job/mod.ts";

// Typed in from QEMU's job.c, columns U C R P Y S W D X E N.
const MATRIX: readonly (readonly [JobVerb, string])[] = [
  ["cancel", ".xxxxxxx..."],
  ["pause", ".xxxxx....."],
  ["resume", ".xxxxx....."],
  ["set-speed", ".xxxxx....."],
  ["complete", "....xx....."],
  ["finalize", ".......x..."],
  ["dismiss", ".........x."],
  ["change", ".xxxxx....."],
];

describe("acceptsVerb", () => {
  it("knows the eight verbs", () => {
    assertEquals([...JOB_VERBS], MATRIX.map(([verb]) => verb));
  });

  for (const [verb, row] of MATRIX) {
    it(`answers all statuses for ${verb}`, () => {
      const cells = JOB_STATUSES.map((status) => acceptsVerb(status, verb) ? "x" : ".");
      assertEquals(cells.join(""), row);
    });
  }
});

describe("verbRefusalText", () => {
  it("is QEMU's", () => {
    const text = "Job 'drive0' in state 'paused' cannot accept command verb 'dismiss'";
    assertEquals(verbRefusalText("drive0", "paused", "dismiss"), text);
  });
});
