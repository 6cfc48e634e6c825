import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import { numbersFrom } from "../block/qcow2/seeded.ts";
import { backingOf, expectShows } from "./chain_bed.ts";
import { CHAIN_SIZE, NodeChain } from "./node_chain.ts";

let chain: NodeChain;
beforeEach(async () => {
  chain = await NodeChain.open();
});
afterEach(async () => await chain.close());

const driverNames = () => chain.joblog.nodes.list().map(({ driver }) => driver);

describe("stream of nodes", () => {
  it("fills the top, and those in between leave the graph", async () => {
    await chain.ends("stream", { device: "node4" });
    assertEquals([chain.names(), await backingOf(chain.folder, "n4.qcow2")], [
      ["node4"],
      undefined,
    ]);
    assert(!driverNames().includes("copy-on-read"));
    await chain.expectModel("node4");
    await chain.joblog.nodes.remove("node4");
    await expectShows(chain.folder, "n4.qcow2", chain.model);
  });

  it("an inner node down to a base, under a guest that writes above", async () => {
    const guest = await chain.joblog.nodes.writer("node4");
    const stop = chain.scribble(guest, 5, 60);
    await chain.ends("stream", { device: "node3", "base-node": "node1" });
    await stop();
    assertEquals(chain.names(), ["node0", "node1", "node3", "node4"]);
    assertEquals(
      await backingOf(chain.folder, "n3.qcow2"),
      "qcow2:n1.qcow2",
    );
    await chain.expectModel("node4");
    await guest.close();
    await chain.expectShows("n4.qcow2");
    await chain.expectModel("node4");
  });

  for (let seed = 1; seed <= 6; seed++) {
    it(`under a guest on it, paused and slowed at random: seed ${seed}`, async () => {
      const next = numbersFrom(seed * 77);
      const guest = await chain.joblog.nodes.writer("node4");
      const stop = chain.scribble(guest, seed, 400);
      const parameters = seed % 2 === 0 ? { device: "node4" } : {
        device: "node4",
        "base-node": "node1",
      };
      const job = await chain.start("stream", parameters, { speed: 3_000_000 });
      for (let count = 0; count < 4 && job.state.status === "running"; count++) {
        await guest.read(next(CHAIN_SIZE - 10), new Uint8Array(10));
        await job.pause().catch(() => {});
        await guest.flush();
        await job.resume().catch(() => {});
        await job.setSpeed([0, 4_000_000][next(2)]!).catch(() => {});
      }
      await job.setSpeed(0).catch(() => {});
      const end = await job.done;
      assertEquals([end.ret, end.error], [0, null]);
      await stop();
      await chain.expectModel("node4");
      await guest.close();
      await chain.expectShows("n4.qcow2");
    });
  }

  it("two on parts that are apart, ending in any order", async () => {
    const upper = await chain.start("stream", { device: "node4", "base-node": "node2" }, {
      id: "a",
    });
    const lower = await chain.start("stream", { device: "node2", "base-node": "node0" }, {
      id: "b",
    });
    const outcomes = [(await upper.done).ret, (await lower.done).ret];
    assertEquals([outcomes, chain.names()], [[0, 0], ["node0", "node2", "node4"]]);
    await chain.expectModel("node4");
    await chain.expectShows("n4.qcow2");
  });

  it("on a base that a commit takes away meanwhile: what came in its place is named", async () => {
    const commit = { device: "node4", "top-node": "node2", "base-node": "node0" };
    const filter = { ...commit, "filter-node-name": "commit-filter" };
    const lower = await chain.start("commit", filter, { id: "c", autoFinalize: false });
    const upper = { device: "node3", "base-node": "commit-filter" };
    const stream = await chain.start("stream", upper, { id: "s", autoFinalize: false });
    for (const job of [lower, stream]) await job.until(({ status }) => status === "pending");
    await lower.finalize();
    await lower.done;
    await stream.finalize();
    assertEquals((await stream.done).ret, 0);
    assertEquals(chain.names(), ["node0", "node3", "node4"]);
    assertEquals(await backingOf(chain.folder, "n3.qcow2"), "raw:n0.raw");
    await chain.expectModel("node4");
    await chain.expectShows("n4.qcow2");
  });

  it("a header that cannot be rewritten fails the job and leaves the chain", async () => {
    const name = "x".repeat(1_024);
    const parameters = { device: "node4", "base-node": "node1", "backing-file": name };
    const end = await (await chain.start("stream", parameters)).done;
    assertEquals([end.ret, end.error?.errno], [-22, "EINVAL"]);
    assertEquals(chain.names().length, 5);
    await chain.expectModel("node4");
  });

  it("refuses arguments in QEMU's words", async () => {
    const cases: readonly (readonly [JsonObject, string])[] = [
      [{ "base-node": "nope" }, "Cannot find device='' nor node-name='nope'"],
      [{ "base-node": "node4" }, "Node 'node4' is not a backing image of 'node4'"],
      [{ base: "nope" }, "Can't find 'nope' in the backing chain"],
      [{ bottom: "nope" }, "Cannot find device='' nor node-name='nope'"],
      [{ "backing-file": "x" }, "backing file specified, but streaming the entire chain"],
    ];
    for (const [parameters, message] of cases) {
      assertEquals(await chain.refusal("stream", { device: "node4", ...parameters }), message);
    }
    const below = { device: "node3", bottom: "node4" };
    const text = "Node 'node4' is not in a chain starting from 'node3'";
    assertEquals(await chain.refusal("stream", below), text);
  });
});
