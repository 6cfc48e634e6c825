import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { FilterNode } from "../../../engine/block/filters/filter_node.ts";
import { type Bench, qcow2, raw, SIZE, withBench } from "./graph_bench.ts";

/** Counts what is written through it. */
class Counter extends FilterNode {
  count = 0;

  override async write(offset: number, bytes: Uint8Array): Promise<void> {
    this.count += 1;
    await super.write(offset, bytes);
  }
}

async function byteOf(bench: Bench, node: string): Promise<number> {
  const edge = bench.graph.reader(node);
  const bytes = new Uint8Array(1);
  await edge.read(0, bytes);
  await edge.close();
  return bytes[0]!;
}

describe("NodeSession.insertFilter()", () => {
  it("comes in and goes under a running writer, at one moment", () =>
    withBench(async (bench) => {
      const { graph } = bench;
      await graph.add(raw("a"));
      const guest = graph.writer("a");
      const session = bench.session("1");
      let counter: Counter | undefined;
      const writes: Promise<void>[] = [];
      let started = 0;
      const write = () => {
        started += 1;
        writes.push(guest.write(started * 512, new Uint8Array(512).fill(7)));
      };
      for (let count = 0; count < 5; count++) write();
      const inserting = session.insertFilter({
        above: "a",
        driver: "copy-before-write",
        name: "filter",
        make: (child) => {
          // Requests that came before have settled, those that came after are held.
          assertEquals(guest.inFlight, 0);
          return counter = new Counter(child);
        },
      });
      for (let count = 0; count < 5; count++) {
        await Promise.resolve();
        write();
      }
      assertEquals(await inserting, "filter");
      write();
      await Promise.all(writes);
      const seen = counter!.count;
      assertEquals(seen >= 1 && seen <= 6, true);
      assertEquals(guest.child, graph.live.get("filter")!.node);
      assertEquals(bench.recorded(), bench.live());
      await session.removeFilter("filter");
      write();
      await Promise.all(writes);
      assertEquals(counter!.count, seen);
      assertEquals(bench.since(0).slice(-4), [
        "NodeAdded filter",
        "EdgeReplaced null.root a -> filter",
        "EdgeReplaced null.root filter -> a",
        "NodeRemoved filter",
      ]);
      assertEquals(bench.recorded(), bench.live());
    }));

  it("goes between an overlay and its backing file", () =>
    withBench(async (bench) => {
      await bench.graph.add(raw("a"));
      await bench.graph.add(qcow2("top", { backing: "a" }));
      const session = bench.session("1");
      const make = (child: FilterNode["child"]) => new Counter(child);
      const filter = await session.insertFilter({ above: "a", driver: "copy-on-read", make });
      assertEquals(bench.graph.view.node("top")!.children["backing"], filter);
      assertEquals(bench.recorded(), bench.live());
      assertEquals(await byteOf(bench, "top"), 1);
      await session.release();
      assertEquals(bench.graph.view.node("top")!.children["backing"], "a");
      assertEquals(bench.recorded(), bench.live());
    }));

  it("refuses a name that is taken or malformed", () =>
    withBench(async (bench) => {
      await bench.graph.add(raw("a"));
      const insert = (name: string) =>
        bench.session("1").insertFilter({ above: "a", name, driver: "x", make: (child) => child });
      const text = async (name: string) =>
        (await assertRejects(() => insert(name)) as Error).message;
      assertEquals(await text("a"), "Duplicate nodes with node-name='a'");
      assertEquals(await text("0bad"), "Invalid node-name: '0bad'");
    }));
});

describe("NodeSession: targets", () => {
  it("must be writable, also those of filters", () =>
    withBench(async (bench) => {
      await bench.graph.add(raw("a"));
      await bench.graph.add({ ...raw("b"), "read-only": true });
      const session = bench.session("1");
      const text = "Block node is read-only";
      assertThrows(() => session.attach("b", "write"), Error, text);
      const others = { target: "b" };
      const filter = { above: "a", driver: "copy-before-write", others };
      const insert = () => session.insertFilter({ ...filter, make: (child) => child });
      await assertRejects(insert, Error, text);
      assertEquals([session.attach("b").size, bench.recorded()], [SIZE, bench.live()]);
    }));
});

