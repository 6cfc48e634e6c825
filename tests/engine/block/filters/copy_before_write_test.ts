import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  BlockCopy,
  BlockCopyError,
  type CopiedPiece,
} from "../../../../engine/block/block_copy.ts";
import { DirtyMap } from "../../../../engine/block/dirty_map.ts";
import { Edge } from "../../../../engine/block/edge.ts";
import { BlockError } from "../../../../engine/block/errors.ts";
import {
  CopyBeforeWrite,
  type OnCbwError,
} from "../../../../engine/block/filters/copy_before_write.ts";
import { SnapshotAccess } from "../../../../engine/block/filters/snapshot_access.ts";
import type { BlockNode } from "../../../../engine/block/node.ts";
import { failOnce, FaultyNode } from "../../../support/faulty_node.ts";
import { noise, sameBytes } from "../../../support/images.ts";
import { MemoryNode } from "../memory_node.ts";
import { numbersFrom } from "../qcow2/seeded.ts";
import { runWriter, turns } from "./seeded_writer.ts";

const SIZE = 4_001;
const CLUSTER = 64;

/** Copies all that is pending with some workers, again and again after a failure. */
async function runJob(copy: BlockCopy, next: (below: number) => number): Promise<void> {
  const worker = async () => {
    for (;;) {
      const task = copy.take(next(SIZE), CLUSTER * (1 + next(4))) ?? copy.take(0, CLUSTER);
      if (task === undefined) return;
      await turns(next(6));
      await copy.run(task).catch(() => turns(1));
    }
  };
  await Promise.all([worker(), worker(), worker()]);
  await copy.waitIdle();
}

/** One seeded run: writers all the time, a filter from some moment on, a job, and its end. */
async function pointInTime(seed: number, target: BlockNode, onCbwError?: OnCbwError) {
  const next = numbersFrom(seed);
  const source = new MemoryNode(noise(SIZE), { name: "source", turns: () => next(4) });
  const edge = new Edge(source);
  const bed = { node: edge, model: noise(SIZE), next };
  const writers = [0, 1, 2, 3].map((stripe) => runWriter(bed, stripe, 4, 40));
  await turns(next(200));
  let copied = 0;
  let truth = new Uint8Array(0);
  const filters: CopyBeforeWrite[] = [];
  await edge.replace((child) => {
    truth = source.bytes.slice();
    const onGuestCopy = (_: unknown, pieces: readonly CopiedPiece[]) => copied += pieces.length;
    const copy = new BlockCopy({ source: child, target, cluster: CLUSTER, onGuestCopy });
    filters.push(
      new CopyBeforeWrite(child, { copy, ...(onCbwError === undefined ? {} : { onCbwError }) }),
    );
    return filters[0]!;
  });
  await turns(next(100));
  const filter = filters[0]!;
  const reader = new SnapshotAccess(filter);
  const early = new Uint8Array(SIZE);
  const reading = reader.read(0, early).then(() => early, () => undefined);
  await runJob(filter.copy, next);
  assertEquals(await edge.replace(filter.child), filter);
  const failures = (await Promise.all(writers)).reduce((sum, count) => sum + count, 0);
  return { source, truth, copied, failures, filter, model: bed.model, early: await reading };
}

