import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { noise } from "../../support/images.ts";
import { MirrorBed, type MirrorBedOptions } from "./mirror_bed.ts";

const MIB = 1_048_576;
const KIB_64 = 65_536;
const SLOW = { "buf-size": KIB_64 } as const;

async function expectCompletes(bed: MirrorBed): Promise<void> {
  await bed.world.outcome(bed.job.resume());
  await bed.world.done(bed.job.setSpeed(0));
  await bed.world.ports.advance(1_000);
  assertEquals(bed.job.state.status, "ready");
  assert(bed.isEqual);
  await bed.world.done(bed.job.complete());
  await bed.world.ports.advance(500);
  const { status, ret, progress } = await bed.world.stateOf("m");
  assertEquals([status, ret, progress.current], ["null", 0, progress.total]);
  assert(bed.isEqual && bed.isPivoted);
}

/** A mirror of 1 MiB that has copied for some seconds, with a checkpoint on the way. */
async function halfWay(options: MirrorBedOptions = {}, parameters = {}): Promise<MirrorBed> {
  const bed = await MirrorBed.open(options);
  await bed.start({ ...SLOW, ...parameters }, { speed: KIB_64 });
  await bed.world.ports.advance(6_500);
  const [checkpoint] = await bed.eventsOf("CheckpointTaken");
  assert(checkpoint !== undefined);
  return bed;
}

/** Bytes that were copied since the last recovery. */
async function copiedSince(bed: MirrorBed): Promise<number> {
  const events = await bed.world.events();
  const from = events.findLastIndex(({ type }) => type === "JobRecovered");
  return events.slice(from).reduce(
    (sum, { type, data }) => sum + (type === "StepTaken" ? (data as { length: number }).length : 0),
    0,
  );
}

describe("mirror after a crash", () => {
  it("goes on from its checkpoint while nobody wrote the source", async () => {
    const bed = await halfWay();
    await bed.crash();
    const { checkpoint } = bed.job.state;
    const [recovered] = await bed.eventsOf("JobRecovered");
    assertEquals(recovered!.data.current, checkpoint!.current);
    assert(checkpoint!.current >= 2 * KIB_64);
    await expectCompletes(bed);
    const end = await bed.world.stateOf("m");
    assertEquals([end.progress.current, end.progress.total], [MIB, MIB]);
    assertEquals(await copiedSince(bed), MIB - checkpoint!.current);
  });

  it("copies everything again when somebody wrote the source meanwhile", async () => {
    const bed = await halfWay();
    await bed.crash();
    await bed.world.close("park");
    bed.writeBehind(3, noise(100, 5));
    await bed.crash();
    await expectCompletes(bed);
    assertEquals(await copiedSince(bed), MIB);
  });

  it("copies everything again when a write came through since the checkpoint", async () => {
    const bed = await halfWay();
    await bed.write(5, noise(10, 3));
    await bed.world.ports.advance(5_000);
    const checkpoints = await bed.eventsOf("CheckpointTaken");
    await bed.crash();
    await expectCompletes(bed);
    assertEquals(await copiedSince(bed), MIB);
    // What a checkpoint would say with a source that is being written, proves nothing.
    assert(checkpoints.every(({ data }) => data.resumeFrom !== null));
  });

  it("stays ready, does not say so twice, and converges again", async () => {
    const bed = await MirrorBed.open();
    await bed.start();
    await bed.crash();
    assertEquals(bed.job.state.status, "ready");
    await bed.world.ports.advance(300);
    assertEquals(await copiedSince(bed), 0);
    await bed.write(7, noise(100, 3));
    await bed.crash();
    bed.writeBehind(3 * KIB_64, noise(100, 4));
    await bed.crash();
    assertEquals(bed.job.state.status, "ready");
    await expectCompletes(bed);
    assertEquals((await bed.eventsOf("JobReady")).length, 1);
  });

  it("stays in standby, and ends after resume with what was accepted before", async () => {
    const bed = await MirrorBed.open();
    await bed.start();
    await bed.world.done(bed.job.pause());
    await bed.world.ports.advance(200);
    await bed.world.done(bed.job.complete());
    await bed.crash();
    await bed.world.ports.advance(500);
    assertEquals(bed.job.state.status, "standby");
    await bed.world.done(bed.job.resume());
    await bed.world.ports.advance(500);
    assertEquals([(await bed.world.stateOf("m")).ret, bed.isPivoted], [0, true]);
  });

  it("none: copies all when nobody knows what was written", async () => {
    const bed = await MirrorBed.open();
    await bed.start({ sync: "none" });
    await bed.write(5, noise(10, 3));
    await bed.crash();
    await expectCompletes(bed);
  });

  it("top: copies what the top holds then", async () => {
    const topExtent = (offset: number, length: number) =>
      Promise.resolve({ offset, length, kind: "data" as const, isAllocated: true });
    const bed = await MirrorBed.open({ topExtent });
    await bed.start({ sync: "top" });
    await bed.write(5, noise(10, 3));
    await bed.crash();
    await expectCompletes(bed);
  });

  it("goes on after it was parked, with nothing copied twice", async () => {
    const bed = await MirrorBed.open();
    await bed.start(SLOW, { speed: KIB_64 });
    await bed.world.ports.advance(3_500);
    const { current } = bed.job.state.progress;
    await bed.park();
    const [recovered] = await bed.eventsOf("JobRecovered");
    assertEquals(recovered!.data.current, current);
    await expectCompletes(bed);
    assertEquals((await bed.world.stateOf("m")).progress.current, MIB);
  });

  it("takes no checkpoint while it is ready and nothing happens", async () => {
    const bed = await MirrorBed.open();
    await bed.start();
    await bed.world.ports.advance(60_000);
    assertEquals((await bed.eventsOf("CheckpointTaken")).length, 1);
    await bed.write(5, noise(10, 3));
    await bed.world.ports.advance(60_000);
    assertEquals((await bed.eventsOf("CheckpointTaken")).length, 2);
    await bed.crash();
    await bed.world.ports.advance(500);
    assertEquals([await copiedSince(bed), bed.isEqual], [0, true]);
  });
});

