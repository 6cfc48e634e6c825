import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import * as fs from "node:fs";
import { createQcow2, openQcow2 } from "../../../engine/block/qcow2/mod.ts";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import type { Job } from "../../../engine/run/mod.ts";
import { type Joblog, openJoblog } from "../../../mod.ts";
import { ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { bytesOf, checkByQemu, HAS_QEMU, qemuImg } from "../block/qcow2/qemu.ts";

const MIB = 1_048_576;
const KIB_64 = 65_536;

let folder: ImageFolder;
let joblog: Joblog;
const open = () => openJoblog({ path: folder.file("jobs.db"), baseFolder: folder.path });
beforeEach(async () => {
  folder = new ImageFolder();
  joblog = await open();
});
afterEach(async () => {
  await joblog.close({ jobs: "cancel" });
  folder.remove();
});

const start = (parameters: JsonObject, more: JsonObject = {}) =>
  joblog.start({ type: "mirror", id: "m", parameters, ...more });

/** Waits until the job is ready, completes it, and gives its end. */
async function completed(job: Job) {
  const state = await job.until(({ status }) => status === "ready" || status === "concluded");
  if (state.status === "ready") await job.complete();
  return await job.done;
}

async function mirrored(parameters: JsonObject) {
  const end = await completed(await start(parameters));
  assertEquals([end.ret, end.error], [0, null]);
  assertEquals(end.progress.current, end.progress.total);
  return end;
}

async function qcow2(name: string, size: number, data: readonly (readonly [number, number])[]) {
  const node = await createQcow2(folder.file(name), { size });
  for (const [offset, length] of data) await node.write(offset, noise(length, offset + 1));
  await node.close();
}

async function overlay(name: string, base: string, data: readonly (readonly [number, number])[]) {
  const below = await openQcow2(folder.file(base), { readOnly: true });
  const { size } = below;
  await below.close();
  const options = { size, backingFile: base, backingFormat: "qcow2" } as const;
  const node = await createQcow2(folder.file(name), options);
  for (const [offset, length] of data) await node.write(offset, noise(length, offset + 2));
  await node.close();
}

async function bytesIn(name: string): Promise<Uint8Array> {
  const node = await openQcow2(folder.file(name), { readOnly: true });
  try {
    return await bytesOf(node);
  } finally {
    await node.close();
  }
}

/** What an outside judge says of two images, where there is one. */
function compare(a: string, b: string): void {
  if (!HAS_QEMU) return;
  qemuImg("compare", folder.file(a), folder.file(b));
  for (const name of [a, b]) {
    if (!name.endsWith("qcow2")) continue;
    assertEquals(checkByQemu(folder.file(name)), { corruptions: 0, leaks: 0 });
  }
}

describe("mirror of files", () => {
  for (const size of [0, 1, 65_537, 5 * MIB + 3]) {
    it(`copies ${size} bytes of a raw file exactly`, async () => {
      folder.write("a.raw", noise(size));
      const { progress } = await mirrored({ source: "a.raw", target: "b.raw" });
      assert(sameBytes(folder.read("a.raw"), folder.read("b.raw")));
      assertEquals(progress.current, size);
    });
  }

  it("keeps holes, zeroes what was there, and takes granularity and buf-size", async () => {
    folder.sparse("a.raw", 24 * MIB, [[0, 100], [10 * MIB, KIB_64], [24 * MIB - 1, 1]]);
    await mirrored({ source: "a.raw", target: "b.raw", granularity: 8_192, "buf-size": 4_096 });
    assert(sameBytes(folder.read("a.raw"), folder.read("b.raw")));
    assert(folder.allocatedBytes("b.raw") < MIB);
    folder.write("c.raw", noise(24 * MIB));
    await mirrored({ source: "a.raw", target: "c.raw", mode: "existing", format: "raw" });
    assert(sameBytes(folder.read("a.raw"), folder.read("c.raw")));
  });

  it("copies a chain into one image, and only what is allocated", async () => {
    await qcow2("base.qcow2", 8 * MIB, [[0, MIB], [4 * MIB + 77, 1_000]]);
    await overlay("top.qcow2", "base.qcow2", [[KIB_64, 5_000], [7 * MIB, KIB_64]]);
    const { progress } = await mirrored({ source: "top.qcow2", target: "full.qcow2" });
    assertEquals(progress.current, MIB + KIB_64 + KIB_64);
    assert(sameBytes(await bytesIn("top.qcow2"), await bytesIn("full.qcow2")));
    compare("top.qcow2", "full.qcow2");
    await mirrored({ source: "top.qcow2", target: "full.raw", format: "raw" });
    assert(sameBytes(await bytesIn("top.qcow2"), folder.read("full.raw")));
    compare("top.qcow2", "full.raw");
  });

  it("top: copies the top onto a new overlay of what is below it", async () => {
    await qcow2("base.qcow2", 8 * MIB, [[0, 3 * MIB]]);
    await overlay("top.qcow2", "base.qcow2", [[MIB, 5_000], [7 * MIB, KIB_64]]);
    const parameters = { source: "top.qcow2", target: "new.qcow2", sync: "top" };
    const { progress } = await mirrored(parameters);
    assertEquals(progress.current, 2 * KIB_64);
    const node = await openQcow2(folder.file("new.qcow2"), { readOnly: true });
    assert(node.backing?.name.endsWith("base.qcow2"));
    await node.close();
    assert(sameBytes(await bytesIn("top.qcow2"), await bytesIn("new.qcow2")));
    compare("top.qcow2", "new.qcow2");
  });

  it("none: makes an overlay of the source and copies nothing", async () => {
    await qcow2("a.qcow2", 2 * MIB, [[0, MIB]]);
    const end = await mirrored({ source: "a.qcow2", target: "b.qcow2", sync: "none" });
    assertEquals([end.progress.current, end.progress.total], [0, 0]);
    compare("a.qcow2", "b.qcow2");
  });

  it("starts with images of different sizes, and then fails", async () => {
    folder.write("a.raw", noise(MIB));
    folder.write("b.raw", noise(MIB + 512));
    const { ret, error } = await completed(
      await start({ source: "a.raw", target: "b.raw", mode: "existing", format: "raw" }),
    );
    assertEquals([ret, error?.text], [-22, "Source and target image have different sizes"]);
  });

  it("a target whose format was guessed takes no header of another format", async () => {
    await qcow2("a.qcow2", MIB, [[0, 10]]);
    const bytes = folder.read("a.qcow2");
    folder.write("b.raw", noise(bytes.byteLength));
    const parameters = { source: "a.qcow2", target: "b.raw", mode: "existing" };
    const asRaw = { ...parameters, "source-format": "raw" };
    const { error } = await completed(await start(asRaw));
    assertEquals(error?.errno, "EPERM");
    await mirrored({ ...asRaw, format: "raw" });
    assert(sameBytes(folder.read("a.qcow2"), folder.read("b.raw")));
  });

  it("refuses what cannot be mirrored, and leaves nothing behind", async () => {
    folder.write("a.raw", noise(MIB));
    folder.write("old.raw", noise(MIB));
    await qcow2("base.qcow2", MIB, [[0, 10]]);
    await overlay("top.qcow2", "base.qcow2", []);
    const refusal = async (parameters: JsonObject) =>
      (await assertRejects(() => start({ source: "a.raw", target: "b.raw", ...parameters }), Error))
        .message;
    assertEquals(await refusal({ target: "./a.raw" }), "Can't mirror node into itself");
    assert((await refusal({ target: "old.raw" })).endsWith('old.raw": it is not empty'));
    assertEquals(
      await refusal({ replaces: "node9" }),
      "Failed to find node with node-name='node9'",
    );
    assertEquals(
      await refusal({ source: "top.qcow2", sync: "top", format: "raw" }),
      "Backing file not supported for file format 'raw'",
    );
    assert((await refusal({ source: "none.raw" })).includes("it does not exist"));
    const below = await refusal({ source: "top.qcow2", target: "base.qcow2", mode: "existing" });
    assert(/^Node '.*base.qcow2' is busy: /.test(below), below);
    assertEquals(fs.existsSync(folder.file("b.raw")), false);
    assertEquals(joblog.jobs().length, 0);
  });

  it("goes on after its process closed, and fails when its target is gone", async () => {
    folder.write("a.raw", noise(8 * MIB));
    const slow = { source: "a.raw", target: "b.raw", "buf-size": KIB_64 };
    const job = await start(slow, { speed: 4 * MIB });
    await job.until(({ progress }) => progress.current > MIB);
    await joblog.close();
    joblog = await open();
    const again = joblog.job("m")!;
    await again.setSpeed(0);
    const end = await completed(again);
    assertEquals([end.ret, end.progress.current], [0, 8 * MIB]);
    assert(sameBytes(folder.read("a.raw"), folder.read("b.raw")));
    const other = await start({ ...slow, target: "c.raw" }, { speed: 4 * MIB });
    await other.until(({ progress }) => progress.current > MIB);
    await joblog.close();
    fs.unlinkSync(folder.file("c.raw"));
    joblog = await open();
    let text = "";
    for await (const { type, data } of joblog.events({ stream: `job-${other.runId}` })) {
      if (type !== "RunReturned") continue;
      text = (data["error"] as { readonly text: string }).text;
      break;
    }
    assert(text.includes("its target"), text);
    assert(text.endsWith("does not exist any more"), text);
    assertEquals(fs.existsSync(folder.file("c.raw")), false);
  });
});
