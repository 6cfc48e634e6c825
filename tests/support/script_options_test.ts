import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { proofCount, proofTime, readOptions } from "./script_options.ts";

const DEFAULTS = { seed: 1, rounds: Infinity, only: "", keep: false } as const;

describe("readOptions", () => {
  it("takes each option in the kind of its default, and the default where none is given", () => {
    assertEquals(readOptions([], DEFAULTS), DEFAULTS);
    assertEquals(readOptions(["--seed", "7", "--keep", "--only=backup"], DEFAULTS), {
      ...{ seed: 7, rounds: Infinity, only: "backup", keep: true },
    });
  });

  for (
    const [args, text] of [
      [["--seed", "seven"], `Cannot read --seed: a number of 0 or more is expected, not "seven"`],
      [["--seed="], `Cannot read --seed: a number of 0 or more is expected, not ""`],
      [["--rounds=-1"], `Cannot read --rounds: a number of 0 or more is expected, not "-1"`],
      [["--sede", "7"], "--sede"],
      [["7"], "7"],
      [["--keep=yes"], "--keep"],
    ] as const
  ) {
    it(`names what it cannot read: ${args.join(" ")}`, () => {
      assertThrows(() => readOptions(args, DEFAULTS), Error, text);
    });
  }
});

describe("proofTime", () => {
  it("is over its margin before the end of the budget, and never without one", () => {
    assertEquals(proofTime(3, 3_000).isOver(), true);
    assertEquals(proofTime(3_600).isOver(), false);
    const { hasBudget, endMs } = proofTime(Infinity);
    assertEquals({ hasBudget, endMs }, { hasBudget: false, endMs: Infinity });
  });
});

describe("proofCount", () => {
  it("is what was asked for, else what fits into the budget, else the full count", () => {
    assertEquals(proofCount(5, 100, proofTime(60)), 5);
    assertEquals(proofCount(5, 100, proofTime(Infinity)), 5);
    assertEquals(proofCount(Infinity, 100, proofTime(60)), Infinity);
    assertEquals(proofCount(Infinity, 100, proofTime(Infinity)), 100);
  });
});
