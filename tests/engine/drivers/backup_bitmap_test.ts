import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { verify } from "../../../events/replay/mod.ts";
import { sameBytes } from "../../support/images.ts";
import { bytesOf, checkByQemu, HAS_QEMU } from "../block/qcow2/qemu.ts";
import { BitmapBed, COUNT, GRANULE } from "./bitmap_bed.ts";

let bed: BitmapBed;
beforeEach(async () => {
  bed = new BitmapBed();
  await bed.prepare();
});
afterEach(() => bed.close());

type End = "success" | "failure" | "cancel at pending";

/** Runs one job: the bitmap holds 1, 3 and 5; a guest writes 1 and 7 beside it, then 9. */
async function dirtyAfter(sync: string, mode: string, end: End): Promise<readonly number[]> {
  await bed.write(1, 3, 5);
  bed.folder.sparse("copy.raw", GRANULE * COUNT, []);
  const file = { driver: "file", filename: "copy.raw" };
  const fault = { event: "write_aio", iotype: "write", sector: 3 * GRANULE / 512 };
  const faulty = { driver: "blkdebug", image: file, "inject-error": [fault] };
  const below = end === "failure" ? faulty : file;
  await bed.joblog.nodes.add({ "driver": "raw", "node-name": "copy", "file": below });
  const by = { bitmap: "map", "bitmap-mode": mode };
  const manual = { autoFinalize: false, autoDismiss: false, speed: 1 };
  const job = await bed.start({ target: "copy", sync, ...by }, manual);
  await job.until(({ progress }) => progress.current > 0);
  const [bitmap] = bed.joblog.nodes.list().find(({ name }) => name === "disk")!.bitmaps;
  assertEquals([bitmap?.isBusy, bitmap?.dirtyBytes], [true, 3 * GRANULE]);
  if (sync === "full") await job.until(({ progress }) => progress.current > 0);
  await bed.write(1, 7);
  await job.setSpeed(0);
  const state = await job.until(({ status }) => status === "pending" || status === "concluded");
  assertEquals(state.status, end === "failure" ? "concluded" : "pending");
  if (end !== "failure") {
    await bed.write(9);
    await (end === "success" ? job.finalize() : job.cancel());
  }
  const { ret, error } = await job.until(({ status }) => status === "concluded");
  assertEquals(ret === 0, end === "success", error?.text);
  await job.dismiss();
  const found = await bed.dirty();
  await bed.joblog.nodes.remove("copy");
  return found;
}

const REST = [...Array(COUNT).keys()].filter((granule) => granule >= 3);

describe("backup with a bitmap: what becomes of it", () => {
  const writes = [1, 7, 9];
  const kept = [1, 3, 5, 7, 9];
  const failed = [1, 3, 5, 7];
  const cases: readonly (readonly [string, string, End, readonly number[]])[] = [
    ["bitmap", "never", "success", kept],
    ["bitmap", "never", "failure", failed],
    ["bitmap", "never", "cancel at pending", kept],
    ["bitmap", "on-success", "success", writes],
    ["bitmap", "on-success", "failure", failed],
    ["bitmap", "on-success", "cancel at pending", kept],
    ["bitmap", "always", "success", writes],
    ["bitmap", "always", "failure", failed],
    ["bitmap", "always", "cancel at pending", writes],
    ["full", "on-success", "success", writes],
    ["full", "on-success", "failure", failed],
    ["full", "on-success", "cancel at pending", kept],
    ["full", "always", "success", writes],
    ["full", "always", "failure", [1, ...REST]],
    ["full", "always", "cancel at pending", writes],
    ["top", "on-success", "success", writes],
    ["top", "on-success", "failure", failed],
    ["top", "on-success", "cancel at pending", kept],
    ["top", "always", "success", writes],
    ["top", "always", "failure", failed],
    ["top", "always", "cancel at pending", writes],
  ];
  for (const [sync, mode, end, expected] of cases) {
    it(`${sync}, ${mode}, ${end}`, async () => {
      assertEquals(await dirtyAfter(sync, mode, end), expected);
    });
  }
});

