import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  assertTransition,
  isAllowedTransition,
  isCompletedStatus,
  isOverStatus,
  JOB_STATUSES,
  type JobStatus,
} from "../../../events/job/mod.ts";
import { JoblogError } from "../../../events/log/errors.ts";

// Typed in from QEMU's job.c: row = from, column = to, in the order of the letters.
const LETTERS = "UCRPYSWDXEN";
const MATRIX: readonly (readonly [from: string, to: string])[] = [
  ["U", ".C........."],
  ["C", "..R.....X.N"],
  ["R", "...PY.W.X.."],
  ["P", "..R........"],
  ["Y", ".....SW.X.."],
  ["S", "....Y......"],
  ["W", ".......DX.."],
  ["D", "........XE."],
  ["X", "........XE."],
  ["E", "..........N"],
  ["N", "..........."],
];

const NAMES = [
  "undefined",
  "created",
  "running",
  "paused",
  "ready",
  "standby",
  "waiting",
  "pending",
  "aborting",
  "concluded",
  "null",
];

const statusOf = (letter: string) => NAMES[LETTERS.indexOf(letter)] as JobStatus;

describe("JOB_STATUSES", () => {
  it("are QEMU's eleven, in QEMU's order", () => {
    assertEquals([...JOB_STATUSES] as string[], NAMES);
  });
});

describe("isAllowedTransition", () => {
  for (const [from, row] of MATRIX) {
    it(`answers all of row ${statusOf(from)}`, () => {
      const allowed = [...LETTERS].map((to) =>
        isAllowedTransition(statusOf(from), statusOf(to)) ? to : "."
      );
      assertEquals(allowed.join(""), row);
    });
  }

  it("has 121 cells, 20 of them allowed", () => {
    const cells = NAMES.flatMap((from) =>
      NAMES.map((to) => isAllowedTransition(from as JobStatus, to as JobStatus))
    );
    assertEquals([cells.length, cells.filter(Boolean).length], [121, 20]);
  });
});

describe("assertTransition", () => {
  for (const [from, row] of MATRIX) {
    it(`throws for every forbidden cell of row ${statusOf(from)} and for no other`, () => {
      const outcomes = [...LETTERS].map((to) => {
        try {
          assertTransition("j", statusOf(from), statusOf(to));
          return to;
        } catch (error) {
          assertInstanceOf(error, JoblogError);
          return ".";
        }
      });
      assertEquals(outcomes.join(""), row);
    });
  }

  it("names the job, both statuses and what was allowed", () => {
    const error = assertThrows(() => assertTransition("j", "created", "ready"), JoblogError);
    assertEquals(error.message, 'Cannot move job "j" to status "ready": it is "created"');
    assertEquals(error.code, "forbiddenTransition");
    assertEquals(error.expected, "running or aborting or null");
  });
});

describe("isCompletedStatus", () => {
  it("holds from waiting on", () => {
    assertEquals(NAMES.filter((name) => isCompletedStatus(name as JobStatus)), NAMES.slice(6));
  });
});

describe("isOverStatus", () => {
  it("holds for concluded and null", () => {
    assertEquals(NAMES.filter((name) => isOverStatus(name as JobStatus)), ["concluded", "null"]);
  });
});
