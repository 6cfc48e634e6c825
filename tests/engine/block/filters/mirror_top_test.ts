import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Edge } from "../../../../engine/block/edge.ts";
import { MirrorTop } from "../../../../engine/block/filters/mirror_top.ts";
import { type MirrorCopyMode, MirrorState } from "../../../../engine/block/mirror_state.ts";
import { BlockError } from "../../../../engine/block/errors.ts";
import { failOnce, type FaultRule, FaultyNode } from "../../../support/faulty_node.ts";
import { noise, sameBytes } from "../../../support/images.ts";
import { MemoryNode } from "../memory_node.ts";
import { numbersFrom } from "../qcow2/seeded.ts";
import { runWriter, turns } from "./seeded_writer.ts";

const SIZE = 16_003;
const GRAIN = 512;

/** Copies what is dirty, with workers, until nothing is, `rounds` times at least. */
async function converge(
  source: MemoryNode,
  mirror: MirrorState,
  next: (below: number) => number,
  rounds: number,
): Promise<void> {
  const worker = async () => {
    for (let round = 0; round < rounds || !mirror.isClean; round++) {
      const area = mirror.take(next(SIZE), GRAIN * (1 + next(3))) ?? mirror.take(0, GRAIN);
      if (area === undefined) {
        if (!await mirror.waitOne()) await turns(1);
        continue;
      }
      const bytes = new Uint8Array(area.length);
      let isDone = false;
      try {
        await source.read(area.offset, bytes);
        await mirror.target.write(area.offset, bytes);
        isDone = true;
      } catch {
        await turns(1);
      }
      mirror.settle(area, isDone);
    }
  };
  await Promise.all([worker(), worker(), worker()]);
}

/** One seeded mirror beside writers, up to the switch to the target. */
async function mirrored(seed: number, modes: readonly MirrorCopyMode[], rule?: FaultRule) {
  const next = numbersFrom(seed);
  const source = new MemoryNode(noise(SIZE), { name: "source", turns: () => next(4) });
  const memory = new MemoryNode(new Uint8Array(SIZE), { name: "target", turns: () => next(5) });
  const target = new FaultyNode(memory, rule);
  const edge = new Edge(source);
  const bed = { node: edge, model: noise(SIZE), next };
  const errors: unknown[] = [];
  const mirror = new MirrorState({
    target,
    size: SIZE,
    granularity: GRAIN,
    copyMode: modes[0]!,
    onTargetError: (error) => errors.push(error),
  });
  const writers = [0, 1, 2, 3].map((stripe) => runWriter(bed, stripe, 4, 60));
  await turns(next(60));
  await edge.replace(new MirrorTop(source, mirror), () => mirror.bitmap.set(0, SIZE));
  await converge(source, mirror, next, 10);
  mirror.copyMode = modes[1] ?? modes[0]!;
  await converge(source, mirror, next, 10);
  let equal = false;
  await edge.drained(async (point) => {
    await converge(source, mirror, next, 0);
    equal = sameBytes(source.bytes, memory.bytes);
    point.replace(memory);
  });
  const failures = (await Promise.all(writers)).reduce((sum, count) => sum + count, 0);
  return { equal, failures, errors, memory, mirror, model: bed.model };
}

const MODES: readonly (readonly MirrorCopyMode[])[] = [
  ["background"],
  ["write-blocking"],
  ["background", "write-blocking"],
];

describe("MirrorTop", () => {
  it("source and target are equal at the switch, and writers go on at the target", async () => {
    for (let seed = 0; seed < 45; seed++) {
      const run = await mirrored(seed, MODES[seed % 3]!);
      assert(run.equal, `seed ${seed}`);
      assert(sameBytes(run.memory.bytes, run.model), `writers, seed ${seed}`);
      assertEquals([run.failures, run.errors.length], [0, 0]);
      assertEquals([run.mirror.inWorkBytes, run.mirror.activeBytes], [0, 0]);
    }
  });

  it("any failing write of the target is made good, and fails no writer", async () => {
    let told = 0;
    for (let count = 1; count < 50; count++) {
      for (const site of ["write", "zero"] as const) {
        const run = await mirrored(count % 3, MODES[1 + count % 2]!, failOnce(site, count));
        assert(run.equal, `${site} ${count}`);
        assertEquals(run.failures, 0);
        told += run.errors.length;
      }
    }
    assert(told > 0, "no writer met a fault");
  });

  it("in write-blocking mode a write is at the target when it is acknowledged", async () => {
    const source = new MemoryNode(new Uint8Array(4_096));
    const target = new MemoryNode(new Uint8Array(4_096));
    const copied: [number, boolean][] = [];
    const mirror = new MirrorState({
      target,
      size: 4_096,
      granularity: GRAIN,
      copyMode: "write-blocking",
      onActiveWrite: (length, isDone) => copied.push([length, isDone]),
    });
    const top = new MirrorTop(source, mirror);
    mirror.bitmap.set(0, 1_024);
    await top.write(100, noise(1_500));
    // The head lies in a dirty granule that is only partly written: that is left to the job.
    assertEquals([mirror.bitmap.dirtyBytes, mirror.bitmap.isDirty(0)], [512, true]);
    assert(sameBytes(target.bytes.subarray(512, 1_600), source.bytes.subarray(512, 1_600)));
    assertEquals(target.bytes[100], 0);
    assertEquals(copied, [[1_088, false], [1_088, true]]);
    await top.zero(1_024, 512);
    assert(target.bytes.subarray(1_024, 1_536).every((byte) => byte === 0));
    await top.discard(1_024, 1);
    assert(mirror.bitmap.isDirty(1_024));
    await assertRejects(() => top.write(4_096, noise(1)), BlockError);
  });

  it("a stopped mirror only notes; a failing source notes, too", async () => {
    const source = new FaultyNode(new MemoryNode(new Uint8Array(4_096)), failOnce("write", 2));
    const target = new MemoryNode(new Uint8Array(4_096));
    const options = { target, size: 4_096, granularity: GRAIN };
    const mirror = new MirrorState({ ...options, copyMode: "write-blocking" });
    const top = new MirrorTop(source, mirror);
    await top.write(0, noise(512));
    assertEquals([mirror.isClean, target.bytes[0]], [true, noise(1)[0]]);
    await assertRejects(() => top.write(512, noise(512)), BlockError);
    assert(mirror.bitmap.isDirty(512) && target.bytes[512] === 0);
    mirror.stop();
    await top.write(1_024, noise(512));
    assert(mirror.bitmap.isDirty(1_024) && target.bytes[1_024] === 0);
  });

  it("take keeps off what is in work, and skips to what is free behind it", () => {
    const target = new MemoryNode(new Uint8Array(4_096));
    const mirror = new MirrorState({ target, size: 4_096, granularity: GRAIN });
    mirror.bitmap.set(0, 4_096);
    const first = mirror.take(512, 512)!;
    mirror.bitmap.set(512, 1);
    assertEquals(mirror.take(512, 512), { offset: 1_024, length: 512 });
    assertEquals(mirror.take(0, 4_096), { offset: 0, length: 512 });
    assertEquals([mirror.inWorkBytes, mirror.bitmap.dirtyBytes], [1_536, 3_072]);
    mirror.settle(first, false);
    assertEquals(mirror.take(0, 4_096), { offset: 512, length: 512 });
  });
});
