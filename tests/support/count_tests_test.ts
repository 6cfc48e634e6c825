import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { closingLine, countBunJunit, countJunit } from "./count_tests.ts";

const DENO_REPORT = `
<testsuite name="./x_test.ts">
  <testcase name="a" classname="./x_test.ts" time="0.005"></testcase>
  <testcase name="top" classname="./x_test.ts" time="0.000"></testcase>
</testsuite>
<testsuite name="steps">
  <testcase name="a &gt; x"></testcase>
  <testcase name="a &gt; n"></testcase>
  <testcase name="a &gt; n &gt; z"><failure message="no"></failure></testcase>
  <testcase name="a &gt; n &gt; q"><skipped/></testcase>
</testsuite>`;

describe("countJunit()", () => {
  it("counts cases and leaves out groups", () => {
    assertEquals(countJunit(DENO_REPORT, 1), {
      passed: 2,
      failed: 1,
      skipped: 1,
      skippedNames: ["a > n > q"],
    });
  });

  it("counts a run that broke off as one failure", () => {
    assertEquals(countJunit("", 1).failed, 1);
    assertEquals(countJunit("", 0).failed, 0);
  });
});

describe("countBunJunit()", () => {
  it("counts each case, self-closed ones too", () => {
    const xml = `<testcase name="x" /><testcase name="y"><skipped /></testcase>`;
    assertEquals(countBunJunit(xml, 0).passed, 1);
    assertEquals(countBunJunit(xml, 0).skippedNames, ["y"]);
  });
});

describe("closingLine()", () => {
  it("is one plain line", () => {
    assertEquals(
      closingLine("deno", { passed: 4, failed: 1, skipped: 0, skippedNames: [] }),
      "deno: 4 passed, 1 failed, 0 skipped",
    );
  });
});