describe("NodeSession.resolve()", () => {
  it("finds a node by name, or opens a file in the format that it has", () =>
    withBench(async (bench) => {
      await bench.graph.add(raw("a"));
      const session = bench.session("1");
      assertEquals(await session.resolve("a"), "a");
      const top = await session.resolve("top.qcow2", { readOnly: true });
      assertEquals(session.view.chain(top).length, 3);
      const plain = await session.resolve("b.raw");
      assertEquals(session.find(plain).driver, "raw");
      assertEquals(await session.resolve("b.raw"), plain);
      const owners = new Set(bench.head.nodes.map(({ owner }) => owner));
      assertEquals(owners, new Set([null, "1"]));
      assertEquals(bench.recorded(), bench.live());
      await session.release();
      assertEquals(bench.live(), ["#block100 rw", "a rw file=#block100"]);
      assertEquals(bench.recorded(), bench.live());
    }));

  it("refuses a file that is not there", () =>
    withBench(async (bench) => {
      const error = await assertRejects(() => bench.session("1").resolve("nope.raw")) as Error;
      assertEquals(error.message, "Could not open 'nope.raw': No such file or directory");
    }));
});

describe("NodeSession.check()", () => {
  it("lets through what the holder and the overlay allow", () =>
    withBench(async (bench) => {
      await bench.graph.add(qcow2("base"));
      await bench.graph.add(qcow2("top", { backing: "base" }));
      const [holder, other] = [bench.session("1", "commit"), bench.session("2")];
      holder.hold("top", ["stream"]);
      other.check("top", "stream");
      const busy = (work: () => void) => (assertThrows(work) as Error).message;
      const held = "Node 'top' is busy: block device is in use by block job: commit";
      assertEquals(busy(() => other.check("top", "backup-source")), held);
      other.check("base", "backup-source");
      const below = "Node 'base' is busy: node is used as backing hd of 'top'";
      assertEquals(busy(() => other.check("base", "mirror-source")), below);
      await holder.release();
      other.check("top", "backup-source");
    }));
});

describe("NodeSession.replace()", () => {
  it("pivots parents and guests, and records before anything is written there", () =>
    withBench(async (bench) => {
      const { graph } = bench;
      await graph.add(raw("a"));
      const session = bench.session("1", "mirror");
      const target = await session.resolve("b.raw");
      const guest = graph.writer("a");
      let write: Promise<void> | undefined;
      await session.replace("a", target, async (changes) => {
        write = guest.write(0, Uint8Array.of(9));
        await bench.record(changes);
        assertEquals([await byteOf(bench, "a"), await byteOf(bench, target)], [1, 2]);
      });
      await write;
      assertEquals([await byteOf(bench, "a"), await byteOf(bench, target)], [1, 9]);
      await session.release();
      assertEquals(bench.graph.view.node(target)!.owner, null);
      await guest.write(0, Uint8Array.of(8));
      assertEquals(await byteOf(bench, target), 8);
      assertEquals(bench.recorded(), bench.live());
    }));

  it("moves nothing when the record fails", () =>
    withBench(async (bench) => {
      await bench.graph.add(raw("a"));
      await bench.graph.add(raw("b"));
      const guest = bench.graph.writer("a");
      const failing = () => Promise.reject(new Error("disk full"));
      await assertRejects(() => bench.session("1").replace("a", "b", failing), Error, "disk full");
      assertEquals(guest.child, bench.graph.live.get("a")!.node);
    }));
});

describe("NodeSession.setBacking()", () => {
  it("drops the implicit rest of a chain", () =>
    withBench(async (bench) => {
      await bench.graph.add(qcow2("top"));
      const session = bench.session("1", "stream");
      await session.setBacking("top", null);
      assertEquals(bench.live().length, 2);
      assertEquals(bench.recorded(), bench.live());
    }));

  it("refuses a ring", () =>
    withBench(async (bench) => {
      await bench.graph.add(qcow2("base"));
      await bench.graph.add(qcow2("top", { backing: "base" }));
      const work = () => bench.session("1").setBacking("base", "top");
      const error = await assertRejects(work) as Error;
      const text = "Making 'top' a backing child of 'base' would create a cycle";
      assertEquals(error.message, text);
    }));
});

describe("NodeSession.setReadOnly()", () => {
  it("makes a backing file writable for a job and read-only again", () =>
    withBench(async (bench) => {
      await bench.graph.add(qcow2("top"));
      const base = bench.graph.view.chain("top")[2]!.name;
      const session = bench.session("1", "commit");
      await session.setReadOnly(base, false);
      const edge = session.attach(base);
      await edge.write(0, Uint8Array.of(7));
      await edge.close();
      await session.setReadOnly(base, true);
      assertEquals(await byteOf(bench, "top"), 7);
      assertEquals(bench.recorded(), bench.live());
    }));
});
