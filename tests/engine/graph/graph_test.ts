import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createQcow2 } from "../../../engine/block/qcow2/mod.ts";
import { type Bench, qcow2, raw, SIZE, withBench } from "./graph_bench.ts";

async function read(bench: Bench, node: string, offset = 0): Promise<number> {
  const edge = bench.graph.reader(node);
  const bytes = new Uint8Array(1);
  await edge.read(offset, bytes);
  await edge.close();
  return bytes[0]!;
}

describe("Graph.add()", () => {
  it("records each node of a nested definition, children first, with complete options", () =>
    withBench(async (bench) => {
      assertEquals(await bench.graph.add(raw("a")), "a");
      const [file, node] = bench.head.nodes;
      assertEquals([file!.name, node!.name], ["#block100", "a"]);
      const flags = { "read-only": false, "auto-read-only": false };
      assertEquals(file!.options, {
        driver: "file",
        "node-name": "#block100",
        ...flags,
        filename: "a.raw",
      });
      assertEquals([file!.path, file!.isExplicit], [join(bench.folder, "a.raw"), false]);
      assertEquals(node!.options, {
        driver: "raw",
        "node-name": "a",
        ...flags,
        offset: 0,
        file: "#block100",
      });
      assertEquals([node!.path, node!.isExplicit, node!.owner], [null, true, null]);
      assertEquals(bench.live(), bench.recorded());
      assertEquals(await read(bench, "a"), 1);
    }));

  it("opens the backing files that headers name, read-only and implicit", () =>
    withBench(async (bench) => {
      await bench.graph.add(qcow2("top"));
      const chain = bench.graph.view.chain("top");
      assertEquals(chain.map(({ isReadOnly }) => isReadOnly), [false, true, true]);
      assertEquals(chain.slice(1).map(({ isExplicit }) => isExplicit), [false, false]);
      const files = chain.map(({ children }) => bench.graph.view.node(children["file"]!)!.path);
      assertEquals(
        files,
        ["top", "mid", "base"].map((name) => join(bench.folder, `${name}.qcow2`)),
      );
      assertEquals(bench.live(), bench.recorded());
      await bench.graph.remove("top");
      assertEquals([bench.live(), bench.head.nodes], [[], []]);
    }));

  it("leaves the backing file out when the options say null", () =>
    withBench(async (bench) => {
      await bench.graph.add(qcow2("top", { backing: null }));
      assertEquals(bench.graph.view.chain("top").length, 1);
    }));

  it("refuses a backing file behind a protocol by its name", () =>
    withBench(async (bench) => {
      for (const [name, type] of [["nbd://host/x", "nbd"], ['json:{"a":1}', "json"]] as const) {
        const path = join(bench.folder, `${type}.qcow2`);
        writeFileSync(join(bench.folder, "x.raw-longer-name"), new Uint8Array(SIZE));
        const overlay = { backingFile: "x.raw-longer-name", backingFormat: "raw" } as const;
        await (await createQcow2(path, { size: SIZE, ...overlay })).close();
        const bytes = readFileSync(path);
        const at = bytes.indexOf("x.raw-longer-name");
        bytes.write(name.padEnd("x.raw-longer-name".length, "x"), at);
        writeFileSync(path, bytes);
        const error = await assertRejects(() => bench.graph.add(qcow2(type))) as Error;
        assertEquals(error.message.includes(`a backing file of type "${type}"`), true);
        assertEquals(bench.live(), []);
      }
    }));

  it("lets a child follow its parent's read-only, unless it says otherwise", () =>
    withBench(async (bench) => {
      await bench.graph.add({ ...raw("a"), "read-only": true });
      assertEquals(bench.head.nodes.map(({ isReadOnly }) => isReadOnly), [true, true]);
      const file = { driver: "file", filename: "b.raw", "read-only": true };
      const b = { driver: "raw", "node-name": "b", "auto-read-only": true, file };
      await bench.graph.add(b);
      assertEquals(bench.graph.view.node("b")!.isReadOnly, true);
    }));
});

describe("Graph.writer()", () => {
  it("is kept from a read-only node over a writable one", () =>
    withBench(async (bench) => {
      const { graph } = bench;
      await graph.add({ driver: "file", "node-name": "f", filename: "a.raw" });
      await graph.add({ driver: "raw", "node-name": "x", file: "f", "read-only": true });
      assertThrows(() => graph.writer("x"), Error, "Block node is read-only");
      await assertRejects(() => graph.reader("x").write(0, new Uint8Array(1)));
      assertEquals([await read(bench, "x"), bench.recorded()], [1, bench.live()]);
    }));
});

