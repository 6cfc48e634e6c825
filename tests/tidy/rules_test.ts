import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { bannedRule } from "./banned.ts";
import { fileBudgetRule, functionBudgetRule, headerRule, lineBudgetRule } from "./budgets.ts";
import {
  exportDocRule,
  fileNameRule,
  foreignWordRule,
  logVocabularyRule,
  moduleDocRule,
  sourceLineRule,
} from "./documentation.ts";
import { parseSource, type Rule, showFaults } from "./house.ts";
import { findCycles, layerRule } from "./imports.ts";

const judge = (rule: Rule, path: string, text: string) => rule(parseSource(path, text));

describe("bannedRule()", () => {
  it("names the replacement of each banned call", () => {
    const calls = ["Date.now()", "Math.random()", "setTimeout(f, 1)", "setInterval(f, 1)"];
    for (const call of [...calls, "performance.now()", "crypto.randomUUID()"]) {
      const faults = judge(bannedRule, "engine/run/a.ts", `export const a = () => ${call};`);
      assertEquals(faults.length, 1, call);
      assertStringIncludes(showFaults(faults), "port");
    }
  });

  it("sees through globalThis and a call that is handed on", () => {
    assertEquals(judge(bannedRule, "engine/core/a.ts", "const a = Date.now;").length, 1);
    assertEquals(judge(bannedRule, "events/log/a.ts", "globalThis.setTimeout(f, 1);").length, 1);
  });

  it("lets the file of the ports and the fronts use the machine's clock", () => {
    assertEquals(judge(bannedRule, "engine/run/system_ports.ts", "Date.now();"), []);
    assertEquals(judge(bannedRule, "api/http/a.ts", "Date.now();"), []);
  });

  it("lets a port have a method of the same name", () => {
    const text = "const a = { setTimeout: f }; timers.setTimeout(f, 1); clock.now();";
    assertEquals(judge(bannedRule, "engine/run/a.ts", text), []);
  });

  it("keeps console in the CLI and process.exit in its main file", () => {
    assertEquals(judge(bannedRule, "api/http/a.ts", "console.log(1);").length, 1);
    assertEquals(judge(bannedRule, "api/cli/a.ts", "console.log(1);"), []);
    assertEquals(judge(bannedRule, "api/cli/a.ts", "process.exit(1);").length, 1);
    assertEquals(judge(bannedRule, "api/cli/main.ts", "process.exit(1);"), []);
  });

  it("keeps Promise.finally out of events and engine", () => {
    assertEquals(judge(bannedRule, "engine/run/a.ts", "void work.finally(f);").length, 1);
    assertEquals(judge(bannedRule, "events/log/a.ts", "void work().finally(f);").length, 1);
    assertEquals(judge(bannedRule, "api/http/a.ts", "void work.finally(f);"), []);
    assertEquals(judge(bannedRule, "engine/run/a.ts", "try { f(); } finally { g(); }"), []);
  });

  it("reports any, enum and default exports", () => {
    for (const text of ["let a: any;", "enum A { B }", "export default 1;"]) {
      assertEquals(judge(bannedRule, "api/http/a.ts", text).length, 1, text);
    }
    assertEquals(judge(bannedRule, "a.ts", "export default function f() {}").length, 1);
  });
});

describe("budgets", () => {
  it("reports a file of 301 lines and passes one of 300", () => {
    assertEquals(judge(fileBudgetRule, "mod.ts", "a;\n".repeat(301)).length, 1);
    assertEquals(judge(fileBudgetRule, "mod.ts", "a;\n".repeat(300)), []);
  });

  it("reports a function of 71 lines and passes one of 70", () => {
    const text = (lines: number) => `function f() {\n${"a;\n".repeat(lines - 2)}}\n`;
    assertEquals(judge(functionBudgetRule, "mod.ts", text(71)).length, 1);
    assertEquals(judge(functionBudgetRule, "mod.ts", text(70)), []);
  });

  it("reports a line of 101 columns and passes one of 100", () => {
    const text = (columns: number) => "a ".padEnd(columns, "a");
    assertEquals(judge(lineBudgetRule, "mod.ts", text(101)).length, 1);
    assertEquals(judge(lineBudgetRule, "mod.ts", text(100)), []);
  });

  it("reports a long file without a header", () => {
    assertEquals(judge(headerRule, "mod.ts", "a;\n".repeat(101)).length, 1);
    assertEquals(judge(headerRule, "mod.ts", `/** A. */\n${"a;\n".repeat(101)}`), []);
  });
});

