import { readdirSync, readFileSync } from "node:fs";
import { assertEquals, assertGreater } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { bannedRule } from "./banned.ts";
import { fileBudgetRule, functionBudgetRule, headerRule, lineBudgetRule } from "./budgets.ts";
import { LONG_FILES } from "./budgets.ts";
import {
  exportDocRule,
  fileNameRule,
  foreignWordFaults,
  foreignWordRule,
  logVocabularyRule,
  moduleDocRule,
  sourceLineRule,
} from "./documentation.ts";
import { readHouse, ROOT, type Rule, showFaults } from "./house.ts";
import { findCycles, layerRule } from "./imports.ts";

const RULES: readonly (readonly [name: string, rule: Rule])[] = [
  ["imports keep to the layer table", layerRule],
  ["banned calls and constructs are absent", bannedRule],
  ["files fit their budget", fileBudgetRule],
  ["functions fit their budget", functionBudgetRule],
  ["lines fit their budget", lineBudgetRule],
  ["long files start with a header comment", headerRule],
  ["exported symbols are documented", exportDocRule],
  ["modules show an example", moduleDocRule],
  ["tables and drivers name their source", sourceLineRule],
  ["events/log does not know jobs", logVocabularyRule],
  ["program text has no foreign words", foreignWordRule],
  ["files are named after one idea", fileNameRule],
];

describe("the house", () => {
  it("is seen by the rules at all", () => {
    assertGreater(readHouse().length, 20);
  });

  for (const [name, rule] of RULES) {
    it(name, () => {
      assertEquals(showFaults(readHouse().flatMap(rule)), "");
    });
  }

  it("imports without cycles", () => {
    assertEquals(showFaults(findCycles(readHouse())), "");
  });

  it("keeps no exemption for a file that is gone", () => {
    const paths = new Set(readHouse().map(({ path }) => path));
    assertEquals(Object.keys(LONG_FILES).filter((path) => !paths.has(path)), []);
  });

  it("has no foreign words in its papers", () => {
    const papers = readdirSync(ROOT).filter((name) => /\.(md|json)$|^LICENSE$/.test(name));
    const faults = papers.flatMap((name) =>
      foreignWordFaults(name, readFileSync(ROOT + name, "utf8"))
    );
    assertEquals(showFaults(faults), "");
  });
});
