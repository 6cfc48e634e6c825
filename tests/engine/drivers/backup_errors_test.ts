import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import * as fs from "node:fs";
import { BlockError } from "../../../engine/block/errors.ts";
import type { BlockNode } from "../../../engine/block/node.ts";
import { FakeContext } from "../../support/fake_context.ts";
import { failOnce, type FaultRule, FaultyNode } from "../../support/faulty_node.ts";
import { noise } from "../../support/images.ts";
import { BackupBed } from "./backup_bed.ts";

const MIB = 1_048_576;

let bed: BackupBed;
beforeEach(() => bed = new BackupBed());
afterEach(() => bed.folder.remove());

const faulty = (rule: FaultRule) => (node: BlockNode) => new FaultyNode(node, rule);

describe("backup error policies", () => {
  beforeEach(() => {
    bed.folder.sparse("source.raw", 6 * MIB, [[0, 2 * MIB], [4 * MIB, 2 * MIB]]);
  });

  for (const n of [1, 2, 3, 4]) {
    it(`report ends the job with the error of read ${n}`, async () => {
      const context = new FakeContext();
      const wrapping = { source: faulty(failOnce("read", n)) };
      const error = await assertRejects(() => bed.run(context, {}, wrapping), BlockError);
      assertEquals(error.code, "EIO");
      assertEquals(context.record.errors, [{ operation: "read", action: "report", code: "EIO" }]);
      assert(context.progress.current < context.progress.total);
    });

    for (const policy of ["ignore", "stop"] as const) {
      it(`${policy} ends with equal bytes after read ${n} failed`, async () => {
        const context = new FakeContext();
        const wrapping = { source: faulty(failOnce("read", n)) };
        await bed.run(context, { "on-source-error": policy }, wrapping);
        assert(bed.isEqual);
        assertEquals(context.record.errors, [{ operation: "read", action: policy, code: "EIO" }]);
        assertEquals(context.record.pauseCount, policy === "stop" ? 1 : 0);
        assertEquals(context.progress.current, 6 * MIB);
        assertEquals(context.progress.total, 6 * MIB);
      });

      it(`${policy} ends with equal bytes after write ${n} failed half done`, async () => {
        const context = new FakeContext();
        const wrapping = { target: faulty(failOnce("write", n)) };
        await bed.run(context, { "on-target-error": policy }, wrapping);
        assert(bed.isEqual);
        assertEquals(context.record.errors, [{ operation: "write", action: policy, code: "EIO" }]);
        assertEquals(context.progress.current, 6 * MIB);
      });
    }
  }

  it("enospc stops at ENOSPC and reports anything else", async () => {
    const context = new FakeContext();
    const full = { target: faulty(failOnce("write", 2, "ENOSPC")) };
    await bed.run(context, { "on-target-error": "enospc" }, full);
    assert(bed.isEqual);
    assertEquals(context.record.errors.map(({ action }) => action), ["stop"]);
    fs.unlinkSync(bed.folder.file("target.raw"));
    const broken = { target: faulty(failOnce("write", 2)) };
    const act = () => bed.run(new FakeContext(), { "on-target-error": "enospc" }, broken);
    assertEquals((await assertRejects(act, BlockError)).code, "EIO");
  });

  it("each side follows its own policy", async () => {
    const wrapping = { source: faulty(failOnce("read", 1)) };
    const act = () => bed.run(new FakeContext(), { "on-target-error": "ignore" }, wrapping);
    await assertRejects(act, BlockError);
  });

  it("a zeroing that has to read its target fails as a write", async () => {
    bed.folder.write("target.raw", noise(6 * MIB));
    const context = new FakeContext();
    await bed.run(context, { mode: "existing", "on-target-error": "stop" }, {
      target: (node) =>
        new FaultyNode(node, undefined, (site, count) => {
          if (site !== "zero" || count !== 1) return;
          throw new BlockError("EIO", "Cannot read", { operation: "read", subject: "target" });
        }),
    });
    assertEquals(context.record.errors, [{ operation: "write", action: "stop", code: "EIO" }]);
    assert(bed.isEqual);
  });

  it("a failing look at the map of allocation is a read error", async () => {
    const context = new FakeContext();
    const wrapping = { source: faulty(failOnce("extent", 3)) };
    await bed.run(context, { "on-source-error": "stop" }, wrapping);
    assertEquals(context.record.errors, [{ operation: "read", action: "stop", code: "EIO" }]);
    assert(bed.isEqual);
  });

  it("after a failed flush everything since the last good one is copied again", async () => {
    const context = new FakeContext();
    let target: FaultyNode | undefined;
    await bed.run(context, { "on-target-error": "stop" }, {
      target: (node) => target = new FaultyNode(node, failOnce("flush", 1)),
    });
    assert(bed.isEqual);
    assertEquals(context.record.errors, [{ operation: "write", action: "stop", code: "EIO" }]);
    // Four tasks of data in two pieces each, twice.
    assertEquals(target?.counts.get("write"), 16);
    assertEquals(context.progress.current, context.progress.total);
  });

  it("a flush that fails while the job is stopped is no second error", async () => {
    const context = new FakeContext();
    const rule: FaultRule = (site, count) =>
      site === "write" && count === 3 || site === "flush" && count === 1 ? "ENOSPC" : undefined;
    const wrapping = { target: faulty(rule) };
    await bed.run(context, { "on-target-error": "enospc" }, wrapping);
    assert(bed.isEqual);
    assertEquals(context.record.errors.map(({ action }) => action), ["stop"]);
    assertEquals(context.record.pauseCount, 1);
  });

  it("ignore waits between passes that get nowhere", async () => {
    const context = new FakeContext({
      onPausePoint: (_, own) => own.record.errors.length >= 5 ? own.cancel() : undefined,
    });
    const wrapping = { source: faulty((site) => site === "read" ? "EIO" : undefined) };
    await bed.run(context, { "on-source-error": "ignore", "max-workers": 1 }, wrapping);
    assertEquals(new Set(context.record.sleeps), new Set([100]));
    assert(context.record.sleeps.length >= 4);
  });
});

describe("backup of files that change", () => {
  beforeEach(() => void bed.folder.write("source.raw", noise(4 * MIB)));

  async function failureAfter(change: () => void, extra = {}): Promise<BlockError> {
    const context = new FakeContext({
      onPausePoint: (count) => count === 2 ? change() : undefined,
    });
    return await assertRejects(() => bed.run(context, extra), BlockError);
  }

  it("fails when the source becomes shorter, also when errors are ignored", async () => {
    const cut = () => fs.truncateSync(bed.folder.file("source.raw"), MIB + 5);
    const error = await failureAfter(cut, { "on-source-error": "ignore", "max-workers": 1 });
    assertStringIncludes(error.message, "it had 4194304 bytes");
    assertStringIncludes(error.message, "has 1048581 now");
  });

  it("fails when the source becomes longer", async () => {
    const error = await failureAfter(() => fs.appendFileSync(bed.folder.file("source.raw"), "x"));
    assertStringIncludes(error.message, "Cannot go on with the source");
    assertStringIncludes(error.message, "has 4194305 now");
  });

  for (const name of ["source.raw", "target.raw"]) {
    it(`fails when ${name} is deleted`, async () => {
      const error = await failureAfter(() => fs.unlinkSync(bed.folder.file(name)));
      assertEquals(error.code, "ENOENT");
      assertStringIncludes(error.message, `${name}": it was deleted`);
    });
  }
});
