import { assert, assertEquals, assertRejects } from "@std/assert";
import { existsSync, rmSync } from "node:fs";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import type { Edge } from "../../../engine/block/edge.ts";
import { createQcow2 } from "../../../engine/block/qcow2/mod.ts";
import { defineDriver, type JsonObject } from "../../../engine/drivers/driver.ts";
import { verify } from "../../../events/replay/mod.ts";
import { type Joblog, openJoblog } from "../../../mod.ts";
import { ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { bytesOf, checkByQemu, HAS_QEMU } from "../block/qcow2/qemu.ts";

const SIZE = 1_048_576;
const CLUSTER = 65_536;

let folder: ImageFolder;
let joblog: Joblog;

/** Leads whoever leads to one node to another. */
const swap = defineDriver({
  type: "swap",
  summary: "changes the graph behind everybody's back",
  parameters: (input) => input,
  open: ({ before, after }, { nodes }) => ({
    run: () => nodes!.replace(String(before), String(after)),
  }),
});

async function open(): Promise<void> {
  const path = folder.file("jobs.db");
  joblog = await openJoblog({ path, baseFolder: folder.path, drivers: [swap] });
}

/** `base` <- `top`, both with data, and `flat`, which is raw. */
beforeEach(async () => {
  folder = new ImageFolder();
  folder.write("flat.raw", noise(SIZE));
  folder.write("base.raw", noise(SIZE, 2));
  const top = await createQcow2(folder.file("top.qcow2"), {
    ...{ size: SIZE, backingFile: "base.raw", backingFormat: "raw" },
  });
  await top.close();
  await open();
  const file = (filename: string) => ({ driver: "file", filename });
  await joblog.nodes.add({ driver: "raw", "node-name": "flat", file: file("flat.raw") });
  const base = { driver: "raw", "node-name": "base", file: file("base.raw") };
  await joblog.nodes.add({
    ...{ driver: "qcow2", "node-name": "top", file: file("top.qcow2"), backing: base },
  });
  const guest = await joblog.nodes.writer("top");
  await guest.write(3 * CLUSTER + 7, noise(100_000, 3));
  await guest.zero(8 * CLUSTER, 2 * CLUSTER);
  await guest.close();
});
afterEach(async () => {
  await joblog.close({ jobs: "cancel" });
  folder.remove();
});

const start = (parameters: JsonObject) => joblog.start({ type: "mirror", id: "m", parameters });

async function ready(parameters: JsonObject) {
  const job = await start(parameters);
  const state = await job.until(({ status }) => status === "ready" || status === "concluded");
  assertEquals([state.status, state.error], ["ready", null]);
  return job;
}

const refusal = async (parameters: JsonObject) =>
  (await assertRejects(() => start(parameters), Error)).message;

const node = (name: string) => joblog.nodes.list().find((each) => each.name === name);

/** Writes in part of a cluster, over two of them, and over whole ones; and keeps the model. */
async function scribble(guest: Edge, model: Uint8Array, seed: number): Promise<void> {
  for (const [offset, length] of [[5, 9], [CLUSTER - 3, 6], [12 * CLUSTER, CLUSTER]] as const) {
    const bytes = noise(length, seed + offset);
    await guest.write(offset, bytes);
    model.set(bytes, offset);
  }
}

/** Writes, completes, and looks at what the guest sees after the pivot and in the next process. */
async function pivots(parameters: JsonObject, target: string): Promise<void> {
  const guest = await joblog.nodes.writer(String(parameters["source"]));
  const model = await bytesOf(guest);
  const job = await ready({ "node-name": "new", ...parameters });
  await scribble(guest, model, 11);
  await job.complete();
  const end = await job.done;
  assertEquals([end.ret, end.error], [0, null]);
  assert(sameBytes(await bytesOf(guest), model), "other bytes after the pivot");
  await scribble(guest, model, 12);
  await guest.close();
  await joblog.nodes.settled();
  if (HAS_QEMU && target.endsWith("qcow2")) assertEquals(checkByQemu(target).corruptions, 0);
  await joblog.close();
  await open();
  const reader = await joblog.nodes.reader("new");
  assert(sameBytes(await bytesOf(reader), model), "other bytes in the next process");
  await reader.close();
  assertEquals((await verify(joblog.reader)).ok, true);
}

for (const mode of ["background", "write-blocking"]) {
  describe(`mirror of a node to a path, ${mode}`, () => {
    const own = { "copy-mode": mode };

    it("full: makes an image with nothing below it", async () => {
      await pivots({ ...own, source: "top", target: "new.qcow2" }, folder.file("new.qcow2"));
      assertEquals(Object.keys(node("new")!.children), ["file"]);
    });

    it("full: makes a raw file, in the source's format", async () => {
      const target = folder.file("new.raw");
      await pivots({ ...own, source: "flat", target: "new.raw" }, target);
      assertEquals(node("new")!.driver, "raw");
    });

    it("top: lays it over what the source has below it", async () => {
      const parameters = { ...own, source: "top", target: "new.qcow2", sync: "top" };
      await pivots(parameters, folder.file("new.qcow2"));
      assertEquals(node("new")!.children["backing"], "base");
    });

    it("none: lays it over the source", async () => {
      const parameters = { ...own, source: "top", target: "new.qcow2", sync: "none" };
      await pivots(parameters, folder.file("new.qcow2"));
      assertEquals(node("new")!.children["backing"], "top");
    });

    it("existing, top: lays it over what its header names, copied meanwhile", async () => {
      const moved = folder.write("moved.raw", new Uint8Array(SIZE));
      await (await createQcow2(folder.file("new.qcow2"), {
        ...{ size: SIZE, clusterSize: 2 * CLUSTER },
        ...{ backingFile: "moved.raw", backingFormat: "raw" },
      })).close();
      rmSync(moved);
      const parameters = { source: "top", target: "new.qcow2", sync: "top", mode: "existing" };
      const guest = await joblog.nodes.writer("top");
      const model = await bytesOf(guest);
      const job = await ready({ ...own, ...parameters, "node-name": "new" });
      await scribble(guest, model, 21);
      folder.write("moved.raw", folder.read("base.raw"));
      await job.complete();
      assertEquals((await job.done).error, null);
      assert(sameBytes(await bytesOf(guest), model));
      await guest.close();
      const below = node("new")!.children["backing"]!;
      assertEquals(node(below)!.driver, "raw");
      assertEquals(node(node(below)!.children["file"]!)!.path, folder.file("moved.raw"));
    });
  });
}

describe("mirror of a node to a path", () => {
  it("destroys nothing before it runs, and refuses what it would destroy", async () => {
    folder.write("old.raw", noise(10));
    const target = "old.raw";
    assertEquals(
      await refusal({ source: "flat", target }),
      `Cannot copy to "${folder.file(target)}": it is not empty`,
    );
    const parameters = { source: "flat", target, mode: "absolute-paths" };
    await joblog.create({ type: "mirror", id: "m", parameters });
    await joblog.job("m")!.cancel();
    await joblog.nodes.settled();
    assert(sameBytes(folder.read(target), noise(10)));
    await pivots({ ...parameters, target }, folder.file(target));
  });

  it("removes the file that was made for a job that never ran", async () => {
    await joblog.create({ type: "mirror", id: "m", parameters: { source: "flat", target: "x" } });
    await joblog.job("m")!.cancel();
    await joblog.nodes.settled();
    assertEquals(existsSync(folder.file("x")), false);
  });

  it("refuses with QEMU's words", async () => {
    const target = "new.raw";
    const named = "a node-name must be provided when replacing a named node of the graph";
    assertEquals(await refusal({ source: "flat", target, replaces: "flat" }), named);
    const twice = "Duplicate nodes with node-name='base'";
    assertEquals(await refusal({ source: "flat", target, "node-name": "base" }), twice);
    const bad = "Invalid node-name: '0bad'";
    const mode = "existing";
    folder.write("there.raw", new Uint8Array(SIZE));
    const there = { source: "flat", target: "there.raw", mode };
    assertEquals(await refusal({ ...there, "node-name": "0bad" }), bad);
    const self = "Can't mirror node into itself";
    assertEquals(
      await refusal({ source: "flat", target: "flat.raw", mode: "absolute-paths" }),
      self,
    );
    const raw = "Backing file not supported for file format 'raw'";
    assertEquals(await refusal({ source: "top", target, sync: "top", format: "raw" }), raw);
    assertEquals(joblog.nodes.list().length, 6);
  });

  it("leaves a target that was guessed to be raw so", async () => {
    folder.write("there.raw", new Uint8Array(SIZE));
    const guest = await joblog.nodes.writer("flat");
    const job = await ready({ source: "flat", target: "there.raw", mode: "existing" });
    await guest.write(0, new TextEncoder().encode("QFI\xfb"));
    const header = new Uint8Array([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3]);
    await guest.write(0, header);
    await guest.close();
    const end = await job.done;
    assertEquals(end.error?.errno, "EPERM");
  });
});

describe("pivot of a mirror", () => {
  it("makes the target read-only when it takes the place of a read-only node", async () => {
    const file = { driver: "file", filename: "flat.raw", "read-only": true };
    await joblog.nodes.remove("flat");
    await joblog.nodes.add({ driver: "raw", "node-name": "ro", file, "read-only": true });
    const guest = await joblog.nodes.reader("ro");
    const job = await ready({ source: "ro", target: "new.raw", "node-name": "new" });
    await job.complete();
    assertEquals((await job.done).error, null);
    assertEquals(node("new")!.isReadOnly, true);
    await assertRejects(() => joblog.nodes.writer("new"), Error, "read-only");
    await guest.close();
  });

  it("leaves nothing of the target in the graph when nobody was to be led to it", async () => {
    const job = await ready({ source: "flat", target: "new.raw", "node-name": "new" });
    await job.complete();
    assertEquals((await job.done).error, null);
    // Its nodes go when it has let go of them, which another job waits for.
    await (await ready({ source: "flat", target: "other.raw", "node-name": "new" })).cancel();
    assert(sameBytes(folder.read("new.raw"), folder.read("flat.raw")));
  });

  it("fails when what it was to replace is no longer what the source shows", async () => {
    const limits = { driver: "blkdebug", "node-name": "above", image: "flat" };
    await joblog.nodes.add(limits);
    folder.write("other.raw", folder.read("flat.raw"));
    const other = { driver: "file", filename: "other.raw" };
    await joblog.nodes.add({ driver: "raw", "node-name": "other", file: other });
    const job = await ready({
      ...{ source: "above", target: "new.raw", "node-name": "new", replaces: "flat" },
    });
    const parameters = { before: "flat", after: "other" };
    await (await joblog.start({ type: "swap", id: "s", parameters })).done;
    await job.complete();
    const end = await job.done;
    assertEquals([end.error?.errno, end.error?.text], [
      "EPERM",
      "Can no longer replace 'flat' by 'new', because it can no longer be guaranteed that doing " +
      "so would not lead to an abrupt change of visible data",
    ]);
    assertEquals(node("above")!.children["image"], "other");
  });
});