describe("Graph.remove()", () => {
  it("keeps what has another parent, or what a user added", () =>
    withBench(async (bench) => {
      const { graph } = bench;
      await graph.add({ driver: "file", "node-name": "f", filename: "a.raw" });
      await graph.add({ driver: "raw", "node-name": "x", file: "f" });
      await graph.add({ driver: "raw", "node-name": "y", file: "f" });
      await graph.remove("x");
      await graph.remove("y");
      assertEquals(bench.live(), ["f rw"]);
      await graph.remove("f");
      assertEquals(bench.live(), []);
    }));
});

describe("Graph.reopen()", () => {
  it("makes a node and its file read-only, but not under a writer, and writable again", () =>
    withBench(async (bench) => {
      const { graph } = bench;
      await graph.add(raw("a"));
      const guest = graph.writer("a");
      const reopen = (isReadOnly: boolean) =>
        graph.reopen([{
          driver: "raw",
          "node-name": "a",
          file: "#block100",
          "read-only": isReadOnly,
        }]);
      const refused = await assertRejects(() => reopen(true)) as Error;
      const text = "Read-only block node 'a' cannot support read-write users";
      assertEquals(refused.message, text);
      await guest.close();
      await reopen(true);
      assertEquals(bench.live(), ["#block100 ro", "a ro file=#block100"]);
      assertEquals(bench.recorded(), bench.live());
      assertThrows(() => graph.writer("a"));
      await reopen(false);
      await graph.writer("a").write(0, Uint8Array.of(9));
      assertEquals(await read(bench, "a"), 9);
      assertEquals(bench.recorded(), bench.live());
    }));

  it("gives an overlay another backing file, and none", () =>
    withBench(async (bench) => {
      const { graph } = bench;
      await graph.add(raw("a"));
      await graph.add(qcow2("base"));
      await graph.add(qcow2("top", { backing: "base" }));
      const reopen = (backing: string | null) =>
        graph.reopen([{
          driver: "qcow2",
          "node-name": "top",
          file: bench.graph.view.node("top")!.children["file"]!,
          backing,
        }]);
      await reopen("a");
      assertEquals(await read(bench, "top"), 1);
      await reopen(null);
      assertEquals(await read(bench, "top"), 0);
      assertEquals(bench.recorded(), bench.live());
      await reopen("a");
      assertEquals([await read(bench, "top"), bench.recorded()], [1, bench.live()]);
    }));

  const REFUSED: readonly (readonly [string, { readonly [key: string]: string | number }])[] = [
    ["node-name not specified", {}],
    ["Failed to find node with node-name='ghost'", { "node-name": "ghost" }],
    ["Cannot change the option 'offset'", { "node-name": "a", offset: 512 }],
    ["Cannot change the option 'file'", { "node-name": "a", file: "b" }],
    ["Cannot change the option 'driver'", { "node-name": "#block100" }],
  ];
  for (const [text, more] of REFUSED) {
    it(`refuses: ${text}`, () =>
      withBench(async (bench) => {
        await bench.graph.add(raw("a"));
        const input = { driver: "raw", file: "#block100", ...more };
        const error = await assertRejects(() => bench.graph.reopen([input])) as Error;
        assertEquals(error.message, text);
        assertEquals(bench.recorded(), bench.live());
      }));
  }

  it("leaves the node as it was when it cannot be opened in the new way", () =>
    withBench(async (bench) => {
      const { graph } = bench;
      const file = { driver: "file", "node-name": "f", filename: "a.raw", "read-only": true };
      await graph.add(file);
      await graph.add({ driver: "raw", "node-name": "x", file: "f", "read-only": true });
      const writable = { driver: "raw", "node-name": "x", file: "f" };
      const error = await assertRejects(() => graph.reopen([writable])) as Error;
      assertEquals(error.message, "Block node is read-only");
      assertEquals([bench.recorded(), await read(bench, "x")], [bench.live(), 1]);
    }));
});