describe("documentation rules", () => {
  it("exportDocRule() reports each undocumented export", () => {
    const text = "export const a = 1;\n/** B. */\nexport interface B {}\nexport function c() {}\n";
    assertEquals(judge(exportDocRule, "mod.ts", text).length, 2);
  });

  it("moduleDocRule() wants @module and an example in mod.ts", () => {
    assertEquals(judge(moduleDocRule, "events/mod.ts", "export {};").length, 1);
    assertEquals(judge(moduleDocRule, "events/mod.ts", "/** A.\n@module */").length, 1);
    assertEquals(judge(moduleDocRule, "mod.ts", "/** A.\n```ts\na\n```\n@module */"), []);
    assertEquals(judge(moduleDocRule, "events/a.ts", "export {};"), []);
  });

  it("sourceLineRule() wants a source in tables and drivers", () => {
    assertEquals(judge(sourceLineRule, "engine/drivers/backup.ts", "a;").length, 1);
    assertEquals(judge(sourceLineRule, "engine/drivers/backup/driver.ts", "a;").length, 1);
    assertEquals(judge(sourceLineRule, "events/job/status_table.ts", "a;").length, 1);
    assertEquals(judge(sourceLineRule, "engine/drivers/backup.ts", "/** Source: QEMU x */"), []);
    assertEquals(judge(sourceLineRule, "events/job/evolve.ts", "a;"), []);
  });

  it("logVocabularyRule() reports the word job in events/log alone", () => {
    assertEquals(judge(logVocabularyRule, "events/log/a.ts", "const jobId = 1;").length, 1);
    assertEquals(judge(logVocabularyRule, "events/log/a.ts", "class JoblogError {}"), []);
    assertEquals(judge(logVocabularyRule, "events/job/a.ts", "const jobId = 1;"), []);
  });

  it("foreignWordRule() reports unfinished work and machine folders", () => {
    const bad = ["// TO" + "DO later", 'const a = "/ro' + 'ot/x";', "regis" + "try.npmjs.org"];
    for (const text of bad) assertEquals(judge(foreignWordRule, "mod.ts", text).length, 1, text);
    assertEquals(judge(foreignWordRule, "mod.ts", "const work = a / root;"), []);
  });

  it("fileNameRule() reports buckets, other cases and tests among the product", () => {
    for (const path of ["engine/utils.ts", "api/Service.ts", "events/helpers/a.ts", "a_test.ts"]) {
      assertEquals(judge(fileNameRule, path, "").length, 1, path);
    }
    assertEquals(judge(fileNameRule, "events/job/event_types.ts", ""), []);
  });
});

describe("import rules", () => {
  it("layerRule() reports each form of import", () => {
    const forms = [
      `import "../run/a.ts";`,
      `import type { A } from "../run/a.ts";`,
      `export * from "../run/a.ts";`,
      `await import("../run/a.ts");`,
      `type B = import("../run/a.ts").A;`,
    ];
    for (const text of forms) {
      assertEquals(judge(layerRule, "engine/core/a.ts", text).length, 1, text);
    }
  });

  it("layerRule() tells types from values where the table does", () => {
    const path = "events/job/a.ts";
    assertEquals(judge(layerRule, path, `import { type A } from "../log/a.ts";`), []);
    assertEquals(judge(layerRule, path, `import type { A } from "../log/a.ts";`), []);
    assertEquals(judge(layerRule, path, `import { type A, b } from "../log/a.ts";`).length, 1);
  });

  it("findCycles() finds a cycle through three files and none in a chain", () => {
    const a = parseSource("x/a.ts", `import "./b.ts";`);
    const b = parseSource("x/b.ts", `export * from "../y/c.ts";`);
    const chain = parseSource("y/c.ts", "");
    const back = parseSource("y/c.ts", `import type { A } from "../x/a.ts";`);
    assertEquals(findCycles([a, b, chain]), []);
    const found = showFaults(findCycles([a, b, back]));
    assertStringIncludes(found, "x/a.ts -> x/b.ts -> y/c.ts -> x/a.ts");
  });
});
