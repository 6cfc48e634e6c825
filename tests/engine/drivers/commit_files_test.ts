import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import { type Joblog, openJoblog } from "../../../mod.ts";
import { ImageFolder } from "../../support/images.ts";
import { backingOf, expectShows, firstDifferent, type LayerPlan, makeChain } from "./chain_bed.ts";

const MIB = 1_048_576;
const KIB_64 = 65_536;

let folder: ImageFolder;
let joblog: Joblog;
beforeEach(async () => {
  folder = new ImageFolder();
  joblog = await openJoblog({ path: folder.file("jobs.db"), baseFolder: folder.path });
});
afterEach(async () => {
  await joblog.close({ jobs: "cancel" });
  folder.remove();
});

const BASE: LayerPlan = { name: "base.raw", size: 4 * MIB, data: [[0, MIB], [2 * MIB, 5]] };
const MID: LayerPlan = { name: "mid.qcow2", data: [[MIB - 9, 70_000]], zeros: [[0, KIB_64]] };
const LOW: LayerPlan = { name: "low.qcow2", data: [[MIB + 5_000, 9], [3 * MIB, 700]] };
const TOP: LayerPlan = { name: "top.qcow2", data: [[3 * MIB, 100_000], [10, 20]] };

const start = (parameters: JsonObject, more: JsonObject = {}) =>
  joblog.start({ type: "commit", id: "c", parameters, ...more });

async function committed(parameters: JsonObject) {
  const end = await (await start(parameters)).done;
  assertEquals([end.ret, end.error], [0, null]);
  assertEquals(end.progress.current, end.progress.total);
  return end;
}

/** An active commit, until it is ready; then ended. */
async function activeCommitted(parameters: JsonObject, isPivot = true) {
  const job = await start(parameters);
  const ready = await job.until(({ status }) => status === "ready" || status === "concluded");
  assertEquals([ready.status, ready.error], ["ready", null]);
  await (isPivot ? job.complete() : job.cancel({ force: false }));
  const end = await job.done;
  assertEquals([end.ret, end.error], [0, null]);
  return end;
}

