/** Backups that compress: what they write, what they refuse, and what is written twice. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { type Joblog, openJoblog } from "../../../mod.ts";
import { JoblogError } from "../../../events/log/errors.ts";
import { BlockError } from "../../../engine/block/errors.ts";
import {
  checkQcow2,
  createQcow2,
  openQcow2,
  type Qcow2CreateOptions,
} from "../../../engine/block/qcow2/mod.ts";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import { FakeContext } from "../../support/fake_context.ts";
import { failOnce, type FaultRule, FaultyNode } from "../../support/faulty_node.ts";
import { ImageFolder, sameBytes } from "../../support/images.ts";
import { itWhen } from "../../support/skip.ts";
import { bytesByQemu, bytesOf, checkByQemu, HAS_QEMU, NO_QEMU } from "../block/qcow2/qemu.ts";
import { BackupBed } from "./backup_bed.ts";

const MIB = 1_048_576;
const SIZE = 6 * MIB + 70_001;
const COMPRESS = { target: "target.qcow2", format: "qcow2", compress: true };

/** Text, bytes that do not pack, zeros that are written, and text again. */
function contents(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += MIB) {
    const piece = bytes.subarray(at, Math.min(size, at + MIB));
    const kind = at / MIB % 3;
    if (kind === 0) piece.set(piece.map((_, index) => 65 + (index * index >> 9) % 26));
    for (let done = 0; kind === 1 && done < piece.byteLength; done += 65_536) {
      crypto.getRandomValues(piece.subarray(done, done + 65_536));
    }
  }
  return bytes;
}

describe("backup with compress", () => {
  let bed: BackupBed;
  let expected: Uint8Array;
  beforeEach(() => {
    bed = new BackupBed();
    bed.folder.write("source.raw", expected = contents(SIZE));
  });
  afterEach(() => bed.folder.remove());

  const target = () => bed.folder.file("target.qcow2");

  /** The copy has the bytes of the source, and no cluster is counted wrong. */
  async function expectCopy(): Promise<void> {
    const node = await openQcow2(target(), { readOnly: true });
    const found = await bytesOf(node, MIB);
    await node.close();
    const size = Math.ceil(SIZE / 512) * 512;
    assertEquals(found.byteLength, size);
    assert(sameBytes(found.subarray(0, SIZE), expected));
    assert(found.subarray(SIZE).every((byte) => byte === 0));
    if (HAS_QEMU) {
      assert(sameBytes(bytesByQemu(bed.folder, target()), found));
      assertEquals(checkByQemu(target()), { corruptions: 0, leaks: 0 });
    }
  }

  async function make(options: Partial<Qcow2CreateOptions>): Promise<void> {
    await (await createQcow2(target(), { size: Math.ceil(SIZE / 512) * 512, ...options })).close();
  }

  it("writes compressed clusters into a target that it makes, the last part included", async () => {
    await bed.run(new FakeContext(), COMPRESS);
    await expectCopy();
    const { compressedClusters, dataClusters } = await checkQcow2(target());
    // Two of seven pieces do not pack; the last piece begins a cluster that is not whole.
    assertEquals([compressedClusters, dataClusters], [66, 98]);
    assert(bed.folder.sizeOf("target.qcow2")! < 3.5 * MIB);
  });

  for (const compressionType of ["zlib", "zstd"] as const) {
    for (const clusterSize of [512, 4_096, 2 * MIB]) {
      it(`writes clusters of ${clusterSize} with ${compressionType}`, async () => {
        await make({ clusterSize, compressionType });
        await bed.run(new FakeContext(), { ...COMPRESS, mode: "existing" });
        await expectCopy();
        assert((await checkQcow2(target())).compressedClusters > 0);
      });
    }
  }

  it("copies one cluster at a time under a speed limit", async () => {
    const context = new FakeContext({ speed: 65_536 });
    await bed.run(context, COMPRESS);
    await expectCopy();
    const lengths = context.record.steps.map(({ length }) => length ?? 0);
    assertEquals(Math.max(...lengths), 65_536);
  });

  for (const extra of [{}, { mode: "existing" }]) {
    it(`goes on after a stop of its process, ${JSON.stringify(extra)}`, async () => {
      if ("mode" in extra) await make({});
      const first = new FakeContext({
        checkpointBytes: 2 * MIB,
        onPausePoint: (count, own) => count === 6 ? own.cancel() : undefined,
      });
      await bed.run(first, { ...COMPRESS, ...extra, "max-workers": 1 });
      const { resumeFrom, current } = first.record.checkpoints.at(-1)!;
      assert(current > 0 && current < SIZE);
      // What was copied behind the checkpoint is in the target and is copied again.
      const before = (await checkQcow2(target())).dataClusters;
      assert(before * 65_536 > current);
      const job = await bed.open({ ...COMPRESS, ...extra }, {}, true);
      await bed.drive(job, new FakeContext({ resumeFrom, current }));
      await expectCopy();
    });
  }

  it("copies again what a failed flush may have lost", async () => {
    const context = new FakeContext({ checkpointBytes: 2 * MIB });
    let hasFailed = false;
    const { steps } = context.record;
    // How many come before it is a matter of how fast clusters are packed.
    const failsBehindSteps: FaultRule = (site) => {
      if (site !== "flush" || steps.length === 0 || hasFailed) return undefined;
      hasFailed = true;
      return "EIO";
    };
    await bed.run(context, { ...COMPRESS, "on-target-error": "ignore" }, {
      target: (node) => new FaultyNode(node, failsBehindSteps),
    });
    assert(hasFailed);
    assertEquals(context.record.errors.map(({ operation }) => operation), ["write"]);
    await expectCopy();
  });

  for (const site of ["read", "write"] as const) {
    it(`tells the policy which side failed: ${site}`, async () => {
      const context = new FakeContext();
      const wrap = (node: ConstructorParameters<typeof FaultyNode>[0]) =>
        new FaultyNode(node, failOnce(site, site === "read" ? 3 : 12));
      const policy = { "on-source-error": "ignore", "on-target-error": "ignore" };
      const side = site === "read" ? { source: wrap } : { target: wrap };
      await bed.run(context, { ...COMPRESS, ...policy }, side);
      assertEquals(context.record.errors.map(({ operation }) => operation), [site]);
      await expectCopy();
    });
  }

  it("fails with EIO where the target has something allocated, and says so", async () => {
    await make({});
    const node = await openQcow2(target());
    await node.write(4 * MIB, new Uint8Array(1));
    await node.close();
    const run = () => bed.run(new FakeContext(), { ...COMPRESS, mode: "existing" });
    const failure = await assertRejects(run, BlockError, "a cluster is allocated there");
    assertEquals([failure.code, failure.operation], ["EIO", "write"]);
  });

  it("refuses a raw target, and leaves none behind", async () => {
    const open = () => bed.open({ target: "target.raw", format: "raw", compress: true });
    const failure = await assertRejects(open, JoblogError);
    assertEquals([failure.code, failure.subject, failure.message], [
      "invalidParameter",
      "compress",
      "Compression is not supported for this drive ",
    ]);
    assertEquals(bed.folder.sizeOf("target.raw"), undefined);
  });
});

