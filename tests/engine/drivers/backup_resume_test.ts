import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import * as fs from "node:fs";
import type { JsonObject, JsonValue } from "../../../engine/drivers/driver.ts";
import { FakeContext } from "../../support/fake_context.ts";
import { failOnce, FaultyNode } from "../../support/faulty_node.ts";
import { noise } from "../../support/images.ts";
import { BackupBed } from "./backup_bed.ts";

const MIB = 1_048_576;

let bed: BackupBed;
beforeEach(() => {
  bed = new BackupBed();
  bed.folder.sparse("source.raw", 10 * MIB + 1, [[0, 3 * MIB], [6 * MIB, 4 * MIB]]);
});
afterEach(() => bed.folder.remove());

/** A stop in the middle: what the last checkpoint knew, and the progress at it. */
async function stopHalfWay(
  extra: JsonObject = {},
): Promise<{ resumeFrom: JsonValue; current: number }> {
  const context = new FakeContext({
    checkpointBytes: 2 * MIB,
    onPausePoint: (count, own) => count === 8 ? own.cancel() : undefined,
  });
  // One task at a time, so that the place of each checkpoint is known.
  await bed.run(context, { ...extra, "max-workers": 1, "max-chunk": MIB });
  const { resumeFrom, current } = context.record.checkpoints.at(-1)!;
  return { resumeFrom, current };
}

describe("backup after a stop of its process", () => {
  for (const extra of [{}, { mode: "absolute-paths" }, { mode: "existing" }]) {
    it(`goes on from its checkpoint, ${JSON.stringify(extra)}`, async () => {
      if ("mode" in extra) bed.folder.write("target.raw", noise(10 * MIB + 1));
      const point = await stopHalfWay(extra);
      assert(point.current >= 2 * MIB && point.current < 10 * MIB);
      const context = new FakeContext(point);
      const read: number[] = [];
      const job = await bed.open(extra, {
        source: (node) => {
          const own = new FaultyNode(node);
          const inner = own.read.bind(own);
          own.read = (offset, bytes) => (read.push(offset), inner(offset, bytes));
          return own;
        },
      }, true);
      await bed.drive(job, context);
      assert(bed.isEqual);
      const { offset } = point.resumeFrom as { offset: number };
      assertEquals(read.filter((at) => at < offset), []);
      assertEquals(context.progress.current, 10 * MIB + 65_536);
      assertEquals(context.progress.total, 10 * MIB + 65_536);
      assertEquals(context.record.acts, []);
    });
  }

  it("takes a checkpoint before it copies, and refuses a source that was changed", async () => {
    const first = new FakeContext({ onPausePoint: (_count, own) => own.cancel() });
    await bed.run(first);
    const [point] = first.record.checkpoints;
    assertEquals([point?.stepCount, point?.current], [0, 0]);
    fs.utimesSync(bed.folder.file("source.raw"), 1, 1);
    const job = await bed.open({}, {}, true);
    const context = new FakeContext({ resumeFrom: point!.resumeFrom, current: 0 });
    await assertRejects(() => bed.drive(job, context), Error, "was written after the job began");
  });

  it("begins again when there was no checkpoint", async () => {
    bed.folder.write("target.raw", new Uint8Array(10 * MIB + 1));
    const context = new FakeContext();
    await bed.drive(await bed.open({}, {}, true), context);
    assert(bed.isEqual);
    assertEquals(context.progress.current, 10 * MIB + 65_536);
  });

  it("overwrites what was half written over a hole after the checkpoint", async () => {
    const point = await stopHalfWay();
    const fd = fs.openSync(bed.folder.file("target.raw"), "r+");
    const { todo } = point.resumeFrom as { todo: [number, number][] };
    for (const [offset, length] of todo) fs.writeSync(fd, noise(length), 0, length, offset);
    fs.closeSync(fd);
    await bed.drive(await bed.open({}, {}, true), new FakeContext(point));
    assert(bed.isEqual);
  });

  it("keeps gaps that an error left open", async () => {
    const context = new FakeContext({
      onPaused: (own) => own.cancel(),
    });
    const wrapping = {
      source: (node: ConstructorParameters<typeof FaultyNode>[0]) =>
        new FaultyNode(node, failOnce("read", 1)),
    };
    await bed.run(context, { "on-source-error": "stop" }, wrapping);
    const { resumeFrom } = context.record.checkpoints.at(-1)!;
    const { offset, todo } = resumeFrom as { offset: number; todo: number[][] };
    assertEquals([offset, todo[0]], [0, [0, MIB]]);
    assertEquals(todo.length, 2);
    const current = context.progress.current;
    const again = new FakeContext({ resumeFrom, current });
    await bed.drive(await bed.open({}, {}, true), again);
    assert(bed.isEqual);
    assertEquals(again.progress.current, 10 * MIB + 65_536);
  });

  const changes: [string, () => void, string][] = [
    [
      "the target is gone",
      () => fs.unlinkSync(bed.folder.file("target.raw")),
      "does not exist any more",
    ],
    ["the source was written", () => {
      const later = new Date("2040-01-01T00:00:00Z");
      fs.utimesSync(bed.folder.file("source.raw"), later, later);
    }, "the source was written after the job began"],
    ["both were resized", () => {
      fs.truncateSync(bed.folder.file("source.raw"), MIB);
      fs.truncateSync(bed.folder.file("target.raw"), MIB);
    }, "it had 10485761 bytes when the job began and has 1048576 now"],
    [
      "the target was emptied",
      () => fs.truncateSync(bed.folder.file("target.raw"), 0),
      "has 0 bytes",
    ],
  ];
  for (const [name, change, text] of changes) {
    it(`fails clearly when ${name}`, async () => {
      const point = await stopHalfWay();
      change();
      const act = async () => await bed.drive(await bed.open({}, {}, true), new FakeContext(point));
      const error = await assertRejects(act, Error);
      assertStringIncludes(error.message, text);
    });
  }

  it("cannot be opened when its source is gone, nor when its target has another size", async () => {
    const size = 10 * MIB + 1;
    bed.folder.write("target.raw", noise(size));
    await stopHalfWay({ mode: "existing" });
    fs.truncateSync(bed.folder.file("target.raw"), 5);
    const error = await assertRejects(() => bed.open({ mode: "existing" }, {}, true), Error);
    assertEquals(error.message, "Source and target image have different sizes");
    fs.unlinkSync(bed.folder.file("source.raw"));
    await assertRejects(() => bed.open({}, {}, true), Error, "it does not exist");
  });
});