describe("CopyBeforeWrite", () => {
  it("the target becomes the source of the moment, whatever the writers do", async () => {
    let guestCopies = 0;
    for (let seed = 0; seed < 60; seed++) {
      const next = numbersFrom(seed + 1_000);
      const target = new MemoryNode(new Uint8Array(SIZE).fill(0x55), { turns: () => next(6) });
      const run = await pointInTime(seed, target);
      assert(sameBytes(target.bytes, run.truth), `target, seed ${seed}`);
      assert(sameBytes(run.source.bytes, run.model), `source, seed ${seed}`);
      assert(run.early !== undefined && sameBytes(run.early, run.truth), `snapshot, ${seed}`);
      assertEquals([run.failures, run.filter.copy.pending.markedBytes], [0, 0]);
      assertEquals(run.filter.copy.inWorkBytes, 0);
      guestCopies += run.copied;
    }
    assert(guestCopies > 100, `only ${guestCopies} copies for writers`);
  });

  it("a failing write of the target breaks one guest write at most, for every write", async () => {
    let broken = 0;
    for (let count = 1; count < 60; count++) {
      const memory = new MemoryNode(new Uint8Array(SIZE).fill(0x55));
      const target = new FaultyNode(memory, failOnce("write", count, "ENOSPC"));
      const run = await pointInTime(count % 5, target);
      assert(sameBytes(memory.bytes, run.truth), `target, write ${count}`);
      assert(run.failures <= 1);
      broken += run.failures;
      assert(sameBytes(run.source.bytes, run.model), `source, write ${count}`);
    }
    assert(broken > 0, "no guest write met the fault");
  });

  it("with break-snapshot no guest write fails, and a broken snapshot cannot be read", async () => {
    let broken = 0;
    for (let count = 1; count < 60; count++) {
      const memory = new MemoryNode(new Uint8Array(SIZE).fill(0x55));
      const target = new FaultyNode(memory, failOnce("write", count, "ENOSPC"));
      const run = await pointInTime(count % 5, target, "break-snapshot");
      assertEquals(run.failures, 0);
      assert(sameBytes(run.source.bytes, run.model));
      const reader = new SnapshotAccess(run.filter);
      if (run.filter.snapshotError === undefined) {
        assert(sameBytes(memory.bytes, run.truth), `target, write ${count}`);
        continue;
      }
      broken++;
      assert(run.filter.snapshotError instanceof BlockCopyError);
      const act = () => reader.read(0, new Uint8Array(1));
      assertEquals((await assertRejects(act, BlockError, "Permission denied")).code, "EACCES");
    }
    assert(broken > 0, "no copy for a writer met the fault");
  });

  it("copies before zeros, discards and a cut, and not a second time", async () => {
    const source = new MemoryNode(noise(SIZE), { name: "source" });
    const target = new MemoryNode(new Uint8Array(SIZE));
    const copy = new BlockCopy({ source, target, cluster: CLUSTER });
    const filter = new CopyBeforeWrite(source, { copy });
    await filter.zero(0, 1);
    await filter.discard(CLUSTER, 1);
    await filter.truncate(SIZE - 1);
    const done = [...copy.done.areas()].map(({ offset, length }) => [offset, length]);
    assertEquals(done, [[0, 128], [3_968, 33]]);
    await filter.write(0, new Uint8Array([9, 9]));
    assert(sameBytes(target.bytes.subarray(0, 128), noise(SIZE).subarray(0, 128)));
    assert(sameBytes(target.bytes.subarray(3_968), noise(SIZE).subarray(3_968)));
    await assertRejects(() => filter.write(SIZE, new Uint8Array(1)), BlockError);
  });

  it("a write waits for a reader of the old state below it", async () => {
    const source = new MemoryNode(noise(SIZE), { name: "source" });
    const target = new MemoryNode(new Uint8Array(SIZE));
    const filter = new CopyBeforeWrite(source, {
      copy: new BlockCopy({ source, target, cluster: CLUSTER }),
    });
    let finish = () => {};
    const reading = filter.frozen(
      { offset: 0, length: 10 },
      () => new Promise<void>((resolve) => finish = resolve),
    );
    const writes = [filter.write(9, new Uint8Array(1)), filter.write(10, new Uint8Array(1))];
    await writes[1];
    await turns(50);
    assertEquals([source.bytes[9], source.bytes[10]], [noise(SIZE)[9], 0]);
    finish();
    await Promise.all([reading, ...writes]);
    assertEquals(source.bytes[9], 0);
  });

  it("what was not to be copied is neither copied nor readable", async () => {
    const source = new MemoryNode(noise(SIZE), { name: "source" });
    const target = new MemoryNode(new Uint8Array(SIZE));
    const pending = new DirtyMap(SIZE, CLUSTER);
    pending.mark(CLUSTER, CLUSTER);
    const copy = new BlockCopy({ source, target, cluster: CLUSTER, pending });
    const filter = new CopyBeforeWrite(source, { copy });
    const reader = new SnapshotAccess(filter);
    await filter.write(0, noise(200, 7));
    assertEquals([copy.done.markedBytes, target.bytes[0]], [CLUSTER, 0]);
    const bytes = new Uint8Array(CLUSTER);
    await reader.read(CLUSTER, bytes);
    assert(sameBytes(bytes, noise(SIZE).subarray(CLUSTER, 2 * CLUSTER)));
    await assertRejects(() => reader.read(0, bytes), BlockError, "Permission denied");
    await assertRejects(() => reader.write(), BlockError, "open for reading only");
    assertEquals((await reader.extent(CLUSTER, 3 * CLUSTER)).length, CLUSTER);
  });
});

describe("BlockCopy", () => {
  it("run tells the side that failed and makes the task pending again", async () => {
    const sides = [["read", true], ["extent", true], ["write", false], ["zero", false]] as const;
    for (const [site, isRead] of sides) {
      const bytes = noise(SIZE);
      if (site === "zero") bytes.fill(0);
      const memory = new MemoryNode(bytes, { name: "source" });
      const source = new FaultyNode(memory, isRead ? failOnce(site, 1) : undefined);
      const sink = new MemoryNode(new Uint8Array(SIZE), { name: "target" });
      const target = new FaultyNode(sink, isRead ? undefined : failOnce(site, 1));
      const copy = new BlockCopy({ source, target, cluster: CLUSTER });
      const task = copy.take(100, 10)!;
      assertEquals(task, { offset: 64, length: 64 });
      const error = await assertRejects(() => copy.run(task), BlockCopyError, "injected EIO");
      assertEquals([error.isRead, error.errno, error.subject], [
        isRead,
        5,
        isRead ? "source" : "target",
      ]);
      assertEquals([copy.pending.isMarked(64), copy.inWorkBytes], [true, 0]);
      await copy.run(copy.take(64, 64)!);
      assertEquals([copy.done.markedBytes, copy.pending.isMarked(64)], [64, false]);
    }
  });

  it("zeros are written unless the target has them", async () => {
    for (const isTargetZero of [false, true]) {
      const source = new MemoryNode(new Uint8Array(SIZE), { name: "source" });
      const target = new MemoryNode(noise(SIZE));
      const copy = new BlockCopy({ source, target, cluster: CLUSTER, isTargetZero });
      const pieces = await copy.run(copy.take(0, SIZE)!);
      assertEquals(pieces, [{ offset: 0, length: SIZE, kind: "zero" }]);
      assertEquals(target.bytes.every((byte) => byte === 0), !isTargetZero);
    }
  });
});
