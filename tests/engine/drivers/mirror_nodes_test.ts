import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import type { Edge } from "../../../engine/block/edge.ts";
import { createQcow2 } from "../../../engine/block/qcow2/mod.ts";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import { verify } from "../../../events/replay/mod.ts";
import { setImmediate } from "node:timers";
import { type Joblog, openJoblog } from "../../../mod.ts";
import { ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { bytesOf, checkByQemu, HAS_QEMU, qemuImg } from "../block/qcow2/qemu.ts";
import { numbersFrom } from "../block/qcow2/seeded.ts";

const MIB = 1_048_576;
const SIZE = 4 * MIB;

let folder: ImageFolder;
let joblog: Joblog;
const open = () => openJoblog({ path: folder.file("jobs.db"), baseFolder: folder.path });

beforeEach(async () => {
  folder = new ImageFolder();
  folder.write("a.raw", noise(SIZE));
  folder.write("b.raw", noise(SIZE, 7));
  await (await createQcow2(folder.file("c.qcow2"), { size: SIZE })).close();
  joblog = await open();
  await joblog.nodes.add(node("a", "a.raw", "raw"));
  await joblog.nodes.add(node("b", "b.raw", "raw"));
  await joblog.nodes.add(node("c", "c.qcow2", "qcow2"));
});
afterEach(async () => {
  await joblog.close({ jobs: "cancel" });
  folder.remove();
});

function node(name: string, filename: string, driver: string): JsonObject {
  return { driver, "node-name": name, file: { driver: "file", filename } };
}

const start = (parameters: JsonObject, more: JsonObject = {}) =>
  joblog.start({ type: "mirror", id: "m", parameters, ...more });

const ready = async (parameters: JsonObject) => {
  const job = await start(parameters);
  const state = await job.until(({ status }) => status === "ready" || status === "concluded");
  assertEquals([state.status, state.error], ["ready", null]);
  return job;
};

const driverNames = () => joblog.nodes.list().map(({ driver }) => driver);

/** Deletes a node as soon as its job has let go of it: that is a moment after its conclusion. */
async function removeWhenFree(name: string): Promise<void> {
  for (;;) {
    try {
      return await joblog.nodes.remove(name);
    } catch (error) {
      if (!(error instanceof Error) || !/is in use/.test(error.message)) {
        throw error;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** Writes here and there, at most so often, until it is told to stop; gives what must be there. */
function scribble(guest: Edge, model: Uint8Array, seed: number, countMax: number) {
  const next = numbersFrom(seed);
  let isOver = false;
  const work = async () => {
    for (let count = 0; count < countMax && !isOver; count++) {
      const offset = next(SIZE - 5_000);
      const bytes = noise(1 + next(5_000), next(1_000_000));
      await guest.write(offset, bytes);
      model.set(bytes, offset);
    }
    return model;
  };
  const done = work();
  return () => {
    isOver = true;
    return done;
  };
}

describe("mirror of nodes", () => {
  for (const mode of ["background", "write-blocking"]) {
    it(`${mode}: leads a guest that keeps writing from one node to the other`, async () => {
      const guest = await joblog.nodes.writer("a");
      // In the background nothing slows a writer down: one that never rests is never caught up.
      const stop = scribble(guest, noise(SIZE), 3, mode === "background" ? 500 : Infinity);
      const job = await start({ source: "a", target: "c", "copy-mode": mode });
      await job.until(({ status }) => status === "ready");
      await job.pause();
      await job.until(({ status }) => status === "standby");
      await job.resume();
      await job.complete();
      const end = await job.done;
      assertEquals([end.ret, end.error], [0, null]);
      const later = noise(1_000, 99);
      const model = await stop();
      await guest.write(5, later);
      model.set(later, 5);
      assert(sameBytes(await bytesOf(guest), model));
      await guest.close();
      const { position } = joblog;
      assert(position > 0);
      const pivot = joblog.reader.readStream(`job-${job.runId}`);
      const acts: string[] = [];
      for await (const { type } of pivot) if (type.startsWith("Act")) acts.push(type);
      assertEquals(acts, ["ActAnnounced", "ActConfirmed"]);
      await removeWhenFree("c");
      assertEquals(driverNames().includes("mirror_top"), false);
      if (HAS_QEMU) assertEquals(checkByQemu(folder.file("c.qcow2")).corruptions, 0);
      assertEquals((await verify(joblog.reader)).ok, true);
    });
  }

  it("a soft cancel leaves the guest where it was, and the target equal", async () => {
    const guest = await joblog.nodes.writer("a");
    const job = await ready({ source: "a", target: "b" });
    await guest.write(100, noise(9_000, 4));
    await job.cancel({ force: false });
    assertEquals((await job.done).ret, 0);
    await guest.flush();
    assert(sameBytes(folder.read("a.raw"), folder.read("b.raw")));
    await guest.write(100, noise(9_000, 5));
    assert(!sameBytes(folder.read("a.raw"), folder.read("b.raw")));
    await guest.close();
    if (HAS_QEMU) qemuImg("info", folder.file("b.raw"));
  });

  for (const [sync, bytes] of [["full", SIZE], ["top", 65_536]] as const) {
    it(`${sync}: counts ${bytes} bytes of an image with one cluster, as QEMU does`, async () => {
      const guest = await joblog.nodes.writer("c");
      await guest.write(MIB, noise(65_536, 3));
      await guest.close();
      await (await createQcow2(folder.file("d.qcow2"), { size: SIZE })).close();
      await joblog.nodes.add(node("d", "d.qcow2", "qcow2"));
      const job = await ready({ source: "c", target: "d", sync });
      const { progress } = job.state;
      assertEquals([progress.current, progress.total], [bytes, bytes]);
      await job.cancel({ force: false });
      assertEquals((await job.done).ret, 0);
      const [one, other] = [await joblog.nodes.reader("c"), await joblog.nodes.reader("d")];
      assert(sameBytes(await bytesOf(one), await bytesOf(other)));
      await one.close();
      await other.close();
    });
  }

  it("keeps others off both nodes while it lives", async () => {
    const job = await ready({ source: "a", target: "b", "filter-node-name": "above" });
    assert(joblog.nodes.list().some(({ name }) => name === "above"));
    const refused = async (name: string, text: string) => {
      await assertRejects(() => joblog.nodes.remove(name), Error, text);
    };
    await refused("a", "Node 'a' is busy: block device is in use by block job: mirror");
    // It comes to its target as guests do.
    await refused("b", "Node b is in use");
    const second = () =>
      joblog.start({ type: "mirror", id: "n", parameters: { source: "c", target: "b" } });
    await assertRejects(second, Error, "is busy");
    await job.cancel();
    await job.done;
    await removeWhenFree("b");
    assertEquals(driverNames().includes("mirror_top"), false);
  });

  it("refuses with QEMU's words", async () => {
    const refusal = async (parameters: JsonObject) =>
      (await assertRejects(() => start({ source: "a", target: "b", ...parameters }), Error))
        .message;
    assertEquals(await refusal({ target: "a" }), "Can't mirror node into itself");
    const replaces = "Failed to find node with node-name='ghost'";
    assertEquals(await refusal({ replaces: "ghost" }), replaces);
    assertEquals(
      await refusal({ replaces: "c" }),
      "Cannot replace 'c' by a node mirrored from 'a', because it cannot be guaranteed that " +
        "doing so would not lead to an abrupt change of visible data",
    );
    assertEquals(driverNames().includes("mirror_top"), false);
    assertEquals(joblog.jobs().length, 0);
  });

  it("mirrors a node to a file, which is a node of the graph afterwards", async () => {
    const guest = await joblog.nodes.writer("a");
    folder.write("d.raw", new Uint8Array(SIZE));
    const parameters = { source: "a", target: "d.raw", mode: "existing", format: "raw" };
    const job = await ready(parameters);
    await job.complete();
    assertEquals((await job.done).ret, 0);
    await guest.write(0, noise(10, 3));
    await guest.flush();
    assert(sameBytes(folder.read("d.raw").subarray(0, 10), noise(10, 3)));
    await guest.close();
  });

  it("goes on after its process closed, with what was written in between", async () => {
    const guest = await joblog.nodes.writer("a");
    await ready({ source: "a", target: "c" });
    await guest.write(77, noise(5_000, 2));
    await guest.close();
    await joblog.close();
    joblog = await open();
    const again = await joblog.nodes.writer("a");
    assertEquals(joblog.job("m")!.state.status, "ready");
    await again.write(2 * MIB, noise(5_000, 4));
    const expected = await bytesOf(again);
    await joblog.job("m")!.complete();
    const runId = joblog.job("m")?.runId ?? "";
    for await (const { type } of joblog.events({ stream: `job-${runId}` })) {
      if (type === "JobDismissed") break;
    }
    assert(sameBytes(await bytesOf(again), expected));
    await again.write(0, noise(5, 5));
    await again.close();
    const target = await joblog.nodes.reader("c");
    const first = new Uint8Array(5);
    await target.read(0, first);
    assert(sameBytes(first, noise(5, 5)));
    await target.close();
    assertEquals((await verify(joblog.reader)).ok, true);
  });
});
