import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { renameSync } from "node:fs";
import { join } from "node:path";
import { verify } from "../../../events/replay/mod.ts";
import { FilterNode } from "../../../engine/block/filters/filter_node.ts";
import { readGraph } from "../../../engine/run/mod.ts";
import { raw, withStage } from "./node_stage.ts";

/** Counts what is written through it. */
class Counter extends FilterNode {
  count = 0;

  override async write(offset: number, bytes: Uint8Array): Promise<void> {
    this.count += 1;
    await super.write(offset, bytes);
  }
}

describe("OpenContext.nodes", () => {
  it("holds a node from the job's creation until its driver is closed", () =>
    withStage(async (stage, joblog) => {
      await joblog.nodes.add(raw("a"));
      stage.open = async (nodes) => nodes.hold(await nodes.resolve("a"));
      const job = await joblog.start({ type: "toy", id: "j" });
      const busy = "Node 'a' is busy: block device is in use by block job: toy";
      await assertRejects(() => joblog.nodes.remove("a"), Error, busy);
      stage.end();
      await job.done;
      await joblog.nodes.remove("a");
    }));

  it("opens a path as nodes of the job, which go with it", () =>
    withStage(async (stage, joblog) => {
      stage.open = async (nodes) => {
        nodes.attach(await nodes.resolve("b.raw"), "write");
      };
      const job = await joblog.start({ type: "toy", id: "j" });
      const { runId } = job.state;
      assertEquals(joblog.nodes.list().map(({ owner }) => owner), [runId, runId]);
      stage.end();
      await job.done;
      await joblog.close();
      assertEquals((await readGraph(stage.reader)).nodes, []);
      assertEquals((await verify(stage.reader)).ok, true);
    }));

  it("gives everything back when the creation is refused", () =>
    withStage(async (stage, joblog) => {
      await joblog.nodes.add(raw("a"));
      stage.open = async (nodes) => {
        nodes.hold("a");
        await nodes.resolve("b.raw");
        nodes.check("a", "backup-source");
      };
      await assertRejects(() => joblog.start({ type: "toy", id: "j" }), Error, "is busy");
      assertEquals(joblog.nodes.list().length, 2);
      await joblog.nodes.remove("a");
    }));

  it("lets guests write through a job's filter, and past it when the job is over", () =>
    withStage(async (stage, joblog) => {
      await joblog.nodes.add(raw("a"));
      const guest = await joblog.nodes.writer("a");
      let counter: Counter | undefined;
      stage.open = async (nodes) => {
        await nodes.insertFilter({
          above: "a",
          driver: "copy-before-write",
          make: (child) => counter = new Counter(child),
        });
      };
      await guest.write(0, new Uint8Array(1));
      const job = await joblog.start({ type: "toy", id: "j" });
      await guest.write(0, new Uint8Array(1));
      stage.end();
      await job.done;
      await joblog.nodes.remove("ghost").catch(() => {});
      await guest.write(0, new Uint8Array(1));
      assertEquals(counter!.count, 1);
      await guest.close();
    }));

  it("records a pivot in one append with the job's act, before a guest writes there", () =>
    withStage(async (stage, joblog) => {
      await joblog.nodes.add(raw("a"));
      await joblog.nodes.add(raw("b"));
      const guest = await joblog.nodes.writer("a");
      stage.pivot = ["a", "b"];
      const job = await joblog.start({ type: "toy", id: "j" });
      stage.end();
      assertEquals((await job.done).ret, 0);
      await guest.write(0, Uint8Array.of(9));
      const check = await joblog.nodes.reader("b");
      const bytes = new Uint8Array(1);
      await check.read(0, bytes);
      assertEquals(bytes[0], 9);
      const moved = (await stage.events("graph")).find(({ type }) => type === "EdgeReplaced")!;
      const acts = (await stage.events(`job-${job.state.runId}`))
        .filter(({ type }) => type.startsWith("Act"))
        .map(({ type, position }) => [type, position - moved.position]);
      assertEquals(acts, [["ActAnnounced", -1], ["ActConfirmed", 1]]);
      await Promise.all([guest.close(), check.close()]);
    }));

  it("fails a job whose node is missing, and not the opening", () =>
    withStage(async (stage, joblog) => {
      await joblog.nodes.add(raw("a"));
      stage.open = async (nodes) => nodes.hold(await nodes.resolve("a"));
      const { runId } = (await joblog.start({ type: "toy", id: "j", autoDismiss: false })).state;
      await joblog.close();
      renameSync(join(stage.folder, "a.raw"), join(stage.folder, "away.raw"));
      const again = await stage.joblog();
      const end = await again.job("j")!.done;
      const why = "it is missing: Could not open 'a.raw': No such file or directory";
      assertEquals([end.runId, end.error?.text], [runId, `Cannot use node "a": ${why}`]);
      assertEquals(again.nodes.list().map(({ missing }) => missing?.errno), ["ENOENT", "ENOENT"]);
      await again.close();
      assertEquals((await verify(stage.reader)).ok, true);
    }));

  it("is asked again by a job that goes on", () =>
    withStage(async (stage, joblog) => {
      await joblog.nodes.add(raw("a"));
      const opened: boolean[] = [];
      stage.open = async (nodes, isRecovery) => {
        opened.push(isRecovery);
        const make = (child: FilterNode["child"]) => new Counter(child);
        await nodes.insertFilter({ above: "a", driver: "copy-before-write", make });
      };
      await joblog.start({ type: "toy", id: "j" });
      await joblog.close();
      const again = await stage.joblog();
      assertEquals(opened, [false, true]);
      assertEquals(again.nodes.list().length, 3);
      await again.close({ jobs: "cancel" });
    }));
});

describe("a crash behind any commit", () => {
  it("leaves a graph that opens, without nodes of jobs that are over", () =>
    withStage(async (stage, joblog) => {
      await joblog.nodes.add(raw("a"));
      await joblog.nodes.add(raw("b"));
      await joblog.nodes.addBitmap({ node: "a", bitmap: "map" });
      stage.open = async (nodes) => {
        const make = (child: FilterNode["child"]) => new Counter(child);
        await nodes.insertFilter({ above: "a", driver: "copy-before-write", make });
        await nodes.resolve("b.raw", { readOnly: true });
      };
      stage.pivot = ["a", "b"];
      const job = await joblog.start({ type: "toy", id: "j" });
      stage.end();
      await job.done;
      await joblog.close();
      const { commitCount } = stage;
      assert(commitCount > 12, `only ${commitCount} commits`);
      for (let count = 1; count <= commitCount; count++) {
        await stage.crashAfter(count);
        const pivots = (await stage.events("graph")).filter(({ type, data }) =>
          type === "EdgeReplaced" && data["after"] === "b"
        );
        const acts = (await stage.events(`job-${job.state.runId}`)).filter(({ type }) =>
          type === "ActConfirmed"
        );
        // One append: no crash parts the pivot from the job's confirmation.
        assertEquals(acts.length, pivots.length);
        const again = await stage.joblog();
        const running = again.job("j");
        await running?.done;
        await again.close();
        const { nodes } = await readGraph(stage.reader);
        assertEquals(nodes.filter(({ owner, missing }) => owner !== null || missing !== null), []);
        assertEquals((await verify(stage.reader)).first, null);
      }
    }));
});