describe("Graph.bitmap()", () => {
  const MAP = { node: "a", bitmap: "map" } as const;

  it("records guests' writes from its addition on, and not before", () =>
    withBench(async (bench) => {
      const { graph } = bench;
      await graph.add(raw("a"));
      const guest = graph.writer("a");
      await guest.write(0, new Uint8Array(1));
      await graph.bitmap("add", { ...MAP, granularity: 512 });
      await guest.write(1_024, new Uint8Array(513));
      assertEquals(graph.bits(MAP)!.dirtyBytes, 1_024);
      await graph.bitmap("disable", MAP);
      await guest.write(8_192, new Uint8Array(1));
      assertEquals(graph.bits(MAP)!.dirtyBytes, 1_024);
      await graph.bitmap("enable", MAP);
      await graph.bitmap("add", { node: "a", bitmap: "all", granularity: 512 });
      await guest.write(8_192, new Uint8Array(1));
      await graph.mergeBitmaps({ node: "a", bitmap: "all" }, ["map"]);
      assertEquals(graph.bits({ node: "a", bitmap: "all" })!.dirtyBytes, 1_536);
      await graph.bitmap("clear", MAP);
      assertEquals(graph.bits(MAP)!.dirtyBytes, 0);
      await graph.bitmap("remove", MAP);
      assertEquals(graph.bits(MAP), undefined);
    }));

  const REFUSED: readonly (readonly [string, (bench: Bench) => Promise<void>])[] = [
    [
      "Cannot find device='ghost' nor node-name='ghost'",
      ({ graph }) => graph.bitmap("add", { node: "ghost", bitmap: "x" }),
    ],
    ["Bitmap name cannot be empty", ({ graph }) => graph.bitmap("add", { node: "a", bitmap: "" })],
    ["Bitmap already exists: map", ({ graph }) => graph.bitmap("add", MAP)],
    [
      "Granularity must be power of 2 and at least 512",
      ({ graph }) => graph.bitmap("add", { node: "a", bitmap: "x", granularity: 768 }),
    ],
    [
      "Can't store persistent bitmaps to a: Operation not supported",
      ({ graph }) => graph.bitmap("add", { node: "a", bitmap: "x", persistent: true }),
    ],
    [
      "Node 'ghost' not found",
      ({ graph }) => graph.bitmap("clear", { node: "ghost", bitmap: "x" }),
    ],
    [
      "Node 'ghost' not found",
      ({ graph }) => graph.mergeBitmaps(MAP, [{ node: "ghost", bitmap: "x" }]),
    ],
    [
      "Bitmap name cannot be empty",
      ({ graph }) => graph.bitmap("add", { node: "ghost", bitmap: "" }),
    ],
    [
      "Dirty bitmap 'ghost' not found",
      ({ graph }) => graph.bitmap("clear", { node: "a", bitmap: "ghost" }),
    ],
    ["Dirty bitmap 'ghost' not found", ({ graph }) => graph.mergeBitmaps(MAP, ["ghost"])],
    ["Bitmap 'map' is currently in use by another operation and cannot be used", (bench) => {
      bench.graph.live.get("a")!.bitmaps.freeze(bench.graph.bits(MAP)!);
      return bench.graph.bitmap("remove", MAP);
    }],
    [
      "Bitmaps are of different sizes (destination size is 262144, source size is 512) and " +
      "can't be merged",
      async ({ graph }) => {
        await graph.add({ driver: "null-co", "node-name": "small", size: 512 });
        await graph.bitmap("add", { node: "small", bitmap: "x" });
        await graph.mergeBitmaps(MAP, [{ node: "small", bitmap: "x" }]);
      },
    ],
  ];
  for (const [text, work] of REFUSED) {
    it(`refuses: ${text}`, () =>
      withBench(async (bench) => {
        await bench.graph.add(raw("a"));
        await bench.graph.bitmap("add", MAP);
        const error = await assertRejects(() => work(bench)) as Error;
        assertEquals(error.message, text);
      }));
  }

  it("has the granularity of the node's clusters unless told", () =>
    withBench(async (bench) => {
      const path = join(bench.folder, "fine.qcow2");
      await (await createQcow2(path, { size: SIZE, clusterSize: 8_192 })).close();
      await bench.graph.add(qcow2("fine"));
      await bench.graph.bitmap("add", { node: "fine", bitmap: "x" });
      assertEquals(bench.graph.view.node("fine")!.bitmaps[0]!.granularity, 8_192);
    }));
});
