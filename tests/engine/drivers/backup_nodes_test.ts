import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { type Joblog, JoblogError, openJoblog } from "../../../mod.ts";
import { verify } from "../../../events/replay/mod.ts";
import { createQcow2 } from "../../../engine/block/qcow2/mod.ts";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import { openSourceImage } from "../../../engine/drivers/images/source.ts";
import { ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { bytesOf, checkByQemu, HAS_QEMU } from "../block/qcow2/qemu.ts";

const MIB = 1_048_576;

let folder: ImageFolder;
let joblog: Joblog;
const open = () => openJoblog({ path: folder.file("jobs.db"), baseFolder: folder.path });

async function image(name: string, size: number, filled: number): Promise<void> {
  const node = await createQcow2(folder.file(name), { size });
  if (filled > 0) await node.write(0, noise(filled, 3));
  await node.close();
}

const qcow2 = (name: string) => ({
  "driver": "qcow2",
  "node-name": name,
  "file": { driver: "file", filename: `${name}.qcow2` },
});

async function contents(name: string): Promise<Uint8Array> {
  const { node } = await openSourceImage(name, { folder: folder.path });
  try {
    return await bytesOf(node, MIB);
  } finally {
    await node.close();
  }
}

function start(parameters: JsonObject, extra: object = {}) {
  return joblog.start({ type: "backup", id: "b", parameters, ...extra });
}

beforeEach(async () => {
  folder = new ImageFolder();
  await image("disk.qcow2", 8 * MIB, 6 * MIB);
  await image("copy.qcow2", 8 * MIB, 0);
  joblog = await open();
  await joblog.nodes.add(qcow2("disk"));
  await joblog.nodes.add(qcow2("copy"));
});
afterEach(async () => {
  await joblog.close({ jobs: "cancel" });
  folder.remove();
});

describe("backup of nodes", () => {
  it("top: copies what an image holds, also with nothing below it, as QEMU does", async () => {
    const { progress } = await (await start({ source: "disk", target: "copy", sync: "top" })).done;
    assertEquals([progress.current, progress.total], [6 * MIB, 6 * MIB]);
  });

  it("keeps the moment while a guest writes", async () => {
    const guest = await joblog.nodes.writer("disk");
    const before = await bytesOf(guest, MIB);
    const job = await start({ source: "disk", target: "copy" }, { speed: 2 * MIB });
    await job.until(({ progress }) => progress.current > 0);
    for (let at = 0; at < 8; at++) await guest.write(at * MIB + 5, noise(200_000, at));
    await job.setSpeed(0);
    assertEquals((await job.done).ret, 0);
    await guest.close();
    await joblog.close();
    assert(sameBytes(await contents("copy.qcow2"), before));
    assert(!sameBytes(await contents("disk.qcow2"), before));
    if (HAS_QEMU) assertEquals(checkByQemu(folder.file("copy.qcow2")).corruptions, 0);
    joblog = await open();
    assertEquals((await verify(joblog.reader)).ok, true);
    const types: string[] = [];
    for await (const { type } of joblog.reader.readStream(`job-${job.runId}`)) types.push(type);
    assert(types.includes("SourceWritten"));
    assert(types.indexOf("SourceWritten") > types.indexOf("CheckpointTaken"));
  });

  it("sync=none goes on until it is cancelled, and has what was overwritten", async () => {
    const guest = await joblog.nodes.writer("disk");
    const job = await start({ source: "disk", target: "copy", sync: "none" });
    // The total is told once the filter is in.
    await job.until(({ progress }) => progress.total > 0);
    await guest.write(MIB, new Uint8Array(10));
    await job.cancel();
    assertEquals((await job.done).outcome, "cancelled");
    await guest.close();
    await joblog.close();
    const copy = await contents("copy.qcow2");
    const old = noise(6 * MIB, 3).subarray(MIB, MIB + 65_536);
    assert(sameBytes(copy.subarray(MIB, MIB + 65_536), old));
    assert(copy.subarray(2 * MIB).every((byte) => byte === 0));
  });

  it("goes on after its engine was closed, although the source was written before", async () => {
    const guest = await joblog.nodes.writer("disk");
    const before = await bytesOf(guest, MIB);
    const job = await start({ source: "disk", target: "copy" }, { speed: MIB, autoDismiss: false });
    await job.until(({ progress }) => progress.current > 0);
    await guest.write(0, noise(10));
    await guest.write(7 * MIB, noise(10));
    await guest.close();
    await joblog.close();
    joblog = await open();
    const again = joblog.job("b")!;
    assertEquals(again.state.checkpoint?.writtenAt, undefined);
    await again.setSpeed(0);
    assertEquals((await again.until(({ status }) => status === "concluded")).ret, 0);
    await joblog.close();
    assert(sameBytes(await contents("copy.qcow2"), before));
    joblog = await open();
  });

  it("sync=top of a node that holds nothing copies nothing", async () => {
    for (const [name, readZeroes] of [["void", false], ["zeros", true]] as const) {
      await joblog.nodes.add({
        driver: "null-co",
        "node-name": name,
        size: 8 * MIB,
        "read-zeroes": readZeroes,
      });
      const job = await start({ source: name, target: "copy", sync: "top" });
      const { ret, progress } = await job.done;
      assertEquals([name, ret, progress.total], [name, 0, readZeroes ? 8 * MIB : 0]);
    }
  });

  it("refuses what a job holds, and the same node twice", async () => {
    const held = await start({ source: "disk", target: "copy" }, { speed: 1 });
    const busy = "Node 'copy' is busy: block device is in use by block job: backup";
    const again = { type: "backup", id: "c", parameters: { source: "disk", target: "copy" } };
    const error = await assertRejects(() => joblog.start(again), JoblogError);
    assertEquals(error.message, busy);
    const same = { type: "backup", id: "d", parameters: { source: "disk", target: "disk" } };
    await assertRejects(() => joblog.start(same), JoblogError, "cannot be the same");
    await held.cancel();
    await held.done;
  });

  it("meets a lasting error again after each resume, and can be cancelled", async () => {
    await joblog.nodes.remove("copy");
    await joblog.nodes.add({
      "driver": "qcow2",
      "node-name": "copy",
      "file": {
        "driver": "blkdebug",
        "image": { driver: "file", filename: "copy.qcow2" },
        "inject-error": [{ event: "write_aio", iotype: "write", errno: 5, once: false }],
      },
    });
    const policies = { "on-target-error": "stop" };
    const job = await start({ source: "disk", target: "copy", ...policies });
    const stopped = () =>
      job.until(({ status, ioStatus }) => status === "paused" && ioStatus === "failed");
    for (let round = 0; round < 3; round++) {
      await stopped();
      await assertRejects(() => job.pause(), Error, "Job is already paused");
      await job.resume();
    }
    await stopped();
    await job.cancel();
    assertEquals((await job.done).outcome, "cancelled");
  });

  it("report ends it with the error, and io-status ok", async () => {
    await joblog.nodes.remove("disk");
    await joblog.nodes.add({
      "driver": "qcow2",
      "node-name": "disk",
      "file": {
        "driver": "blkdebug",
        "image": { driver: "file", filename: "disk.qcow2" },
        "inject-error": [{ event: "read_aio", iotype: "read", errno: 5, once: false }],
      },
    });
    const policies = { "on-source-error": "enospc" };
    const job = await start({ source: "disk", target: "copy", ...policies });
    const end = await job.done;
    assertEquals([end.ret, end.error?.errno, end.ioStatus], [-5, "EIO", "ok"]);
  });
});
