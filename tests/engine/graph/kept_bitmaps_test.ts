/** Bitmaps that the images of nodes keep, over reopenings, restarts and crashes. */

import { assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createQcow2, openQcow2 } from "../../../engine/block/qcow2/mod.ts";
import { type Bench, qcow2, SIZE, withBench } from "./graph_bench.ts";

const MAP = { node: "base", bitmap: "map" } as const;

/** What the file of a node says: name and flags of each bitmap. */
async function inFile(bench: Bench, name = "base"): Promise<readonly string[]> {
  const node = await openQcow2(join(bench.folder, `${name}.qcow2`), {
    readOnly: true,
    withoutBacking: true,
  });
  const kept = await node.kept.list();
  await node.close();
  return kept.map(({ name, isInUse, isAuto }) =>
    [name, ...isAuto ? ["auto"] : [], ...isInUse ? ["in use"] : []].join(" ")
  );
}

async function written(bench: Bench, offset: number): Promise<void> {
  const guest = bench.graph.writer("base");
  await guest.write(offset, new Uint8Array(1));
  await guest.close();
}

function facts(bench: Bench): readonly (readonly unknown[])[] {
  return bench.head.nodes.flatMap(({ bitmaps }) =>
    bitmaps.map(({ name, isEnabled, isLost, isPersistent }) => [
      ...[name, isEnabled, isLost, isPersistent],
    ])
  );
}

/** The file as it would be if the process had been killed now; the next rebuild finds it. */
async function crash(bench: Bench): Promise<void> {
  const [path, aside] = ["base.qcow2", "aside"].map((name) => join(bench.folder, name));
  copyFileSync(path!, aside!);
  await bench.graph.close();
  copyFileSync(aside!, path!);
  await bench.restart();
}

async function textOf(work: () => Promise<unknown>): Promise<string> {
  return (await assertRejects(work) as Error).message;
}

