import { assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ThrottleGroup } from "../../../engine/block/filters/throttle.ts";
import { raw, withBench } from "./graph_bench.ts";

describe("Graph.add() of filters", () => {
  it("injects faults by QEMU's rules below a format", () =>
    withBench(async (bench) => {
      const image = { driver: "file", filename: "a.raw" };
      const rules = [{ event: "write_aio", errno: 28, once: true }];
      const file = { driver: "blkdebug", image, "inject-error": rules };
      await bench.graph.add({ driver: "raw", "node-name": "x", file });
      assertEquals(bench.head.nodes.map(({ driver }) => driver), ["file", "blkdebug", "raw"]);
      const guest = bench.graph.writer("x");
      const error = await assertRejects(() => guest.write(0, new Uint8Array(512)));
      assertEquals((error as { readonly code?: string }).code, "ENOSPC");
      await guest.write(0, new Uint8Array(512));
      await guest.close();
      await bench.restart();
      assertEquals(bench.live(), bench.recorded());
    }));

  it("copies old bytes to the target before a write through it", () =>
    withBench(async (bench) => {
      const { graph } = bench;
      await graph.add(raw("a"));
      await graph.add(raw("b"));
      const cbw = { driver: "copy-before-write", "node-name": "cbw", file: "a", target: "b" };
      await graph.add(cbw);
      await graph.writer("cbw").write(0, Uint8Array.of(9));
      const [old, now] = [new Uint8Array(1), new Uint8Array(1)];
      await graph.reader("b").read(0, old);
      await graph.reader("a").read(0, now);
      assertEquals([old[0], now[0]], [1, 9]);
    }));

  it("refuses a throttle group that is not there, and takes one that is", () =>
    withBench(async (bench) => {
      const { graph } = bench;
      await graph.add(raw("a"));
      const node = { driver: "throttle", "node-name": "t", "throttle-group": "g", file: "a" };
      const error = await assertRejects(() => graph.add(node)) as Error;
      assertEquals(error.message, "Throttle group 'g' does not exist");
      const ports = { monotonicNs: () => 0, setTimer: () => ({ cancel: () => {} }) };
      const group = new ThrottleGroup({ "bps-total": 1_048_576 }, ports);
      graph.files.throttleGroup = () => group;
      try {
        await graph.add(node);
      } finally {
        delete graph.files.throttleGroup;
      }
      await graph.writer("t").write(0, new Uint8Array(512));
    }));
});

describe("Graph.writer() beside others", () => {
  it("may write a backing file only while nobody uses its overlay", () =>
    withBench(async (bench) => {
      const { graph } = bench;
      await graph.add(raw("a"));
      const top = { driver: "qcow2", "node-name": "top", backing: "a" };
      await graph.add({ ...top, file: { driver: "file", filename: "top.qcow2" } });
      await graph.writer("a").close();
      const file = graph.view.node("top")!.children["file"]!;
      const storage = await assertRejects(() => Promise.try(() => graph.writer(file))) as Error;
      assertEquals(
        storage.message,
        `Permission conflict on node '${file}': permissions 'write' are both required by an ` +
          `unnamed block device (uses node '${file}' as 'root' child) and unshared by node 'top' ` +
          `(uses node '${file}' as 'file' child).`,
      );
    }));
});