describe("mirror after a crash in its closing sequence", () => {
  const pending = async () => {
    const bed = await MirrorBed.open();
    const job = await bed.start({}, { autoFinalize: false });
    await bed.world.done(job.complete());
    assertEquals(job.state.status, "pending");
    await bed.crash();
    assertEquals(bed.job.state.status, "pending");
    return bed;
  };

  it("pivots when the source is what it was", async () => {
    const bed = await pending();
    await bed.world.done(bed.job.finalize());
    assertEquals([(await bed.world.stateOf("m")).ret, bed.isPivoted, bed.isEqual], [0, true, true]);
  });

  it("fails and pivots nothing when the source was written", async () => {
    const bed = await pending();
    bed.writeBehind(0, noise(3, 8));
    await bed.world.done(bed.job.finalize());
    const { error } = await bed.world.stateOf("m");
    assertEquals(error?.errno, "EIO");
    assertEquals(
      error?.text,
      'Cannot replace "source" by its mirror: the process stopped when both were equal, ' +
        "and nothing proves that they still are",
    );
    assertEquals(bed.isPivoted, false);
    await bed.write(0, noise(3, 9));
  });

  it("a soft cancel needs no proof: it pivots nothing", async () => {
    const bed = await MirrorBed.open();
    const job = await bed.start({}, { autoFinalize: false });
    await bed.world.done(job.cancel({ force: false }));
    await bed.crash();
    bed.writeBehind(0, noise(3, 8));
    await bed.world.done(bed.job.finalize());
    assertEquals([(await bed.world.stateOf("m")).ret, bed.isPivoted], [0, false]);
  });
});

describe("mirror whose process dies behind each commit", () => {
  for (const sync of ["full", "none"]) {
    it(`${sync}: ends with equal bytes, whatever no checkpoint speaks of`, async () => {
      const size = 8 * KIB_64 + 5;
      const make = async () => {
        const target = sync === "none" ? { target: noise(size) } : {};
        const bed = await MirrorBed.open({ size, ...target });
        await bed.start({ ...SLOW, sync }, { speed: 2 * KIB_64 });
        await bed.world.ports.advance(10_000);
        await bed.world.done(bed.job.complete());
        await bed.world.ports.advance(500);
        assertEquals((await bed.world.stateOf("m")).ret, 0);
        return bed;
      };
      const commits = (await make()).world.batches.length;
      assert(commits > 3);
      let resumed = 0;
      for (let count = 2; count < commits; count++) {
        const bed = await make();
        await bed.crashAfter(count, sync === "full");
        if (bed.world.joblog.job("m") === undefined) continue;
        resumed++;
        await bed.world.outcome(bed.job.setSpeed(0));
        await bed.world.ports.advance(1_000);
        if (bed.world.joblog.job("m") !== undefined) {
          await bed.world.done(bed.job.complete());
          await bed.world.ports.advance(1_000);
        }
        assertEquals((await bed.world.stateOf("m")).ret, 0);
        assert(bed.isEqual, `differs after commit ${count}`);
        assert(bed.isPivoted);
      }
      assert(resumed > (sync === "full" ? 5 : 1));
    });
  }
});
