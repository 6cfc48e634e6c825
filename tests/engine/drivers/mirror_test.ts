import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { noise, sameBytes } from "../../support/images.ts";
import { MirrorBed } from "./mirror_bed.ts";

const MIB = 1_048_576;
const KIB_64 = 65_536;
const BEGINNING = ["m created", "m running"];
const READY = [...BEGINNING, "m ready", "m READY"];
const END = ["m waiting", "m pending", "m COMPLETED", "m concluded", "m null"];
const CANCELLED = ["m aborting", "m CANCELLED", "m concluded", "m null"];

const progressOf = async (bed: MirrorBed) => {
  const { current, total } = (await bed.world.stateOf("m")).progress;
  return [current, total];
};

describe("mirror", () => {
  it("becomes ready with equal bytes, and completes by leading writers to the target", async () => {
    const bed = await MirrorBed.open({ size: 5 * MIB + 3 });
    const job = await bed.start();
    assertEquals(job.state.status, "ready");
    assert(bed.isEqual);
    assertEquals(await progressOf(bed), [5 * MIB + 3, 5 * MIB + 3]);
    assertEquals(bed.isPivoted, false);
    await bed.world.done(job.complete());
    assertEquals(await bed.sent(), [...READY, ...END]);
    assert(bed.isPivoted);
    const [announced] = await bed.eventsOf("ActAnnounced");
    const { kind, subject, before, after } = announced!.data;
    assertEquals([kind, subject, before, after], ["pivot", "source", "source", "target"]);
    assertEquals((await bed.eventsOf("ActConfirmed")).length, 1);
    await bed.write(7, noise(100, 9));
    assert(sameBytes(bed.target.bytes.subarray(7, 107), noise(100, 9)));
  });

  it("ends a ready one by a soft cancel without leading anybody anywhere", async () => {
    const bed = await MirrorBed.open();
    const job = await bed.start();
    await bed.write(100, noise(1_000, 5));
    await bed.world.done(job.cancel({ force: false }));
    assertEquals(await bed.sent(), [...READY, ...END]);
    assertEquals([bed.isEqual, bed.isPivoted], [true, false]);
    assertEquals(await bed.eventsOf("ActAnnounced"), []);
    await bed.write(0, noise(10, 8));
    assertEquals(bed.isEqual, false);
  });

  for (const force of [true, false]) {
    it(`before it is ready a cancel ends it at once, force ${force}`, async () => {
      const bed = await MirrorBed.open();
      const job = await bed.start({ "buf-size": KIB_64 }, { speed: KIB_64 });
      assertEquals(job.state.status, "running");
      await bed.world.done(job.cancel({ force }));
      assertEquals(await bed.sent(), [...BEGINNING, ...CANCELLED]);
      assertEquals(await progressOf(bed), [KIB_64, MIB]);
      await bed.write(0, noise(10, 8));
      assert(sameBytes(bed.source.bytes.subarray(0, 10), noise(10, 8)));
    });
  }

  it("after it is ready a force cancel ends it at once with all done", async () => {
    const bed = await MirrorBed.open();
    const job = await bed.start();
    await bed.world.done(job.cancel());
    assertEquals(await bed.sent(), [...READY, ...CANCELLED]);
    assertEquals(await progressOf(bed), [MIB, MIB]);
    assertEquals(bed.isPivoted, false);
  });

  it("copies what is written when it is ready, and its length grows", async () => {
    const bed = await MirrorBed.open({ size: 4 * MIB });
    await bed.start();
    await bed.write(3 * KIB_64 + 5, noise(10, 3));
    await bed.world.ports.advance(200);
    assert(bed.isEqual);
    assertEquals(await progressOf(bed), [4 * MIB + KIB_64, 4 * MIB + KIB_64]);
    const ready = (await bed.sent()).filter((line) => line === "m READY");
    assertEquals(ready.length, 1);
  });

  it("none: is ready at once with 0 of 0, and copies only what is written", async () => {
    const bed = await MirrorBed.open();
    const job = await bed.start({ sync: "none" });
    assertEquals([job.state.status, await progressOf(bed)], ["ready", [0, 0]]);
    assertEquals(bed.target.bytes.every((byte) => byte === 0), true);
    await bed.write(KIB_64, noise(5, 4));
    await bed.world.ports.advance(200);
    const copied = bed.target.bytes.subarray(KIB_64, 2 * KIB_64);
    assert(sameBytes(copied, bed.source.bytes.subarray(KIB_64, 2 * KIB_64)));
    assertEquals(bed.target.bytes.subarray(0, KIB_64).every((byte) => byte === 0), true);
    await bed.world.done(job.cancel({ force: false }));
    assertEquals((await bed.sent()).slice(-5), END);
  });

  it("top: copies what the top holds, and all where nothing is below it", async () => {
    const topExtent = (offset: number, length: number) => {
      const end = Math.min(offset + length, (Math.floor(offset / KIB_64) + 1) * KIB_64);
      const isAllocated = Math.floor(offset / KIB_64) % 4 === 1;
      const kind = isAllocated ? "data" as const : "hole" as const;
      return Promise.resolve({ offset, length: end - offset, kind, isAllocated });
    };
    const bed = await MirrorBed.open({ topExtent });
    await bed.start({ sync: "top" });
    assertEquals(await progressOf(bed), [4 * KIB_64, 4 * KIB_64]);
    assertEquals(bed.target.bytes.findIndex((byte) => byte !== 0), KIB_64);
    const whole = await MirrorBed.open();
    await whole.start({ sync: "top" });
    assert(whole.isEqual);
  });

  it("is ready at once with an image of no length, and completes", async () => {
    const bed = await MirrorBed.open({ size: 0 });
    const job = await bed.start();
    assertEquals([job.state.status, await progressOf(bed)], ["ready", [0, 0]]);
    await bed.world.done(job.complete());
    assertEquals((await bed.sent()).slice(-5), END);
  });

  for (const unmap of [true, false]) {
    it(`lets zeros give up their space only with unmap, here ${unmap}`, async () => {
      const source = noise(4 * KIB_64);
      source.fill(0, KIB_64, 3 * KIB_64);
      const discards: number[] = [];
      const bed = await MirrorBed.open({
        source,
        target: noise(4 * KIB_64, 3),
        onTargetAccess: (access, offset) => access === "discard" && discards.push(offset),
      });
      await bed.start({ unmap });
      assertEquals([bed.isEqual, discards], [true, unmap ? [KIB_64] : []]);
      assertEquals(await bed.steps(), [
        `copied 0 ${KIB_64}`,
        `zeroed ${KIB_64} ${2 * KIB_64}`,
        `copied ${3 * KIB_64} ${KIB_64}`,
      ]);
    });
  }

  it("writes no zeros to a blank target, but where data was before", async () => {
    const source = new Uint8Array(8 * KIB_64);
    source.set(noise(KIB_64), 2 * KIB_64);
    const zeroed: number[] = [];
    const bed = await MirrorBed.open({
      source,
      isTargetBlank: true,
      hasMap: true,
      onTargetAccess: (access, offset) => access === "zero" && zeroed.push(offset),
    });
    const job = await bed.start();
    assertEquals([bed.isEqual, await progressOf(bed), zeroed], [true, [KIB_64, KIB_64], []]);
    await bed.write(5 * KIB_64, new Uint8Array(10));
    await bed.write(2 * KIB_64, new Uint8Array(KIB_64));
    await bed.world.ports.advance(300);
    assertEquals([bed.isEqual, zeroed], [true, [2 * KIB_64]]);
    assert((await bed.steps()).includes(`hole ${5 * KIB_64} ${KIB_64}`));
    await bed.world.done(job.complete());
    assert(bed.isPivoted);
  });

  it("ends cancelled with all done when its process ends for good", async () => {
    const bed = await MirrorBed.open({ size: 4 * MIB });
    await bed.start();
    await bed.world.close("cancel");
    await bed.crash();
    assertEquals(await bed.sent(), [...READY, ...CANCELLED]);
    assertEquals(await progressOf(bed), [4 * MIB, 4 * MIB]);
  });

  it("starts with images of different sizes, and then fails", async () => {
    const bed = await MirrorBed.open({ size: MIB, target: new Uint8Array(MIB + 512) });
    const job = await bed.start();
    assertEquals(job.state.error?.text, "Source and target image have different sizes");
    assertEquals(job.state.error?.errno, "EINVAL");
    const text = "m COMPLETED: Source and target image have different sizes";
    assertEquals(await bed.sent(), [...BEGINNING, "m aborting", text, "m concluded", "m null"]);
  });

  it("remembers complete in standby, and ends after resume", async () => {
    const bed = await MirrorBed.open();
    const job = await bed.start();
    await bed.world.done(job.pause());
    await bed.world.ports.advance(200);
    assertEquals(job.state.status, "standby");
    await bed.world.done(job.complete());
    await bed.world.ports.advance(1_000);
    assertEquals(job.state.status, "standby");
    await bed.world.done(job.resume());
    assertEquals(await bed.sent(), [...READY, "m standby", "m ready", ...END]);
  });

  it("a force cancel wins over a complete that was accepted", async () => {
    const bed = await MirrorBed.open();
    const job = await bed.start();
    await bed.world.done(job.pause());
    await bed.world.done(job.complete());
    await bed.world.done(job.cancel());
    assertEquals((await bed.sent()).slice(-5), ["m ready", ...CANCELLED]);
    assertEquals(bed.isPivoted, false);
  });

  it("stands still while it is paused, and goes on afterwards", async () => {
    const bed = await MirrorBed.open();
    const job = await bed.start({ "buf-size": KIB_64 }, { speed: 4 * KIB_64 });
    await bed.world.ports.advance(1_000);
    await bed.world.done(job.pause());
    const { current } = job.state.progress;
    assert(current > 0 && current < MIB);
    await bed.world.ports.advance(60_000);
    assertEquals([job.state.status, job.state.progress.current], ["paused", current]);
    await bed.world.done(job.resume());
    await bed.world.ports.advance(10_000);
    assertEquals([job.state.status, bed.isEqual], ["ready", true]);
  });

  it("holds the source from the end of run to finalize", async () => {
    const bed = await MirrorBed.open();
    const job = await bed.start({}, { autoFinalize: false });
    await bed.world.done(job.complete());
    assertEquals(job.state.status, "pending");
    const write = bed.edge.write(0, noise(10, 77));
    assert(await bed.world.isPending(write));
    await bed.world.done(job.finalize());
    await bed.world.done(write);
    assert(sameBytes(bed.target.bytes.subarray(0, 10), noise(10, 77)));
    assertEquals(sameBytes(bed.source.bytes.subarray(0, 10), noise(10, 77)), false);
  });

  for (const mode of ["background", "write-blocking"]) {
    it(`${mode}: copies a write that is under way when it is asked to complete`, async () => {
      let letGo = () => {};
      const gate = new Promise<void>((resolve) => letGo = resolve);
      const beforeSource = async (site: string) => site === "write" ? await gate : undefined;
      const bed = await MirrorBed.open({ beforeSource });
      const job = await bed.start({ "copy-mode": mode });
      const write = bed.edge.write(KIB_64 + 3, noise(50, 6));
      await bed.world.done(job.complete());
      await bed.world.ports.advance(1_000);
      assertEquals([job.state.status, bed.edge.heldCount], ["ready", 1]);
      letGo();
      await bed.world.done(write);
      await bed.world.ports.advance(1_000);
      assertEquals([(await bed.world.stateOf("m")).ret, bed.isPivoted], [0, true]);
      assert(bed.isEqual);
    });
  }

  it("a cancel in pending leaves writers with the source", async () => {
    const bed = await MirrorBed.open();
    const job = await bed.start({}, { autoFinalize: false });
    await bed.world.done(job.complete());
    const write = bed.edge.write(0, noise(10, 77));
    await bed.world.done(job.cancel());
    await bed.world.done(write);
    assertEquals([job.state.outcome, bed.isPivoted], ["cancelled", false]);
    assert(sameBytes(bed.source.bytes.subarray(0, 10), noise(10, 77)));
  });
});

