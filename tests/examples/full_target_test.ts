import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Joblog, openJoblog } from "../../mod.ts";
import { readTimeline, timelineLines } from "../../events/views/mod.ts";
import { verify } from "../../events/replay/mod.ts";
import { Service } from "../../api/service.ts";
import { createQcow2 } from "../../engine/block/qcow2/mod.ts";
import { openSourceImage } from "../../engine/drivers/images/source.ts";
import { ImageFolder, noise, sameBytes } from "../support/images.ts";
import { itWhen } from "../support/skip.ts";
import { bytesOf, checkByQemu, HAS_QEMU } from "../engine/block/qcow2/qemu.ts";

const MIB = 1_048_576;
const NO_MOUNT = "this user may not mount a tmpfs";

/** Mounts a small file system; undefined if this user may not. */
function mountSmall(mib: number): string | undefined {
  const folder = fs.mkdtempSync(join(tmpdir(), "joblog-small-"));
  const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${mib}m`, "joblog", folder]);
  if (status === 0) return folder;
  fs.rmdirSync(folder);
  return undefined;
}

function unmount(folder: string): void {
  spawnSync("umount", [folder]);
  fs.rmdirSync(folder);
}

const probe = mountSmall(1);
if (probe !== undefined) unmount(probe);
const mayMount = probe !== undefined;

let folder: ImageFolder;
let joblog: Joblog;
let small: string | undefined;
beforeEach(() => folder = new ImageFolder());
afterEach(async () => {
  await joblog.close({ jobs: "cancel" });
  folder.remove();
  if (small !== undefined) unmount(small);
  small = undefined;
});

async function equalImages(source: string, target: string): Promise<boolean> {
  const bytes: Uint8Array[] = [];
  for (const path of [source, target]) {
    const { node } = await openSourceImage(path, { folder: folder.path });
    bytes.push(await bytesOf(node, MIB));
    await node.close();
  }
  if (HAS_QEMU) assertEquals(checkByQemu(target), { corruptions: 0, leaks: 0 });
  return sameBytes(bytes[0]!, bytes[1]!);
}

async function story(runId: string): Promise<string> {
  const told = await readTimeline(joblog.reader, runId);
  assert(told !== undefined);
  return timelineLines(told).map(({ label, who, text }) => `${label}: ${text} (${who})`).join("\n");
}

async function isWhole(): Promise<boolean> {
  return (await verify(joblog.reader)).ok;
}

describe("a backup whose target fills up", () => {
  itWhen(
    mayMount,
    NO_MOUNT,
    "stops with nospace, says what, when and why, and ends with equal bytes",
    async () => {
      small = mountSmall(40) ?? "";
      const [source, target] = [folder.file("disk.qcow2"), join(small, "copy.qcow2")];
      const ballast = join(small, "ballast");
      fs.writeFileSync(ballast, noise(30 * MIB));
      const image = await createQcow2(source, { size: 64 * MIB });
      await image.write(0, noise(24 * MIB));
      await image.close();

      joblog = await openJoblog({ path: folder.file("jobs.db"), actor: "ann" });
      const policy = { "on-target-error": "enospc" };
      const job = await joblog.start({
        type: "backup",
        id: "nightly",
        parameters: { source, target, ...policy },
      });
      const stopped = await job.until(({ status }) => status === "paused");
      assertEquals(stopped.ioStatus, "nospace");
      assert(stopped.progress.current > 0 && stopped.progress.current < 24 * MIB);

      fs.rmSync(ballast);
      await job.resume({ actor: "bob" });
      const end = await job.done;
      assertEquals([end.ret, end.ioStatus, end.outcome], [0, "ok", "completed"]);
      assert(await equalImages(source, target));

      const told = await story(job.runId);
      const why = 'policy "enospc" answered a write error with "stop": Cannot write';
      assertStringIncludes(told, why);
      assertStringIncludes(told, "no space left on device");
      assertStringIncludes(told, "went from ok to nospace");
      assertStringIncludes(told, 'because bob asked for "resume"');
      assert(await isWhole());
    },
  );

  it("stops the same with a node that fails when it is told to", async () => {
    const [source, target] = [folder.file("disk.raw"), folder.file("copy.qcow2")];
    folder.write("disk.raw", noise(8 * MIB));
    await (await createQcow2(target, { size: 8 * MIB })).close();
    joblog = await openJoblog({ path: folder.file("jobs.db"), actor: "ann" });
    await joblog.nodes.add({
      "driver": "qcow2",
      "node-name": "copy",
      "file": {
        "driver": "blkdebug",
        "image": { driver: "file", filename: target },
        "inject-error": [{ event: "write_aio", iotype: "write", errno: 28, once: true }],
      },
    });
    const job = await joblog.start({
      type: "backup",
      id: "nightly",
      parameters: { source, target: "copy", "on-target-error": "enospc" },
    });
    const stopped = await job.until(({ status }) => status === "paused");
    assertEquals(stopped.ioStatus, "nospace");
    await job.resume();
    assertEquals((await job.done).ret, 0);
    await joblog.close();
    assert(await equalImages(source, target));
    joblog = await openJoblog({ path: folder.file("jobs.db") });
    assert(await isWhole());
  });

  itWhen(
    mayMount,
    NO_MOUNT,
    "on the disk of its log loses nothing, and the status says what waits for what",
    async () => {
      small = mountSmall(32) ?? "";
      const source = folder.write("disk.raw", noise(40 * MIB));
      const target = join(small, "copy.raw");
      joblog = await openJoblog({ path: join(small, "jobs.db"), actor: "ann" });
      const policy = { "on-target-error": "enospc" };
      const job = await joblog.start({
        type: "backup",
        id: "nightly",
        parameters: { source, target, ...policy },
      });
      const stopped = await job.until(({ status }) => status === "paused");
      const service = new Service({ reader: joblog.reader, joblog });
      const { job: view, writer } = await service.job("nightly");
      assertEquals([view.status, writer.isAlive], ["paused", true]);
      // Whichever of the two met the full disk first; the other is told by the io-status.
      assert(view.pausedBy === "policy" || view.pausedBy === "logSpace", String(view.pausedBy));
      if (view.pausedBy === "policy") assertEquals(stopped.ioStatus, "nospace");
      spawnSync("mount", ["-o", "remount,size=80m", small]);
      let state = stopped;
      for (let round = 0; state.status === "paused" && round < 5; round++) {
        await job.resume();
        await job.until(({ status }) => status !== "paused");
        state = await job.until(({ status }) => status === "paused" || status === "null");
      }
      assertEquals(state.ret, 0);
      assert(sameBytes(fs.readFileSync(target), noise(40 * MIB)));
      assert(await isWhole());
      await joblog.close();
      joblog = await openJoblog({ path: join(small, "jobs.db") });
      assert(await isWhole());
      await joblog.close();
    },
  );
});
