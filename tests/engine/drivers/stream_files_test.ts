import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import { type Joblog, openJoblog } from "../../../mod.ts";
import { ImageFolder } from "../../support/images.ts";
import { backingOf, expectShows, type LayerPlan, makeChain } from "./chain_bed.ts";

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
const TOP: LayerPlan = { name: "top.qcow2", data: [[3 * MIB, 100_000], [10, 20]] };

const start = (parameters: JsonObject, more: JsonObject = {}) =>
  joblog.start({ type: "stream", id: "s", parameters, ...more });

async function streamed(parameters: JsonObject) {
  const end = await (await start(parameters)).done;
  assertEquals([end.ret, end.error], [0, null]);
  assertEquals(end.progress.current, end.progress.total);
  return end;
}

describe("stream in a chain of files", () => {
  it("fills the top with everything below, and leaves it without a backing file", async () => {
    const model = await makeChain(folder, [BASE, MID, TOP]);
    const end = await streamed({ device: "top.qcow2" });
    assertEquals(end.progress.total, 4 * MIB);
    assertEquals(await backingOf(folder, "top.qcow2"), undefined);
    await expectShows(folder, "top.qcow2", model);
  });

  it("base: copies what lies in between only, and names the base", async () => {
    const model = await makeChain(folder, [BASE, MID, TOP]);
    await streamed({ device: "top.qcow2", base: "base.raw" });
    assertEquals(await backingOf(folder, "top.qcow2"), `raw:${folder.file("base.raw")}`);
    await expectShows(folder, "top.qcow2", model);
    // What the base alone holds stays there.
    assert(folder.allocatedBytes("top.qcow2") < MIB);
  });

  for (const name of ["base", "base-node"]) {
    it(`${name}: finds the image by any name of its file`, async () => {
      await makeChain(folder, [BASE, MID, TOP]);
      await streamed({ device: folder.file("top.qcow2"), [name]: `${folder.path}/./mid.qcow2` });
      assertEquals(await backingOf(folder, "top.qcow2"), `qcow2:${folder.file("mid.qcow2")}`);
    });
  }

  it("base directly below: nothing to do, 0 of 0", async () => {
    const model = await makeChain(folder, [BASE, MID, TOP]);
    const end = await streamed({ device: "top.qcow2", base: "mid.qcow2" });
    assertEquals([end.progress.current, end.progress.total], [0, 0]);
    await expectShows(folder, "top.qcow2", model);
  });

  it("bottom: streams down to it, and it too", async () => {
    const model = await makeChain(folder, [BASE, MID, TOP]);
    await streamed({ device: "top.qcow2", bottom: "mid.qcow2" });
    assertEquals(await backingOf(folder, "top.qcow2"), `raw:${folder.file("base.raw")}`);
    await expectShows(folder, "top.qcow2", model);
  });

  it("backing-file: is what the header says", async () => {
    const model = await makeChain(folder, [BASE, MID, TOP]);
    await streamed({ device: "top.qcow2", base: "base.raw", "backing-file": "base.raw" });
    assertEquals(await backingOf(folder, "top.qcow2"), "raw:base.raw");
    await expectShows(folder, "top.qcow2", model);
  });

  it("an intermediate image is filled under its overlay", async () => {
    const model = await makeChain(folder, [BASE, MID, { name: "low.qcow2" }, TOP]);
    await streamed({ device: "low.qcow2" });
    assertEquals(await backingOf(folder, "low.qcow2"), undefined);
    assertEquals(await backingOf(folder, "top.qcow2"), "qcow2:low.qcow2");
    await expectShows(folder, "top.qcow2", model);
  });

  it("a layer that ends early shows zeros, not what lies further below", async () => {
    const short: LayerPlan = { name: "mid.qcow2", size: MIB + 512, data: [[0, 100]] };
    const long: LayerPlan = { name: "base.raw", size: 3 * MIB, data: [[0, 3 * MIB]] };
    const model = await makeChain(folder, [long, short, { name: "top.qcow2", size: 4 * MIB }]);
    await streamed({ device: "top.qcow2", base: "base.raw" });
    await expectShows(folder, "top.qcow2", model);
  });

  for (const clusterSize of [512, 4_096, 2 * MIB]) {
    it(`clusters of ${clusterSize} over others`, async () => {
      const size = 5 * MIB + 512;
      const data = [[0, 70_000], [MIB + 3, 2 * MIB], [size - 600, 600]] as const;
      const top: LayerPlan = { name: "top.qcow2", clusterSize, data: [[MIB, 10_000]] };
      const model = await makeChain(folder, [{ name: "base.qcow2", size, data }, top]);
      await streamed({ device: "top.qcow2" });
      await expectShows(folder, "top.qcow2", model);
    });
  }

  it("an image without a backing file, and one without bytes, are done at once", async () => {
    await makeChain(folder, [{ name: "a.qcow2", size: MIB, data: [[0, 9]] }]);
    assertEquals((await streamed({ device: "a.qcow2" })).progress.total, 0);
    await makeChain(folder, [{ name: "b.raw", size: 0 }, { name: "c.qcow2", size: 0 }]);
    assertEquals((await streamed({ device: "c.qcow2" })).progress.total, 0);
    assertEquals(await backingOf(folder, "c.qcow2"), undefined);
  });

  it("refuses arguments in QEMU's words", async () => {
    await makeChain(folder, [BASE, MID, TOP]);
    const cases: readonly (readonly [JsonObject, string])[] = [
      [
        { base: "a", "base-node": "b" },
        "'base' and 'base-node' cannot be specified at the same time",
      ],
      [{ base: "a", bottom: "b" }, "'base' and 'bottom' cannot be specified at the same time"],
      [
        { bottom: "a", "base-node": "b" },
        "'bottom' and 'base-node' cannot be specified at the same time",
      ],
      [{ base: "nope" }, "Can't find 'nope' in the backing chain"],
      [{ base: "top.qcow2" }, "Can't find 'top.qcow2' in the backing chain"],
      [{ "base-node": "nope" }, "Node 'nope' is not a backing image of 'top.qcow2'"],
      [{ bottom: "nope" }, "Node 'nope' is not in a chain starting from 'top.qcow2'"],
      [{ "backing-file": "x" }, "backing file specified, but streaming the entire chain"],
      [{ speeed: 1 }, "Parameter 'speeed' is unexpected"],
      [{ "on-error": "x" }, "Parameter 'on-error' does not accept value 'x'"],
    ];
    for (const [parameters, message] of cases) {
      const error = await assertRejects(() => start({ device: "top.qcow2", ...parameters }));
      assertEquals((error as Error).message, message);
    }
  });
});
