import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import * as fs from "node:fs";
import type { BlockNode } from "../../../engine/block/node.ts";
import { JobParked } from "../../../engine/drivers/driver.ts";
import { FakeContext } from "../../support/fake_context.ts";
import { FaultyNode } from "../../support/faulty_node.ts";
import { noise } from "../../support/images.ts";
import { BackupBed } from "./backup_bed.ts";

const MIB = 1_048_576;

let bed: BackupBed;
beforeEach(() => bed = new BackupBed());
afterEach(() => bed.folder.remove());

/** Ranges by kind, in order, neighbours joined. */
function ranges(context: FakeContext): [string, number, number][] {
  const joined: [string, number, number][] = [];
  const sorted = [...context.record.steps].sort((a, b) => a.offset - b.offset);
  for (const { kind, offset, length } of sorted) {
    const last = joined.at(-1);
    if (last?.[0] === kind && last[1] + last[2] === offset) last[2] += length;
    else joined.push([kind, offset, length]);
  }
  return joined;
}

describe("backup", () => {
  for (const size of [0, 1, 511, 65_537, 1_049_600, 5 * MIB + 3]) {
    it(`copies ${size} bytes exactly and reports whole clusters`, async () => {
      bed.folder.write("source.raw", noise(size));
      const context = new FakeContext();
      await bed.run(context);
      assert(bed.isEqual);
      const clusters = Math.ceil(size / 65_536) * 65_536;
      assertEquals([context.progress.current, context.progress.total], [clusters, clusters]);
      assertEquals(ranges(context), size === 0 ? [] : [["copied", 0, size]]);
    });
  }

  it("reports 1114112 for an image of 1049600 bytes, in total before the first step", async () => {
    bed.folder.write("source.raw", noise(1_049_600));
    const totals: number[] = [];
    const context = new FakeContext({
      onPausePoint: (_, { progress }) => void totals.push(progress.total),
    });
    await bed.run(context);
    assertEquals(new Set(totals), new Set([1_114_112]));
  });

  it("keeps holes as holes and says which ranges were", async () => {
    bed.folder.sparse("source.raw", 64 * MIB, [[0, 100], [10 * MIB, 65_536], [64 * MIB - 1, 1]]);
    const context = new FakeContext();
    await bed.run(context);
    assert(bed.isEqual);
    assert(bed.folder.allocatedBytes("target.raw") <= 4 * 65_536);
    assertEquals(ranges(context), [
      ["copied", 0, 65_536],
      ["hole", 65_536, 10 * MIB - 65_536],
      ["copied", 10 * MIB, 65_536],
      ["hole", 10 * MIB + 65_536, 54 * MIB - 2 * 65_536],
      ["copied", 64 * MIB - 65_536, 65_536],
    ]);
  });

  it("zeroes what was in a target that existed", async () => {
    bed.folder.sparse("source.raw", 3 * MIB, [[MIB, 100]]);
    bed.folder.write("target.raw", noise(3 * MIB));
    const context = new FakeContext();
    await bed.run(context, { mode: "existing" });
    assert(bed.isEqual);
    assertEquals(ranges(context).map(([kind]) => kind), ["zeroed", "copied", "zeroed"]);
    assertEquals(context.record.acts, []);
  });

  it("empties a target for absolute-paths as an announced act", async () => {
    bed.folder.sparse("source.raw", 2 * MIB, [[5, 5]]);
    bed.folder.write("target.raw", noise(7));
    const context = new FakeContext();
    await bed.run(context, { mode: "absolute-paths" });
    assert(bed.isEqual);
    assertEquals(context.record.acts, [{
      kind: "truncate",
      subject: bed.folder.file("target.raw"),
      before: { size: 7 },
      after: { size: 2 * MIB },
    }]);
    assertEquals(ranges(context).map(([kind]) => kind), ["copied", "hole"]);
  });

  it("copies any layout of data and holes between any nodes, in any chunks", async () => {
    const piece = fc.tuple(fc.nat(40 * 65_536), fc.integer({ min: 1, max: 200_000 }));
    const layout = fc.record({
      size: fc.integer({ min: 1, max: 40 * 65_536 }),
      data: fc.array(piece, { maxLength: 6 }),
      chunk: fc.constantFrom(0, 65_536, 200_000, 16 * MIB),
      workers: fc.constantFrom(1, 2, 64),
      isWrapped: fc.boolean(),
      isExisting: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(layout, async (given) => {
        const own = new BackupBed();
        const data = given.data
          .map(([at, length]): [number, number] => [at, Math.min(length, given.size - at)])
          .filter(([, length]) => length > 0);
        own.folder.sparse("source.raw", given.size, data);
        if (given.isExisting) own.folder.write("target.raw", noise(given.size));

        const context = new FakeContext();
        await own.run(context, {
          "max-chunk": given.chunk,
          "max-workers": given.workers,
          ...(given.isExisting ? { mode: "existing" } : {}),
        }, given.isWrapped ? { source: (node) => new FaultyNode(node) } : {});
        assert(own.isEqual);
        assertEquals(context.progress.current, context.progress.total);
        const covered = context.record.steps.reduce((sum, step) => sum + step.length, 0);
        assertEquals(covered, given.size);
        own.folder.remove();
      }),
      { numRuns: 60 },
    );
  });

  it("keeps at most max-workers tasks in flight, and records steps in issue order", async () => {
    bed.folder.write("source.raw", noise(8 * MIB));
    let now = 0;
    let most = 0;
    const gates: (() => void)[] = [];
    // Each read waits until three are there, and then the youngest is let go first.
    const hold = async (site: string) => {
      if (site !== "read") return;
      most = Math.max(most, ++now);
      if (now < 3) await new Promise<void>((resolve) => gates.push(resolve));
      now--;
      gates.pop()?.();
    };
    const context = new FakeContext();
    await bed.run(context, { "max-workers": 3 }, {
      source: (node) =>
        new FaultyNode(node, undefined, async (site, count) => {
          // The last two have no third to wait for.
          if (count <= 6) await hold(site);
        }),
    });
    assertEquals(most, 3);
    assert(bed.isEqual);
    const offsets = context.record.steps.map(({ offset }) => offset);
    assertEquals(offsets, [...offsets].sort((a, b) => a - b));
  });

  it("pays 1 MiB steps at 1 MiB/s, one a second", async () => {
    bed.folder.write("source.raw", noise(4 * MIB));
    const context = new FakeContext({ speed: MIB });
    await bed.run(context);
    assertEquals(context.record.dispatched.map(({ length }) => length), [MIB, MIB, MIB, MIB]);
    const seconds = context.record.dispatched.map(({ atMs }) => Math.round(atMs / 1_000));
    assertEquals(seconds, [0, 1, 2, 3]);
  });

  it("takes larger steps once files copy between themselves, but not under a limit", async () => {
    bed.folder.write("source.raw", noise(26 * MIB));
    const lengthsOf = async (speed: number, extra = {}) => {
      fs.rmSync(bed.folder.file("target.raw"), { force: true });
      const context = new FakeContext({ speed });
      await bed.run(context, { "max-workers": 1, ...extra });
      assert(bed.isEqual);
      return [...new Set(context.record.dispatched.map(({ length }) => length / MIB))];
    };
    assertEquals(await lengthsOf(0), [1, 8]);
    assertEquals(await lengthsOf(16 * MIB), [1, 2]);
    assertEquals(await lengthsOf(4 * MIB), [1]);
    assertEquals(await lengthsOf(0, { "max-chunk": 2 * MIB }), [1, 2]);
  });

  it("pays 64 KiB steps with max-chunk 65536", async () => {
    bed.folder.write("source.raw", noise(MIB));
    const context = new FakeContext({ speed: MIB });
    await bed.run(context, { "max-chunk": 65_536 });
    assertEquals(new Set(context.record.dispatched.map(({ length }) => length)), new Set([65_536]));
    const lastMs = context.record.dispatched.at(-1)!.atMs;
    assert(lastMs > 750 && lastMs <= 1_000, `last step at ${lastMs} ms`);
  });

  it("wakes to a raised speed and looks again", async () => {
    bed.folder.write("source.raw", noise(4 * MIB));
    const context = new FakeContext({
      speed: 1,
      onPausePoint: (count, own) => count === 3 ? own.setSpeed(0) : undefined,
    });
    await bed.run(context);
    assertEquals(context.record.sleeps.length, 1);
    assert(bed.isEqual);
  });

  it("stops issuing, flushes and takes a checkpoint when it is paused", async () => {
    bed.folder.write("source.raw", noise(16 * MIB));
    let target: FaultyNode | undefined;
    const seen: unknown[] = [];
    const context = new FakeContext({
      onPausePoint: (count, own) => count === 5 ? own.pause() : undefined,
      onPaused: (own) => {
        const { checkpoints, steps } = own.record;
        seen.push(target?.counts.get("flush"), checkpoints.length, steps.length);
        seen.push(checkpoints.at(-1)?.stepCount, own.progress.current);
      },
    });
    await bed.run(context, {}, { target: (node) => target = new FaultyNode(node) });
    // Four tasks were issued before the fifth pause point; all of them are recorded and flushed.
    assertEquals(seen, [1, 2, 4, 4, 4 * MIB]);
    assertEquals(context.record.checkpoints[1]?.resumeFrom, {
      offset: 4 * MIB,
      todo: [[4 * MIB, 12 * MIB]],
      size: 16 * MIB,
      stamp: String(fs.statSync(bed.folder.file("source.raw"), { bigint: true }).mtimeNs),
    });
    assert(bed.isEqual);
  });

  it("neither flushes nor takes a checkpoint when a pause has nothing new to tell", async () => {
    bed.folder.write("source.raw", noise(4 * MIB));
    let target: FaultyNode | undefined;
    // Under the limit there are pause points before and after a sleep: nothing is copied between.
    const context = new FakeContext({ speed: MIB, onPausePoint: (_, own) => own.pause() });
    await bed.run(context, { "max-workers": 1 }, {
      target: (node) => target = new FaultyNode(node),
    });
    const [beforeAll, ...atPauses] = context.record.checkpoints.map(({ stepCount }) => stepCount);
    assertEquals([beforeAll, atPauses], [0, [0, 1, 2, 3, 4]]);
    assert(context.record.pauseCount >= 8, `${context.record.pauseCount} pauses`);
    assertEquals(target?.counts.get("flush"), atPauses.length + 1);
    assert(bed.isEqual);
  });

  const hangs = [["source", "extent", 3], ["source", "read", 3], ["target", "write", 3], [
    "target",
    "flush",
    1,
  ]] as const;
  for (const [side, site, count] of hangs) {
    it(`abandons a hanging ${site} at a cancel and records nothing of it`, async () => {
      bed.folder.write("source.raw", noise(8 * MIB));
      let letGo = () => {};
      const hanging = new Promise<void>((resolve) => letGo = resolve);
      const context = new FakeContext();
      const wrap = (node: BlockNode) =>
        new FaultyNode(node, undefined, async (asked, now) => {
          if (asked !== site || now !== count) return;
          queueMicrotask(() => context.cancel());
          await hanging;
        });
      // A wrapped target takes reads and writes instead of a copy between files.
      const job = await bed.open({}, { target: (node) => new FaultyNode(node), [side]: wrap });
      await context.drive(job);
      const stepCount = context.record.steps.length;
      assertEquals(stepCount < 8, site !== "flush");
      letGo();
      await job.close?.();
      assertEquals(context.record.steps.length, stepCount);
      assertEquals(fs.existsSync(bed.folder.file("target.raw")), true);
    });
  }

  it("lets a parked job through with nothing in flight", async () => {
    bed.folder.write("source.raw", noise(8 * MIB));
    const context = new FakeContext({
      onPausePoint: (count, own) => count === 4 ? own.park() : undefined,
    });
    await assertRejects(() => bed.run(context, { "max-chunk": MIB }), JobParked);
    assertEquals(context.record.steps.length, 3);
    assertEquals(context.record.checkpoints.map(({ stepCount }) => stepCount), [0, 3]);
  });

  it("removes a target that it made if it never ran, but no other", async () => {
    bed.folder.write("source.raw", noise(10));
    await (await bed.open()).close?.();
    assertEquals(fs.existsSync(bed.folder.file("target.raw")), false);
    bed.folder.write("target.raw", new Uint8Array(0));
    await (await bed.open()).close?.();
    assertEquals(fs.existsSync(bed.folder.file("target.raw")), true);
  });
});
