import { assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import { JoblogError } from "../../../mod.ts";
import { BitmapBed } from "./bitmap_bed.ts";

let bed: BitmapBed;
beforeEach(async () => {
  bed = new BitmapBed();
  await bed.prepare();
});
afterEach(() => bed.close());

const MAP = { bitmap: "map" };
const BUSY = "Bitmap 'map' is currently in use by another operation and cannot be used";

async function textOf(parameters: JsonObject, id = "b"): Promise<string> {
  const all = { target: "copy.raw", ...parameters };
  const refused = await assertRejects(() => bed.start(all, { id }), JoblogError);
  return refused.message;
}

describe("backup with a bitmap: what refuses it", () => {
  const CASES: readonly (readonly [JsonObject, string])[] = [
    [{ sync: "incremental" }, "must provide a valid bitmap name for 'incremental' sync mode"],
    [{ sync: "bitmap" }, "must provide a valid bitmap name for 'bitmap' sync mode"],
    [
      { "sync": "bitmap", "bitmap-mode": "always" },
      "must provide a valid bitmap name for 'bitmap' sync mode",
    ],
    ...["always", "never"].map((mode) =>
      [
        { ...MAP, "sync": "incremental", "bitmap-mode": mode },
        "Bitmap sync mode must be 'on-success' when using sync mode 'incremental'",
      ] as const
    ),
    ...["incremental", "bitmap", "full", "top", "none"].map((sync) =>
      [{ sync, bitmap: "no" }, "Bitmap 'no' could not be found"] as const
    ),
    ...["bitmap", "full", "top", "none"].map((sync) =>
      [{ sync, ...MAP }, "Bitmap sync mode must be given when providing a bitmap"] as const
    ),
    ...["on-success", "always", "never"].map((mode) =>
      [
        { ...MAP, "sync": "none", "bitmap-mode": mode },
        "sync mode 'none' does not produce meaningful bitmap outputs",
      ] as const
    ),
    ...["full", "top"].map((sync) =>
      [
        { ...MAP, sync, "bitmap-mode": "never" },
        "Bitmap sync mode 'never' has no meaningful effect when combined with sync mode " +
        `'${sync}'`,
      ] as const
    ),
    ...["full", "top", "none"].map((sync) =>
      [
        { sync, "bitmap-mode": "on-success" },
        "Cannot specify bitmap sync mode without a bitmap",
      ] as const
    ),
    [
      { ...MAP, "sync": "bitmap", "bitmap-mode": "often" },
      "Parameter 'bitmap-mode' does not accept value 'often'",
    ],
    [
      { ...MAP, "sync": "bitmap", "bitmap-mode": "always", "target": "disk" },
      "Source and target cannot be the same",
    ],
  ];
  for (const [parameters, text] of CASES) {
    it(`${JSON.stringify(parameters)}: ${text}`, async () => {
      assertEquals(await textOf(parameters), text);
    });
  }

  it("looks for the bitmap on the source, and on no other node", async () => {
    await bed.image("other.qcow2");
    await bed.joblog.nodes.add({
      "driver": "qcow2",
      "node-name": "other",
      "file": { driver: "file", filename: "other.qcow2" },
    });
    await bed.add("there", "other");
    const by = { sync: "incremental", bitmap: "there" };
    assertEquals(await textOf(by), "Bitmap 'there' could not be found");
    const file = { ...by, source: "base.raw" };
    assertEquals(await textOf(file), "Bitmap 'there' could not be found");
  });

  it("is a job that has the bitmap, until it is over", async () => {
    await bed.write(1);
    const held = await bed.start({ target: "copy.raw", sync: "incremental", ...MAP }, { speed: 1 });
    assertEquals(await textOf({ sync: "incremental", ...MAP, target: "more.raw" }, "c"), BUSY);
    const none = { "sync": "none", ...MAP, "bitmap-mode": "never", "target": "more.raw" };
    assertEquals(await textOf(none, "c"), BUSY);
    const name = { node: "disk", bitmap: "map" };
    for (const verb of ["clear", "remove", "enable", "disable"] as const) {
      const refused = await assertRejects(() => bed.joblog.nodes.bitmap(verb, name), JoblogError);
      assertEquals(refused.message, BUSY);
    }
    await bed.add("two");
    const merge = () => bed.joblog.nodes.mergeBitmaps({ node: "disk", bitmap: "two" }, ["map"]);
    assertEquals((await assertRejects(merge, JoblogError)).message, BUSY);
    await held.cancel();
    await held.done;
    await bed.joblog.nodes.bitmap("clear", name);
  });

  it("leaves the bitmap free when it refuses after it has looked at it", async () => {
    bed.folder.sparse("small.raw", 512, []);
    const by = { "sync": "bitmap", ...MAP, "bitmap-mode": "always", "mode": "existing" };
    const text = await textOf({ ...by, target: "small.raw", format: "raw" });
    assertEquals(text, "Source and target image have different sizes");
    await bed.joblog.nodes.bitmap("clear", { node: "disk", bitmap: "map" });
  });

  it("is a bitmap of an image that is read-only, unless the bitmap stays as it is", async () => {
    const name = { node: "disk", bitmap: "kept" };
    await bed.joblog.nodes.addBitmap({ ...name, persistent: true });
    await bed.write(3);
    await bed.guest.close();
    await bed.joblog.nodes.remove("disk");
    await bed.joblog.nodes.add({
      "driver": "qcow2",
      "node-name": "disk",
      "read-only": true,
      "file": { driver: "file", filename: "disk.qcow2" },
    });
    const by = { sync: "bitmap", bitmap: "kept" };
    for (const mode of ["on-success", "always"]) {
      const text = await textOf({ ...by, "bitmap-mode": mode });
      assertEquals(text, "Bitmap 'kept' is readonly and cannot be modified");
    }
    const job = await bed.start({ ...by, "target": "copy.raw", "bitmap-mode": "never" });
    assertEquals((await job.done).ret, 0);
    assertEquals(await bed.dirty("kept"), [3]);
  });

  it("is a process that is gone: its bitmaps are inconsistent", async () => {
    await bed.joblog.close();
    await bed.open();
    const text = await textOf({ sync: "incremental", ...MAP });
    assertEquals(text, "Bitmap 'map' is inconsistent and cannot be used");
  });
});