describe("commit of inner layers in a chain of files", () => {
  it("writes them into the base and leads the overlay past them", async () => {
    const model = await makeChain(folder, [BASE, MID, LOW, TOP]);
    const end = await committed({ device: "top.qcow2", top: "low.qcow2", base: "base.raw" });
    assertEquals(end.progress.total, 4 * MIB);
    assertEquals(await backingOf(folder, "top.qcow2"), `raw:${folder.file("base.raw")}`);
    await expectShows(folder, "top.qcow2", model);
  });

  it("the base may be an overlay itself; the lowest one is the default", async () => {
    const model = await makeChain(folder, [BASE, MID, LOW, TOP]);
    await committed({ device: "top.qcow2", "top-node": "low.qcow2", "base-node": "mid.qcow2" });
    assertEquals(await backingOf(folder, "top.qcow2"), `qcow2:${folder.file("mid.qcow2")}`);
    await expectShows(folder, "top.qcow2", model);
    await committed({ device: "top.qcow2", top: "mid.qcow2", "backing-file": "base.raw" });
    assertEquals(await backingOf(folder, "top.qcow2"), "raw:base.raw");
    await expectShows(folder, "top.qcow2", model);
  });

  it("grows a base that is shorter, and leaves one that is longer", async () => {
    for (const [size, found] of [[MIB, 3 * MIB], [5 * MIB, 5 * MIB]] as const) {
      const model = await makeChain(folder, [
        { name: "base.raw", size, data: [[0, size]] },
        { name: "mid.qcow2", size: 3 * MIB, data: [[MIB - 5, 70_000]] },
        { name: "top.qcow2", size: 3 * MIB },
      ]);
      await committed({ device: "top.qcow2", top: "mid.qcow2" });
      assertEquals(folder.read("base.raw").byteLength, found);
      await expectShows(folder, "top.qcow2", model);
    }
  });

  it("a layer that ends early is committed with the zeros that it shows", async () => {
    const model = await makeChain(folder, [
      { name: "base.raw", size: 3 * MIB, data: [[0, 3 * MIB]] },
      { name: "mid.qcow2", size: MIB + 512, data: [[0, 100]] },
      { name: "low.qcow2", size: 2 * MIB },
      { name: "top.qcow2", size: 2 * MIB },
    ]);
    await committed({ device: "top.qcow2", top: "low.qcow2" });
    await expectShows(folder, "top.qcow2", model);
  });

  it("refuses arguments in QEMU's words", async () => {
    await makeChain(folder, [BASE, MID, LOW, TOP]);
    const both = "are mutually exclusive";
    const cases: readonly (readonly [JsonObject, string])[] = [
      [{ top: "a", "top-node": "b" }, `'top-node' and 'top' ${both}`],
      [{ base: "a", "base-node": "b" }, `'base-node' and 'base' ${both}`],
      [{ top: "nope" }, "Top image file nope not found"],
      [{ "top-node": "nope" }, "'nope' is not in this backing file chain"],
      [{ top: "base.raw" }, "cannot commit an image into itself"],
      [{ base: "nope" }, "Can't find 'nope' in the backing chain"],
      [{ top: "mid.qcow2", base: "low.qcow2" }, "Can't find 'low.qcow2' in the backing chain"],
      [
        { top: "mid.qcow2", "base-node": "low.qcow2" },
        "'low.qcow2' is not in this backing file chain",
      ],
      [{ top: "mid.qcow2", "base-node": "mid.qcow2" }, "cannot commit an image into itself"],
      [{ "backing-file": "x" }, "'backing-file' specified, but 'top' is the active layer"],
      [{ speeed: 1 }, "Parameter 'speeed' is unexpected"],
    ];
    for (const [parameters, message] of cases) {
      const error = await assertRejects(() => start({ device: "top.qcow2", ...parameters }));
      assertEquals((error as Error).message, message);
    }
  });
});

describe("commit of the active layer in a chain of files", () => {
  it("becomes ready, and complete leaves all in the base", async () => {
    const model = await makeChain(folder, [BASE, MID, TOP]);
    const end = await activeCommitted({ device: "top.qcow2" });
    assert(end.progress.total < MIB, "counts what is held above the base only");
    assertEquals(firstDifferent(folder.read("base.raw"), model), -1);
    await expectShows(folder, "top.qcow2", model);
  });

  it("a soft cancel leaves both equal", async () => {
    const model = await makeChain(folder, [BASE, MID, TOP]);
    await activeCommitted({ device: "top.qcow2", base: "mid.qcow2" }, false);
    await expectShows(folder, "mid.qcow2", model);
    await expectShows(folder, "top.qcow2", model);
    assertEquals(await backingOf(folder, "top.qcow2"), "qcow2:mid.qcow2");
  });

  it("grows a base that is shorter, and works with one that is longer", async () => {
    for (const size of [MIB, 5 * MIB]) {
      const model = await makeChain(folder, [
        { name: "base.raw", size, data: [[0, size]] },
        { name: "top.qcow2", size: 3 * MIB, data: [[MIB - 5, 70_000]] },
      ]);
      await activeCommitted({ device: "top.qcow2" });
      await expectShows(folder, "top.qcow2", model);
      const base = folder.read("base.raw");
      assertEquals(base.byteLength, Math.max(size, 3 * MIB));
      assertEquals(firstDifferent(base.subarray(0, 3 * MIB), model), -1);
    }
  });

  it("an image without bytes becomes ready at once", async () => {
    await makeChain(folder, [{ name: "b.raw", size: 0 }, { name: "c.qcow2", size: 0 }]);
    const end = await activeCommitted({ device: "c.qcow2" });
    assertEquals([end.progress.current, end.progress.total], [0, 0]);
  });
});