describe("bitmaps that an image keeps", () => {
  it("are there again with their bits after an orderly end", () =>
    withBench(async (bench) => {
      await bench.graph.add(qcow2("base"));
      await bench.graph.bitmap("add", { ...MAP, persistent: true, granularity: 512 });
      await bench.graph.bitmap("add", { ...MAP, bitmap: "memory" });
      await bench.graph.bitmap("add", { ...MAP, bitmap: "off", persistent: true, disabled: true });
      assertEquals(await inFile(bench), []);
      await written(bench, 1_024);
      const count = bench.changes.length;
      await bench.restart();
      assertEquals(bench.since(count), ["BitmapLost memory"]);
      assertEquals(await inFile(bench), ["off in use", "map auto in use"]);
      assertEquals(facts(bench), [
        ["map", true, false, true],
        ["memory", false, true, false],
        ["off", false, false, true],
      ]);
      await written(bench, 8_192);
      const areas = [...bench.graph.bits(MAP)!.areas()].map(({ offset }) => offset);
      assertEquals(areas, [1_024, 8_192]);
      assertEquals(bench.graph.bits({ ...MAP, bitmap: "off" })!.dirtyBytes, 0);
    }));

  it("are found when their node is added, and go with it", () =>
    withBench(async (bench) => {
      await bench.graph.add(qcow2("base"));
      await bench.graph.bitmap("add", { ...MAP, persistent: true });
      await bench.graph.remove("base");
      assertEquals([facts(bench), await inFile(bench)], [[], ["map auto"]]);
      const count = bench.changes.length;
      await bench.graph.add(qcow2("base"));
      assertEquals(bench.since(count).slice(-2), ["NodeAdded base", "BitmapFound map"]);
      assertEquals(await inFile(bench), ["map auto in use"]);
    }));

  it("are inconsistent after a crash, and new ones are gone", () =>
    withBench(async (bench) => {
      await bench.graph.add(qcow2("base"));
      await bench.graph.bitmap("add", { ...MAP, persistent: true });
      await bench.restart();
      await bench.graph.bitmap("add", { ...MAP, bitmap: "new", persistent: true });
      const count = bench.changes.length;
      await crash(bench);
      assertEquals(bench.since(count), ["BitmapLost map", "BitmapRemoved new"]);
      assertEquals(facts(bench), [["map", false, true, true]]);
      const { graph } = bench;
      for (const verb of ["clear", "enable", "disable"] as const) {
        const text = await textOf(() => graph.bitmap(verb, MAP));
        assertEquals(text, "Bitmap 'map' is inconsistent and cannot be used");
      }
      assertEquals(
        await textOf(() => graph.bitmap("add", { ...MAP, persistent: true })),
        "Bitmap already exists: map",
      );
      await bench.restart();
      assertEquals(await inFile(bench), ["map auto in use"]);
      await bench.graph.bitmap("remove", MAP);
      assertEquals(await inFile(bench), []);
    }));

  it("are read-only in an image that is, and are stored when it becomes so", () =>
    withBench(async (bench) => {
      const { graph } = bench;
      await graph.add(qcow2("base"));
      await graph.bitmap("add", { ...MAP, persistent: true, granularity: 512 });
      await written(bench, 0);
      const bits = graph.bits(MAP);
      const reopen = (isReadOnly: boolean) => {
        const file = bench.head.nodes[0]!.name;
        return graph.reopen([
          { driver: "qcow2", "node-name": "base", file, "read-only": isReadOnly },
        ]);
      };
      await reopen(true);
      assertEquals(await inFile(bench), ["map auto"]);
      for (const verb of ["clear", "remove"] as const) {
        const text = await textOf(() => graph.bitmap(verb, MAP));
        assertEquals(text, "Bitmap 'map' is readonly and cannot be modified");
      }
      assertEquals(
        await textOf(() => graph.mergeBitmaps(MAP, [])),
        "Bitmap 'map' is readonly and cannot be modified",
      );
      await graph.bitmap("disable", MAP);
      await graph.bitmap("enable", MAP);
      const count = bench.changes.length;
      await reopen(false);
      assertEquals(bench.since(count), ["NodeReopened #block100", "NodeReopened base"]);
      assertEquals([graph.bits(MAP), await inFile(bench)], [bits, ["map auto in use"]]);
      await written(bench, 4_096);
      assertEquals(bits!.dirtyBytes, 1_024);
    }));

  it("are removed from the image at once", () =>
    withBench(async (bench) => {
      await bench.graph.add(qcow2("base"));
      for (const bitmap of ["one", "two"]) {
        await bench.graph.bitmap("add", { node: "base", bitmap, persistent: true });
      }
      await bench.restart();
      await bench.graph.bitmap("remove", { node: "base", bitmap: "one" });
      assertEquals(await inFile(bench), ["two auto in use"]);
      await bench.graph.bitmap("remove", { node: "base", bitmap: "two" });
      assertEquals([await inFile(bench), facts(bench)], [[], []]);
    }));

  it("follow what another program did to them between two processes", () =>
    withBench(async (bench) => {
      await bench.graph.add(qcow2("base"));
      for (const bitmap of ["gone", "off", "other"]) {
        await bench.graph.bitmap("add", { node: "base", bitmap, persistent: true });
      }
      await bench.graph.bitmap("add", { node: "base", bitmap: "clash" });
      await bench.graph.close();
      const node = await openQcow2(join(bench.folder, "base.qcow2"));
      await node.kept.load();
      await node.kept.use();
      const take = (name: string) => node.bitmaps.take(name);
      node.bitmaps.remove(take("gone"));
      node.bitmaps.remove(take("other"));
      node.bitmaps.create({ name: "other", granularity: 512, isPersistent: true });
      node.bitmaps.create({ name: "clash", isPersistent: true });
      take("off").isRecording = false;
      await node.close();
      const count = bench.changes.length;
      await bench.restart();
      assertEquals(bench.since(count), [
        "BitmapLost clash",
        ...["BitmapRemoved gone", "BitmapDisabled off", "BitmapRemoved other"],
        ...["BitmapFound other", "BitmapRemoved clash", "BitmapFound clash"],
      ]);
      assertEquals(facts(bench).map(([name]) => name), ["off", "other", "clash"]);
    }));

  it("leaves an image alone whose node is refused because somebody else writes it", () =>
    withBench(async (bench) => {
      await bench.graph.add(qcow2("base"));
      await bench.graph.bitmap("add", { ...MAP, persistent: true });
      await bench.restart();
      await written(bench, 0);
      const before = await inFile(bench);
      const again = { ...qcow2("base"), "node-name": "again" };
      assertEquals(await textOf(() => bench.graph.add(again)), 'Failed to get "write" lock');
      assertEquals(await inFile(bench), before);
      await bench.graph.bitmap("clear", MAP);
      await bench.restart();
      assertEquals(bench.graph.bits(MAP)!.dirtyBytes, 0);
    }));

  it("leaves an image alone whose node is refused because somebody reads it", () =>
    withBench(async (bench) => {
      await bench.graph.add(qcow2("base"));
      await bench.graph.bitmap("add", { ...MAP, persistent: true });
      await bench.graph.remove("base");
      await bench.graph.add({ ...qcow2("base"), "read-only": true } as never);
      const reader = bench.graph.reader("base");
      const before = readFileSync(join(bench.folder, "base.qcow2"));
      await textOf(() => bench.graph.add({ ...qcow2("base"), "node-name": "again" }));
      assertEquals(readFileSync(join(bench.folder, "base.qcow2")), before);
      await reader.close();
    }));

  it("refuses what the image cannot keep, in QEMU's words", () =>
    withBench(async (bench) => {
      const path = join(bench.folder, "old.qcow2");
      await (await createQcow2(path, { size: SIZE, compat: "0.10" })).close();
      await bench.graph.add(qcow2("old"));
      await bench.graph.add(qcow2("base"));
      const add = (node: string, bitmap: string) =>
        textOf(() => bench.graph.bitmap("add", { node, bitmap, persistent: true }));
      assertEquals(
        await add("old", "map"),
        "Can't make bitmap 'map' persistent in 'old': Cannot store dirty bitmaps in qcow2 v2 files",
      );
      const name = "n".repeat(1_024);
      assertEquals(
        await add("base", name),
        `Can't make bitmap '${name}' persistent in 'base': Name length exceeds maximum ` +
          "(1023 characters)",
      );
      await bench.graph.bitmap("add", MAP);
      assertEquals(await add("base", "map"), "Bitmap already exists: map");
    }));
});
