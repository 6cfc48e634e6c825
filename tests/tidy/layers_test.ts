import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { importFault, layerOf, LAYERS, mayNameRuntime } from "./layers.ts";

type Sample = readonly [from: string, specifier: string, kind: "value" | "type"];

const ALLOWED: readonly Sample[] = [
  ["events/log/merkle.ts", "node:crypto", "value"],
  ["events/log/append.ts", "./event.ts", "value"],
  ["events/store/memory/store.ts", "../../log/mod.ts", "value"],
  ["events/store/sqlite/store.ts", "../sql/schema.ts", "value"],
  ["events/store/sqlite/store.ts", "node:sqlite", "value"],
  ["events/job/evolve.ts", "../log/event.ts", "type"],
  ["events/mod.ts", "./store/sqlite/mod.ts", "value"],
  ["engine/core/decide.ts", "../../events/job/mod.ts", "value"],
  ["engine/block/file.ts", "node:fs/promises", "value"],
  ["engine/drivers/backup.ts", "../block/mod.ts", "value"],
  ["engine/run/engine.ts", "../drivers/driver.ts", "value"],
  ["engine/run/system_ports.ts", "uuid", "value"],
  ["api/service.ts", "../engine/run/mod.ts", "value"],
  ["api/http/app.ts", "hono/streaming", "value"],
  ["api/cli/main.ts", "../../mod.ts", "value"],
  ["mod.ts", "./events/store/sqlite/mod.ts", "value"],
  ["tests/sim/a_test.ts", "@std/assert", "value"],
];

const FORBIDDEN: readonly (readonly [...Sample, says: string])[] = [
  ["events/log/a.ts", "../job/event.ts", "type", "nothing of ours"],
  ["events/log/a.ts", "node:fs", "value", "runtime module"],
  ["events/log/a.ts", "kysely", "value", "package"],
  ["events/store/sqlite/a.ts", "../memory/store.ts", "value", "may not import"],
  ["events/store/memory/a.ts", "../../job/mod.ts", "type", "may not import"],
  ["events/job/evolve.ts", "../log/event.ts", "value", "types only"],
  ["events/views/a.ts", "../store/memory/mod.ts", "value", "may not import"],
  ["events/mod.ts", "../engine/core/decide.ts", "type", "may not import"],
  ["engine/core/decide.ts", "../run/ports.ts", "type", "may not import"],
  ["engine/core/decide.ts", "../block/node.ts", "type", "may not import"],
  ["engine/block/raw.ts", "node:fs", "value", "runtime module"],
  ["engine/block/raw.ts", "../../events/log/event.ts", "type", "may not import"],
  ["engine/graph/graph.ts", "../drivers/driver.ts", "type", "may not import"],
  ["engine/drivers/backup.ts", "../run/context.ts", "type", "may not import"],
  ["engine/run/engine.ts", "../drivers/backup.ts", "value", "may not import"],
  ["engine/run/engine.ts", "../../events/store/memory/mod.ts", "value", "may not import"],
  ["api/service.ts", "../events/store/sqlite/mod.ts", "type", "may never import"],
  ["api/http/app.ts", "../cli/table.ts", "value", "may not import"],
  ["api/http/app.ts", "../../events/mod.ts", "type", "may not import"],
  ["api/serve/serve.ts", "../../engine/run/mod.ts", "value", "may not import"],
  ["mod.ts", "@std/assert", "value", "tests only"],
  ["mod.ts", "npm:hono", "value", "no bare name"],
  ["mod.ts", "./events/mod", "value", "ending"],
  ["misc/a.ts", "./b.ts", "value", "no row"],
];

const edge = ([from, specifier, kind]: Sample) => ({ from, specifier, typeOnly: kind === "type" });

describe("importFault()", () => {
  for (const sample of ALLOWED) {
    it(`lets ${sample[0]} import ${sample[1]} (${sample[2]})`, () => {
      assertEquals(importFault(edge(sample)), undefined);
    });
  }
  for (const [from, specifier, kind, says] of FORBIDDEN) {
    it(`forbids ${from} to import ${specifier} (${kind})`, () => {
      assertStringIncludes(importFault(edge([from, specifier, kind])) ?? "nothing", says);
    });
  }
});

describe("layerOf()", () => {
  it("takes the longest row", () => {
    assertEquals(layerOf("engine/block/file.ts")?.folder, "engine/block/file.ts");
    assertEquals(layerOf("engine/block/raw.ts")?.folder, "engine/block");
    assertEquals(layerOf("api/service/jobs.ts")?.folder, "api/service");
  });

  it("has one row a folder", () => {
    assertEquals(new Set(LAYERS.map(({ folder }) => folder)).size, LAYERS.length);
  });
});

describe("mayNameRuntime()", () => {
  it("is true of api/serve and of the test support alone", () => {
    assertEquals(mayNameRuntime("api/serve/deno.ts"), true);
    assertEquals(mayNameRuntime("tests/support/run_deno_tests.ts"), true);
    assertEquals(mayNameRuntime("api/http/app.ts"), false);
    assertEquals(mayNameRuntime("engine/run/engine.ts"), false);
  });
});
