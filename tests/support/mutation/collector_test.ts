import { assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import * as collector from "./collector.ts";

describe("collector", () => {
  it("keeps cases instead of running them, and runs hooks around each run", async () => {
    const calls: string[] = [];
    const note = (call: string) => () => void calls.push(call);
    collector.beginFile("file");
    collector.describe("outer", () => {
      collector.beforeEach(note("before outer"));
      collector.afterEach(note("after outer"));
      collector.describe("inner", () => {
        collector.beforeEach(note("before inner"));
        collector.afterEach(note("after inner"));
        collector.it("works", note("case"));
      });
      collector.it("fails", () => {
        throw new Error("on purpose");
      });
      collector.it.skip("never", note("skipped"));
    });
    const [works, fails, ...rest] = collector.CASES.splice(0);
    assertEquals([works?.name, rest.length, calls], ["file > outer > inner > works", 0, []]);
    await works!.run();
    await works!.run();
    const once = ["before outer", "before inner", "case", "after inner", "after outer"];
    assertEquals(calls.splice(0), [...once, ...once]);
    await assertRejects(() => fails!.run(), Error, "on purpose");
    assertEquals(calls, ["before outer", "after outer"]);
  });
});