describe("mirror speed", () => {
  const secondsUntilCopied = async (parameters: { readonly "buf-size"?: number }) => {
    const bed = await MirrorBed.open({ size: 16 * MIB });
    const job = await bed.start(parameters, { speed: MIB });
    const start = bed.world.ports.now();
    while (job.state.progress.current < 16 * MIB) await bed.world.ports.advance(100);
    assert(bed.isEqual);
    return (bed.world.ports.now() - start) / 1_000;
  };

  it("pays after each run: buf-size is the first burst", async () => {
    assertEquals(await secondsUntilCopied({}), 0);
    const smooth = await secondsUntilCopied({ "buf-size": KIB_64 });
    assert(smooth > 14 && smooth < 17, `copied after ${smooth} s`);
  });

  it("does not limit a mirror that is ready", async () => {
    const bed = await MirrorBed.open();
    const job = await bed.start({ "buf-size": KIB_64 });
    await bed.world.done(job.setSpeed(1));
    await bed.write(0, noise(MIB, 4));
    await bed.world.ports.advance(200);
    assert(bed.isEqual);
  });

  for (const wake of ["setSpeed", "pause"] as const) {
    it(`drops what is left to wait at a raised speed, and at a pause: ${wake}`, async () => {
      const bed = await MirrorBed.open();
      const job = await bed.start({}, { speed: 1 });
      await bed.world.ports.advance(5_000);
      assertEquals(job.state.status, "running");
      await bed.world.done(wake === "pause" ? job.pause() : job.setSpeed(0));
      if (wake === "pause") await bed.world.done(job.resume());
      assertEquals(job.state.status, "ready");
    });
  }
});
