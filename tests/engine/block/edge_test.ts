import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { drainedAll, type DrainedEdge, Edge } from "../../../engine/block/edge.ts";
import { BlockError } from "../../../engine/block/errors.ts";
import { FileNode } from "../../../engine/block/file_node.ts";
import { ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { MemoryNode } from "./memory_node.ts";
import { nodeConformance } from "./node_conformance.ts";
import { numbersFrom } from "./qcow2/seeded.ts";

nodeConformance("Edge over a file", () => {
  const folder = new ImageFolder();
  return {
    async make(size) {
      const node = await FileNode.open(folder.file("a.raw"), { create: "exclusive" });
      await node.truncate(size);
      return new Edge(node);
    },
    dispose: () => folder.remove(),
  };
});

const one = (value: number) => new Uint8Array([value]);

/** A promise and the way to settle it. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => open = resolve);
  return { open, opened };
}

describe("Edge", () => {
  it("replace parts what came before from what comes after", async () => {
    const [before, after] = [new MemoryNode(new Uint8Array(2)), new MemoryNode(new Uint8Array(2))];
    const edge = new Edge(before);
    const first = edge.write(0, one(1));
    const replacing = edge.replace(after);
    const second = edge.write(1, one(2));
    assertEquals([edge.inFlight, edge.heldCount], [1, 2]);
    assertEquals(await replacing, before);
    await Promise.all([first, second]);
    assertEquals([[...before.bytes], [...after.bytes]], [[1, 0], [0, 2]]);
    assertEquals([edge.child, before.isClosed], [after, false]);
  });

  it("replace calls back when nothing is in flight and nothing has begun", async () => {
    const node = new MemoryNode(new Uint8Array(3));
    const edge = new Edge(node);
    const writes = [edge.write(0, one(1)), edge.write(1, one(1))];
    let seen: number[] = [];
    const replacing = edge.replace((before) => new Edge(before), async () => {
      await Promise.resolve();
      seen = [...node.bytes, edge.inFlight];
    });
    writes.push(edge.write(2, one(1)));
    await Promise.all([...writes, replacing]);
    assertEquals(seen, [1, 1, 0, 0]);
    assertEquals([...node.bytes], [1, 1, 1]);
  });

  it("a drain waits for the last of those in flight, not for the first", async () => {
    let wait = 0;
    const node = new MemoryNode(new Uint8Array(2), { turns: () => wait });
    const edge = new Edge(node);
    wait = 1;
    const quick = edge.write(0, one(1));
    wait = 30;
    const slow = edge.write(1, one(1));
    assertEquals(await edge.drained(() => [...node.bytes, edge.inFlight]), [1, 1, 0]);
    await Promise.all([quick, slow]);
  });

  it("a failing callback replaces nothing and lets the held go on", async () => {
    const node = new MemoryNode(new Uint8Array(1));
    const edge = new Edge(node);
    const other = new MemoryNode(new Uint8Array(1));
    const replacing = edge.replace(other, () => Promise.reject(new Error("no bitmap")));
    const write = edge.write(0, one(9));
    await assertRejects(() => replacing, Error, "no bitmap");
    await write;
    assertEquals([edge.child === node, node.bytes[0], other.bytes[0]], [true, 9, 0]);
  });

  it("a failing request counts as settled", async () => {
    const node = new MemoryNode(new Uint8Array(1), {
      before: () => {
        throw new Error("broken");
      },
    });
    const edge = new Edge(node);
    const write = edge.write(0, one(1));
    const drained = edge.drained(() => edge.inFlight);
    await assertRejects(() => write, Error, "broken");
    assertEquals(await drained, 0);
  });

  it("held requests start in order of arrival, before one that comes as they start", async () => {
    const order: number[] = [];
    const node = new MemoryNode(new Uint8Array(8), { turns: () => 0 });
    const edge = new Edge({
      ...forward(node),
      write: (offset: number) => {
        order.push(offset);
        return Promise.resolve();
      },
    });
    const hold = gate();
    const drained = edge.drained(() => hold.opened);
    const writes = [0, 1, 2].map((offset) => edge.write(offset, one(1)));
    const second = edge.drained(() => void order.push(100));
    writes.push(edge.write(3, one(1)));
    const last = drained.then(() => edge.write(4, one(1)));
    hold.open();
    await Promise.all([...writes, second, last]);
    assertEquals(order, [0, 1, 2, 100, 3, 4]);
  });

  it("a drain's right to replace ends with it", async () => {
    const edge = new Edge(new MemoryNode(new Uint8Array(1)));
    let kept: DrainedEdge | undefined;
    await edge.drained((moment) => void (kept = moment));
    assertThrows(() => kept?.replace(new MemoryNode(one(1))), Error, "the drain is over");
  });

  it("copyRange into an edge passes on, and is done by hand if the child changed", async () => {
    const folder = new ImageFolder();
    folder.write("source", noise(700_000));
    folder.write("target", new Uint8Array(700_000));
    const [source, target] = [
      await FileNode.open(folder.file("source"), { readOnly: true }),
      await FileNode.open(folder.file("target")),
    ];
    const edge = new Edge(target);
    await edge.copyRange(source, 5, 0, 600_000);
    assert(
      sameBytes(folder.read("target").subarray(0, 600_000), noise(700_000).subarray(5, 600_005)),
    );
    const memory = new MemoryNode(new Uint8Array(700_000));
    const replacing = edge.replace(memory);
    const copying = edge.copyRange(source, 0, 0, 700_000);
    assertEquals(await replacing, target);
    await copying;
    assert(sameBytes(memory.bytes, noise(700_000)));
    assertEquals(edge.copyRange(source, 0, 0, 1), undefined);
    await Promise.all([source.close(), target.close()]);
    folder.remove();
  });

  it("close waits for what came before, releases once, and refuses what comes after", async () => {
    const node = new MemoryNode(new Uint8Array(1));
    const released: unknown[] = [];
    const edge = new Edge(node, { release: (child) => void released.push(child) });
    const write = edge.write(0, one(5));
    const closing = edge.close();
    const late = assertRejects(() => edge.write(0, one(6)), BlockError, "it is closed");
    await Promise.all([write, closing, late, edge.close()]);
    assertEquals([released, node.bytes[0], node.isClosed], [[node], 5, false]);
    await assertRejects(async () => await edge.copyRange(node, 0, 0, 1), BlockError);
  });

  it("drainedAll holds all edges at one moment, from the top down", async () => {
    const node = new MemoryNode(new Uint8Array(2));
    const below = new Edge(node);
    const above = new Edge(below);
    const writes = [above.write(0, one(1)), below.write(1, one(2))];
    const seen = await drainedAll([above, below], (edges) => {
      edges[0]!.replace(node);
      return [edges.length, ...node.bytes];
    });
    assertEquals([seen, above.child], [[2, 1, 2], node]);
    await Promise.all(writes);
  });

  it("each write lands in exactly one child, whatever the moments of the changes", async () => {
    for (let seed = 0; seed < 40; seed++) {
      const next = numbersFrom(seed);
      const children = [0, 1, 2].map((index) =>
        new MemoryNode(new Uint8Array(200), { name: String(index), turns: () => next(6) })
      );
      const edge = new Edge(children[0]!);
      let epoch = 0;
      const work: Promise<unknown>[] = [];
      const expected = children.map(() => new Uint8Array(200));
      for (let index = 0; index < 200; index++) {
        if (next(7) === 0) {
          epoch = next(3);
          work.push(edge.replace(children[epoch]!));
        }
        expected[epoch]![index] = 1;
        work.push(edge.write(index, one(1)));
        for (let turn = next(4); turn > 0; turn--) await Promise.resolve();
      }
      await Promise.all(work);
      children.forEach((child, index) => assert(sameBytes(child.bytes, expected[index]!)));
    }
  });
});

/** The members of a node as plain properties, so that one can be replaced. */
function forward(node: MemoryNode) {
  return {
    name: node.name,
    identity: node.identity,
    size: node.size,
    isReadOnly: false,
    read: node.read.bind(node),
    zero: node.zero.bind(node),
    discard: node.discard.bind(node),
    flush: node.flush.bind(node),
    extent: node.extent.bind(node),
    truncate: node.truncate.bind(node),
    measure: node.measure.bind(node),
    stamp: node.stamp.bind(node),
    close: node.close.bind(node),
  };
}
