import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import { noise } from "../../support/images.ts";
import { numbersFrom } from "../block/qcow2/seeded.ts";
import { backingOf, firstDifferent } from "./chain_bed.ts";
import { CHAIN_SIZE, NodeChain } from "./node_chain.ts";

let chain: NodeChain;
beforeEach(async () => {
  chain = await NodeChain.open();
});
afterEach(async () => await chain.close());

const driverNames = () => chain.joblog.nodes.list().map(({ driver }) => driver);

describe("commit of nodes", () => {
  it("inner layers go, the overlay names the base, under a guest that writes", async () => {
    const guest = await chain.joblog.nodes.writer("node4");
    const stop = chain.scribble(guest, 9, 100);
    await chain.ends("commit", { device: "node4", "top-node": "node3", "base-node": "node1" });
    await stop();
    assertEquals(chain.names(), ["node0", "node1", "node4"]);
    assertEquals(
      await backingOf(chain.folder, "n4.qcow2"),
      "qcow2:n1.qcow2",
    );
    assert(!driverNames().includes("commit_top"));
    assertEquals(chain.joblog.nodes.list().find(({ name }) => name === "node1")?.isReadOnly, true);
    await guest.close();
    await chain.expectModel("node4");
    await chain.expectShows("n4.qcow2");
  });

  it("two overlays on the top: both name the base afterwards", async () => {
    await chain.makeOverlay("side.qcow2", "n3.qcow2");
    await chain.joblog.nodes.add({
      driver: "qcow2",
      "node-name": "side",
      file: { driver: "file", filename: "side.qcow2" },
      backing: "node3",
    });
    await chain.ends("commit", { device: "node4", "top-node": "node3", "base-node": "node1" });
    for (const name of ["n4.qcow2", "side.qcow2"]) {
      assertEquals(await backingOf(chain.folder, name), "qcow2:n1.qcow2");
    }
    assertEquals(chain.names(), ["node0", "node1", "node4"]);
    await chain.expectModel("node4");
  });

  for (let seed = 1; seed <= 6; seed++) {
    it(`the active layer under a guest, paused at random: seed ${seed}`, async () => {
      const next = numbersFrom(seed * 31);
      const guest = await chain.joblog.nodes.writer("node4");
      const stop = chain.scribble(guest, seed, 300);
      const base = seed % 2 === 0 ? "node0" : "node2";
      const job = await chain.start("commit", { device: "node4", "base-node": base });
      for (let count = 0; count < 3; count++) {
        await guest.read(next(CHAIN_SIZE - 10), new Uint8Array(10));
        await job.pause().catch(() => {});
        await guest.flush();
        await job.resume().catch(() => {});
      }
      await stop();
      const state = await job.until(({ status }) => status === "ready" || status === "concluded");
      assertEquals([state.status, state.error], ["ready", null]);
      const more = chain.scribble(guest, seed + 50, 50);
      await job.complete();
      const end = await job.done;
      await more();
      assertEquals([end.ret, end.error], [0, null]);
      await guest.write(5, noise(100, 3));
      chain.model.set(noise(100, 3), 5);
      await chain.expectModel(base);
      await guest.close();
      await chain.expectShows(base === "node0" ? "n0.raw" : "n2.qcow2");
    });
  }

  it("a soft cancel of a ready one leaves the guests where they are", async () => {
    const guest = await chain.joblog.nodes.writer("node4");
    const job = await chain.start("commit", { device: "node4" });
    await job.until(({ status }) => status === "ready");
    await guest.write(7, noise(50_000, 4));
    chain.model.set(noise(50_000, 4), 7);
    await job.cancel({ force: false });
    assertEquals((await job.done).ret, 0);
    await chain.expectModel("node0");
    await guest.write(0, noise(9, 8));
    assertEquals(firstDifferent(chain.folder.read("n0.raw"), chain.model), -1);
    await guest.close();
  });

  it("refuses arguments in QEMU's words", async () => {
    const cases: readonly (readonly [JsonObject, string])[] = [
      [{ device: "node3" }, "Need a root block node"],
      [{ "top-node": "nope" }, "Cannot find device='' nor node-name='nope'"],
      [{ "top-node": "node0" }, "cannot commit an image into itself"],
      [{ "base-node": "node4" }, "cannot commit an image into itself"],
      [
        { "top-node": "node2", "base-node": "node3" },
        "'node3' is not in this backing file chain",
      ],
      [{ "backing-file": "x" }, "'backing-file' specified, but 'top' is the active layer"],
    ];
    for (const [parameters, message] of cases) {
      assertEquals(await chain.refusal("commit", { device: "node4", ...parameters }), message);
    }
  });
});

describe("conflicts of jobs on one chain", () => {
  const busy = (node: string, type: string) =>
    `Node '${node}' is busy: block device is in use by block job: ${type}`;

  it("a commit keeps streams and commits off what it holds", async () => {
    const held = { device: "node4", "top-node": "node3", "base-node": "node1" };
    const job = await chain.start("commit", { ...held, "filter-node-name": "commit-filter" }, {
      speed: 1,
    });
    const stream = { device: "node4", "base-node": "node2" };
    assertEquals(await chain.refusal("stream", stream), busy("node4", "commit"));
    assertEquals(await chain.refusal("stream", { device: "node1" }), busy("node1", "commit"));
    const lower = { device: "node4", "top-node": "node2", "base-node": "node0" };
    assertEquals(await chain.refusal("commit", lower), "Need a root block node");
    await job.cancel();
    await job.done;
    await chain.expectModel("node4");
  });

  it("a stream keeps commits off what it fills and reads, but not off its base", async () => {
    const job = await chain.start("stream", { device: "node3", "base-node": "node1" }, {
      speed: 1,
    });
    const over = { device: "node4", "top-node": "node2", "base-node": "node1" };
    assertEquals(await chain.refusal("commit", over), busy("node2", "stream"));
    const into = { device: "node4", "base-node": "node3" };
    // Above what it fills is its filter.
    assertEquals(await chain.refusal("commit", into), busy("#block105", "stream"));
    const itself = { device: "node4", "top-node": "node3", "base-node": "node3" };
    assertEquals(await chain.refusal("commit", itself), busy("node3", "stream"));
    const below = { device: "node4", "top-node": "node1", "base-node": "node0" };
    await chain.ends("commit", below, { id: "below" });
    await job.setSpeed(0);
    assertEquals((await job.done).ret, 0);
    assertEquals(await backingOf(chain.folder, "n3.qcow2"), "raw:n0.raw");
    await chain.expectModel("node4");
  });
});