describe("backup by bitmap", () => {
  async function next(name: string, backing: string): Promise<Uint8Array> {
    await bed.image(name, { backingFile: backing, backingFormat: "qcow2" });
    const before = await bytesOf(bed.guest);
    const by = { sync: "incremental", bitmap: "map" };
    const job = await bed.start({ target: name, mode: "existing", ...by }, { speed: GRANULE });
    await job.until(({ progress }) => progress.total > 0);
    await bed.write(2, 4, 11);
    await job.setSpeed(0);
    assertEquals((await job.done).ret, 0);
    return before;
  }

  it("rebuilds the live content from a chain of three incremental ones", async () => {
    await bed.joblog.nodes.bitmap("remove", { node: "disk", bitmap: "map" });
    const parameters = { source: "disk", target: "full.qcow2", format: "qcow2" };
    const { jobs: [full] } = await bed.joblog.transaction([
      { action: "block-dirty-bitmap-add", node: "disk", bitmap: "map", granularity: GRANULE },
      { type: "backup", id: "full", parameters },
    ]);
    assertEquals((await full!.done).ret, 0);
    const images = ["full.qcow2", "one.qcow2", "two.qcow2", "three.qcow2"] as const;
    const moments: Uint8Array[] = [];
    for (const [index, name] of images.slice(1).entries()) {
      await bed.write(index, index + 5, 15 - index);
      moments.push(await next(name, images[index]!));
    }
    for (const [index, name] of images.slice(1).entries()) {
      assert(sameBytes(await bed.contents(name), moments[index]!), name);
      if (HAS_QEMU) assertEquals(checkByQemu(bed.folder.file(name)).corruptions, 0);
    }
    // What was written beside the last one is in the bitmap, and nothing else.
    assertEquals(await bed.dirty(), [2, 4, 11]);
    assertEquals((await verify(bed.joblog.reader)).ok, true);
  });

  it("copies nothing for an empty bitmap, and has no progress", async () => {
    const by = { sync: "incremental", bitmap: "map" };
    const { ret, progress } = await (await bed.start({ target: "copy.raw", ...by })).done;
    assertEquals([ret, progress.current, progress.total], [0, 0, 0]);
  });

  it("says in the log what the bitmap became, before the job is concluded", async () => {
    await bed.write(1);
    const by = { sync: "incremental", bitmap: "map" };
    const job = await bed.start({ target: "copy.raw", ...by });
    await job.done;
    const seen: string[] = [];
    for await (const { type, data } of bed.joblog.reader.readAll({})) {
      if (type === "BitmapReleased") seen.push(`${type} ${data["becomes"]}`);
      else if (["TxnDecided", "CommitReturned", "JobConcluded"].includes(type)) seen.push(type);
      if (type === "BitmapReleased") assertEquals(data["runId"], job.runId);
    }
    const released = "BitmapReleased written";
    assertEquals(seen, ["TxnDecided", released, "CommitReturned", "JobConcluded"]);
  });

  it("leaves the bitmap as it was when it is cancelled before it ran", async () => {
    await bed.write(1, 3);
    const by = { sync: "full", bitmap: "map", "bitmap-mode": "always" };
    const request = { source: "disk", target: "copy.raw", ...by };
    const job = await bed.joblog.create({ type: "backup", id: "b", parameters: request });
    await bed.write(5);
    await job.cancel();
    await job.done;
    assertEquals(await bed.dirty(), [1, 3, 5]);
  });

  it("marks no disabled bitmap, and leaves it disabled", async () => {
    await bed.write(1);
    await bed.joblog.nodes.bitmap("disable", { node: "disk", bitmap: "map" });
    await bed.write(3);
    assertEquals(await bed.dirty(), [1]);
    const by = { sync: "bitmap", bitmap: "map", "bitmap-mode": "on-success" };
    assertEquals((await (await bed.start({ target: "copy.raw", ...by })).done).ret, 0);
    await bed.write(4);
    assertEquals(await bed.dirty(), []);
  });
});
