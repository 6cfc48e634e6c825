import process from "node:process";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { itWhen } from "../support/skip.ts";
import plugin from "./lint_plugin.ts";

const onDeno = "deno" in process.versions;
const ROOT = decodeURIComponent(new URL("../../", import.meta.url).pathname);
const onDenoIt = (name: string, fn: () => void) =>
  itWhen(onDeno, "lint plugins run in Deno only", name, fn);

function messages(path: string, source: string): string[] {
  return Deno.lint.runPlugin(plugin, ROOT + path, source).map(({ message }) => message);
}

describe("joblog/layers", () => {
  const forms: readonly (readonly [form: string, source: string])[] = [
    ["import", `import { a } from "../run/a.ts"; a();`],
    ["type import", `import type { A } from "../run/a.ts"; export type B = A;`],
    ["inline type import", `import { type A } from "../run/a.ts"; export type B = A;`],
    ["side-effect import", `import "../run/a.ts";`],
    ["re-export", `export { a } from "../run/a.ts";`],
    ["re-export of all", `export * from "../run/a.ts";`],
    ["dynamic import", `await import("../run/a.ts");`],
    ["import type expression", `export type B = import("../run/a.ts").A;`],
  ];
  onDenoIt("reports a forbidden import in each of its forms", () => {
    for (const [form, source] of forms) {
      const found = messages("engine/core/sample.ts", source);
      assertEquals(found.length, 1, form);
      assertStringIncludes(found[0] ?? "", `"engine/core" may not import "engine/run/a.ts"`);
    }
  });

  onDenoIt("accepts a type import where the row says types, and no value import", () => {
    const path = "events/job/sample.ts";
    assertEquals(messages(path, `import type { A } from "../log/event.ts"; let a: A;`), []);
    assertEquals(messages(path, `import { type A } from "../log/event.ts"; let a: A;`), []);
    assertEquals(messages(path, `import { A } from "../log/event.ts"; new A();`).length, 1);
    assertEquals(messages("mod.ts", `export * from "./events/mod.ts";`), []);
  });

  onDenoIt("reports a dynamic import whose specifier it cannot read", () => {
    assertEquals(messages("api/service.ts", `const a = "x"; await import(a);`).length, 1);
  });
});

describe("joblog/runtime-globals", () => {
  onDenoIt("reports Deno and Bun outside api/serve and tests/support", () => {
    assertEquals(messages("engine/run/a.ts", `Deno.exit(1);`).length, 1);
    assertEquals(messages("engine/run/a.ts", `Bun.gc(true);`).length, 1);
    assertEquals(messages("engine/run/a.ts", `globalThis.Deno;`).length, 1);
    assertEquals(messages("api/serve/deno.ts", `Deno.exit(1);`), []);
    assertEquals(messages("tests/support/a.ts", `Bun.gc(true);`), []);
  });
});