describe("backup of nodes with compress", () => {
  let folder: ImageFolder;
  let joblog: Joblog;
  beforeEach(async () => {
    folder = new ImageFolder();
    const disk = await createQcow2(folder.file("disk.qcow2"), { size: 8 * MIB });
    await disk.write(0, contents(8 * MIB));
    await disk.close();
    await (await createQcow2(folder.file("copy.qcow2"), { size: 8 * MIB })).close();
    joblog = await openJoblog({ path: folder.file("jobs.db"), baseFolder: folder.path });
    await joblog.nodes.add(node("disk"));
    await joblog.nodes.add(node("copy"));
  });
  afterEach(async () => {
    await joblog.close({ jobs: "cancel" });
    folder.remove();
  });

  const node = (name: string): JsonObject => ({
    driver: "qcow2",
    "node-name": name,
    file: { driver: "file", filename: `${name}.qcow2` },
  });

  const start = (target: string, extra: object = {}) => {
    const parameters = { source: "disk", target, compress: true };
    return joblog.start({ type: "backup", id: "b", parameters, ...extra });
  };

  itWhen(HAS_QEMU, NO_QEMU, "keeps the moment while a guest writes", async () => {
    const guest = await joblog.nodes.writer("disk");
    const before = await bytesOf(guest, MIB);
    const job = await start("copy", { speed: MIB });
    await job.until(({ progress }) => progress.current > 0);
    for (let at = 7 * MIB; at >= 0; at -= 1_500_000) {
      await guest.write(at, new Uint8Array(100_000).fill(9));
    }
    await job.setSpeed(0);
    assertEquals((await job.done).ret, 0);
    await guest.close();
    await joblog.nodes.remove("copy");
    assert(sameBytes(bytesByQemu(folder, folder.file("copy.qcow2")), before));
    assertEquals(checkByQemu(folder.file("copy.qcow2")), { corruptions: 0, leaks: 0 });
    assert((await checkQcow2(folder.file("copy.qcow2"))).compressedClusters > 50);
  });

  it("refuses a node that cannot compress", async () => {
    folder.write("raw.raw", new Uint8Array(8 * MIB));
    await joblog.nodes.add({
      driver: "raw",
      "node-name": "raw",
      file: { driver: "file", filename: "raw.raw" },
    });
    const text = "Compression is not supported for this drive ";
    await assertRejects(() => start("raw"), JoblogError, text);
  });
});
