import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ENGINE_SNAPSHOT_EVERY, Snapshots } from "../../../engine/run/snapshots.ts";
import { FOLD_VERSION, type JobState } from "../../../events/job/mod.ts";
import { ENGINE_SNAPSHOT, foldJob, verify } from "../../../events/replay/mod.ts";
import { World } from "../../support/world.ts";

describe("Snapshots", () => {
  it("keeps one of a job every 250 events of its stream, each the fold up to there", async () => {
    const world = await World.open();
    const job = await world.start("j", { steps: 2_500, ready: true }, { type: "lasting" });
    await world.ports.settle();
    const name = `job-${job.runId}`;
    const newest = await world.store.snapshot(name, FOLD_VERSION);
    assert(newest !== undefined);
    const first = await world.store.snapshot(name, FOLD_VERSION, newest.position - 1);
    assertEquals([newest, first].map((row) => (row?.state as JobState).version), [2_500, 2_250]);
    const [folded, whole] = await Promise.all(
      [true, false].map((snapshots) =>
        foldJob(world.store, job.runId, newest.position, { snapshots })
      ),
    );
    assertEquals(JSON.stringify(folded?.job), JSON.stringify(whole?.job));
    assertEquals([folded?.snapshotPosition, whole?.snapshotPosition], [newest.position, 0]);
    await world.close();
  });

  it("keeps one of all unfinished transactions every 50,000 events and at the close", async () => {
    const world = await World.open();
    const script = { steps: ENGINE_SNAPSHOT_EVERY + 500, checkpointEvery: 500, ready: true };
    await world.start("j", script, { type: "lasting" });
    await world.ports.settle();
    const onTheWay = await world.store.snapshot(ENGINE_SNAPSHOT, FOLD_VERSION);
    assert(onTheWay !== undefined && onTheWay.position < (await world.store.end()).position);
    assertEquals((await verify(world.store)).faults, []);

    await world.close("park");
    const again = await world.reopen();
    const atClose = await again.store.snapshot(ENGINE_SNAPSHOT, FOLD_VERSION);
    assert(atClose !== undefined && atClose.position > onTheWay.position);
    assertEquals((await verify(again.store)).faults, []);
    await again.close();
  });

  it("keeps none with a transaction that its last event has finished", async () => {
    const world = await World.open();
    const engine = world.engine as { snapshots: Snapshots };
    engine.snapshots = new Snapshots(world.store, world.engine.ledger, 1);
    for (let steps = 0; steps < 12; steps++) await world.start("j", { steps });
    await world.ports.settle();
    const report = await verify(world.store);
    assertEquals([report.faults, report.checked.snapshots > 5], [[], true]);
    await world.close();
  });
});
