import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { renameSync } from "node:fs";
import { join } from "node:path";
import { qcow2, raw, withBench } from "./graph_bench.ts";

describe("Graph.rebuild()", () => {
  it("opens what was recorded, as it was", () =>
    withBench(async (bench) => {
      await bench.graph.add(raw("a"));
      await bench.graph.add(qcow2("top"));
      await bench.graph.reopen([
        { driver: "raw", "node-name": "a", file: "#block100", "read-only": true },
      ]);
      const before = bench.live();
      const count = bench.changes.length;
      await bench.restart();
      assertEquals([bench.live(), bench.since(count)], [before, []]);
    }));

  it("records nodes that are missing, with the nodes above them, and goes on", () =>
    withBench(async (bench) => {
      await bench.graph.add(raw("a"));
      await bench.graph.add(raw("b"));
      const [here, away] = [join(bench.folder, "a.raw"), join(bench.folder, "away.raw")];
      renameSync(here, away);
      const count = bench.changes.length;
      await bench.restart();
      assertEquals(bench.since(count), ["NodeMissing #block100", "NodeMissing a"]);
      assertEquals(bench.live(), bench.recorded());
      assertEquals(bench.graph.view.node("a")!.missing, {
        errno: "ENOENT",
        number: 2,
        text: "Could not open 'a.raw': No such file or directory",
      });
      const { message } = assertThrows(() => bench.graph.writer("a")) as Error;
      const why = "Could not open 'a.raw': No such file or directory";
      assertEquals(message, `Cannot use node "a": it is missing: ${why}`);
      const again = bench.changes.length;
      await bench.restart();
      assertEquals(bench.since(again), []);
      renameSync(away, here);
      await bench.restart();
      assertEquals(bench.since(again), ["NodeReopened #block100", "NodeReopened a"]);
      assertEquals(bench.live(), bench.recorded());
    }));

  it("lets a user bring back or delete what is missing", () =>
    withBench(async (bench) => {
      await bench.graph.add({ driver: "file", "node-name": "f", filename: "a.raw" });
      const [here, away] = [join(bench.folder, "a.raw"), join(bench.folder, "away.raw")];
      renameSync(here, away);
      await bench.restart();
      renameSync(away, here);
      await bench.graph.reopen([{ driver: "file", "node-name": "f", filename: "a.raw" }]);
      assertEquals(bench.live(), ["f rw"]);
      renameSync(here, away);
      await bench.restart();
      await bench.graph.remove("f");
      assertEquals(bench.head.nodes, []);
    }));

  it("takes out the nodes of jobs and leads past their filters", () =>
    withBench(async (bench) => {
      await bench.graph.add(raw("a"));
      await bench.graph.add(qcow2("top", { backing: "a" }));
      const before = bench.live();
      const session = bench.session("1");
      await session.resolve("b.raw");
      const make = (child: Parameters<typeof Object.is>[0]) => child;
      const one = await session.insertFilter({ above: "a", driver: "copy-on-read", make });
      await session.insertFilter({ above: one, driver: "mirror_top", role: "backing", make });
      await bench.restart();
      assertEquals([bench.live(), bench.recorded()], [before, before]);
    }));

  it("marks bitmaps lost, which can then only be removed", () =>
    withBench(async (bench) => {
      const map = { node: "a", bitmap: "map" };
      await bench.graph.add(raw("a"));
      await bench.graph.bitmap("add", map);
      const count = bench.changes.length;
      await bench.restart();
      assertEquals(bench.since(count), ["BitmapLost map"]);
      let text = "";
      await bench.graph.bitmap("clear", map).catch((error: Error) => text = error.message);
      assertEquals(text, "Bitmap 'map' is inconsistent and cannot be used");
      await bench.graph.bitmap("remove", map);
      assertEquals(bench.graph.view.node("a")!.bitmaps, []);
    }));
});
