import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { failOnce, type FaultRule, type FaultySite } from "../../support/faulty_node.ts";
import { noise } from "../../support/images.ts";
import { MirrorBed, type MirrorBedOptions } from "./mirror_bed.ts";

const MIB = 1_048_576;
const KIB_64 = 65_536;
const SIZE = 6 * MIB + 77;
const END = ["m waiting", "m pending", "m COMPLETED", "m concluded", "m null"];

/** Two runs of data around zeros, so that there are reads, writes and zeroings. */
function sourceBytes(): Uint8Array {
  const bytes = noise(SIZE);
  bytes.fill(0, 2 * MIB, 4 * MIB);
  return bytes;
}

const open = (options: MirrorBedOptions) =>
  MirrorBed.open({ source: sourceBytes(), target: noise(SIZE, 7), ...options });

async function expectCompletes(bed: MirrorBed): Promise<void> {
  await bed.world.done(bed.job.complete());
  await bed.world.ports.advance(1_000);
  const { status, ret, progress } = await bed.world.stateOf("m");
  assertEquals([status, ret, progress.current], ["null", 0, progress.total]);
  assert(bed.isEqual);
  assert(bed.isPivoted);
}

/** Sends resume until the job stays up. */
async function resumeAll(bed: MirrorBed): Promise<void> {
  for (let round = 0; round < 40; round++) {
    await bed.world.ports.advance(500);
    const { status, ioStatus } = bed.job.state;
    if (status !== "paused" && status !== "standby") return;
    assertEquals(ioStatus === "ok", false);
    await bed.world.done(bed.job.resume());
  }
  throw new Error("It does not stay up");
}

interface Site {
  readonly side: "onSource" | "onTarget";
  readonly site: FaultySite;
  readonly operation: "read" | "write";
  readonly policy: "on-source-error" | "on-target-error";
  /** How often the site is reached without a fault. */
  readonly count: number;
}

const SITES: readonly Site[] = [
  { side: "onSource", site: "read", operation: "read", policy: "on-source-error", count: 9 },
  { side: "onTarget", site: "write", operation: "write", policy: "on-target-error", count: 9 },
  { side: "onTarget", site: "zero", operation: "write", policy: "on-target-error", count: 2 },
  { side: "onTarget", site: "flush", operation: "write", policy: "on-target-error", count: 2 },
];

const ERRORS = ["EIO", "ENOSPC"] as const;

async function countOf({ side, site }: Site): Promise<number> {
  let count = 0;
  const rule: FaultRule = (asked, now) => {
    if (asked === site) count = now;
    return undefined;
  };
  const bed = await open({ [side]: rule });
  await bed.start();
  await expectCompletes(bed);
  return count;
}

describe("mirror whose n-th access fails", () => {
  for (const site of SITES) {
    it(`${site.site} is met ${site.count} times, as the cases below assume`, async () => {
      assertEquals(await countOf(site), site.count);
    });
  }

  for (const site of SITES) {
    for (const code of ERRORS) {
      it(`report ends with ${code} of each ${site.site}, and nothing is pivoted`, async () => {
        for (let n = 1; n <= site.count; n++) {
          const bed = await open({ [site.side]: failOnce(site.site, n, code) });
          const job = await bed.start();
          if (job.state.status === "ready") await bed.world.done(job.complete());
          const state = await bed.world.stateOf("m");
          assertEquals([state.error?.errno, state.ioStatus], [code, "ok"]);
          const errors = (await bed.sent()).filter((line) => line.startsWith("m ERROR"));
          assertEquals(errors, [`m ERROR ${site.operation} report`]);
          assertEquals(bed.isPivoted, false);
          await bed.write(0, noise(9, 2));
          assertEquals(bed.edge.inFlight, 0);
        }
      });

      it(`stop waits with ${code} of each ${site.site}, and ends with equal bytes`, async () => {
        for (let n = 1; n <= site.count; n++) {
          const bed = await open({ [site.side]: failOnce(site.site, n, code) });
          await bed.start({ [site.policy]: "stop" });
          if (bed.job.state.status === "ready") await bed.world.done(bed.job.complete());
          const { status, ioStatus } = bed.job.state;
          assertEquals(["paused", "standby"].includes(status), true);
          assertEquals(ioStatus, code === "ENOSPC" ? "nospace" : "failed");
          await bed.world.done(bed.job.resume());
          await bed.world.ports.advance(1_000);
          if (bed.world.joblog.job("m") !== undefined) await expectCompletes(bed);
          const state = await bed.world.stateOf("m");
          assertEquals([state.ret, state.ioStatus, bed.isEqual], [0, "ok", true]);
        }
      });

      it(`ignore tries again after ${code} of each ${site.site}`, async () => {
        for (let n = 1; n <= site.count; n++) {
          const bed = await open({ [site.side]: failOnce(site.site, n, code) });
          const job = await bed.start({ [site.policy]: "ignore" });
          await bed.world.ports.advance(1_000);
          assertEquals([job.state.status, job.state.ioStatus], ["ready", "ok"]);
          await expectCompletes(bed);
          const sent = await bed.sent();
          assertEquals(
            sent.filter((line) => line === `m ERROR ${site.operation} ignore`).length,
            1,
          );
          assertEquals(sent.some((line) => line === "m paused" || line === "m standby"), false);
        }
      });
    }
  }

  it("enospc and auto stop at ENOSPC and report anything else", async () => {
    for (const policy of ["enospc", "auto"]) {
      const full = await open({ onTarget: failOnce("write", 3, "ENOSPC") });
      await full.start({ "on-target-error": policy });
      assertEquals([full.job.state.status, full.job.state.ioStatus], ["paused", "nospace"]);
      await full.world.done(full.job.resume());
      await expectCompletes(full);
      const broken = await open({ onTarget: failOnce("write", 3) });
      const job = await broken.start({ "on-target-error": policy });
      assertEquals([job.state.ret, job.state.ioStatus], [-5, "ok"]);
    }
  });

  it("report starts nothing more", async () => {
    const bed = await open({ onTarget: failOnce("write", 3) });
    const job = await bed.start({ "buf-size": KIB_64 * 2, granularity: KIB_64 });
    assertEquals(job.state.ret, -5);
    const { counts } = bed.faultyTarget;
    assertEquals([counts.get("write"), counts.get("flush")], [3, undefined]);
  });

  it("copies again what was written before a failed flush", async () => {
    const beds: MirrorBed[] = [];
    let flushes = 0;
    const onTarget: FaultRule = (site) => {
      if (site !== "flush" || ++flushes !== 1) return undefined;
      beds[0]!.target.bytes.fill(0xee, MIB, 2 * MIB);
      return "EIO";
    };
    const bed = await open({ onTarget });
    beds.push(bed);
    await bed.start({ "on-target-error": "stop" });
    await bed.world.done(bed.job.resume());
    await expectCompletes(bed);
  });

  it("each side follows its own policy", async () => {
    const bed = await open({ onSource: failOnce("read", 1) });
    const job = await bed.start({ "on-target-error": "ignore" });
    assertEquals(job.state.error?.errno, "EIO");
  });

  it("a map that cannot be read leaves it to the reading", async () => {
    const bed = await open({ onSource: failOnce("extent", 1) });
    await bed.start();
    await expectCompletes(bed);
    assertEquals((await bed.sent()).some((line) => line.startsWith("m ERROR")), false);
  });
});

describe("mirror whose errors stay", () => {
  it("a persistent error stops it after each resume, and a cancel ends it", async () => {
    let isBroken = true;
    const onTarget: FaultRule = (site) => site === "write" && isBroken ? "EIO" : undefined;
    const bed = await open({ onTarget });
    const job = await bed.start({ "on-target-error": "stop" });
    for (let round = 0; round < 3; round++) {
      assertEquals([job.state.status, job.state.ioStatus], ["paused", "failed"]);
      assertEquals(await bed.world.refusal(job.pause()), "Job is already paused");
      await bed.world.done(job.resume());
    }
    const text = await bed.world.refusal(job.cancel({ force: false }));
    assertEquals(text, "The block job for device 'm' is currently paused");
    isBroken = false;
    await bed.world.done(job.cancel());
    const last = (await bed.sent()).slice(-5);
    assertEquals(last, ["m running", "m aborting", "m CANCELLED", "m concluded", "m null"]);
  });

  it("a lasting source error under ignore neither spins nor becomes ready", async () => {
    const onSource: FaultRule = (site) => site === "read" ? "EIO" : undefined;
    const bed = await open({ onSource });
    const job = await bed.start({ "on-source-error": "ignore" });
    await bed.world.ports.advance(1_000);
    assertEquals([job.state.status, job.state.progress.current], ["running", 2 * MIB]);
    const errors = await bed.eventsOf("IoErrorHandled");
    assert(errors.length > 10 && errors.length < 200, `${errors.length} errors`);
    await bed.world.done(job.cancel());
    assertEquals((await bed.world.stateOf("m")).outcome, "cancelled");
  });

  it("ready: a flush that fails once stops it in standby, and resume completes it", async () => {
    const bed = await open({ onTarget: failOnce("flush", 2) });
    const job = await bed.start({ "on-target-error": "stop" });
    await bed.write(KIB_64, noise(100, 3));
    await bed.world.done(job.cancel({ force: false }));
    await bed.world.ports.advance(500);
    assertEquals([job.state.status, job.state.ioStatus], ["standby", "failed"]);
    await bed.write(0, noise(100, 4));
    await bed.world.done(job.resume());
    await bed.world.ports.advance(500);
    assertEquals((await bed.sent()).slice(-5), END);
    assertEquals([bed.isEqual, bed.isPivoted], [true, false]);
  });

  it("ready: after a soft cancel and a lasting flush error only a cancel is left", async () => {
    let flushes = 0;
    const onTarget: FaultRule = (site) => site === "flush" && ++flushes > 1 ? "EIO" : undefined;
    const bed = await open({ onTarget });
    const job = await bed.start({ "on-target-error": "stop" });
    await bed.world.done(job.cancel({ force: false }));
    await bed.world.ports.advance(500);
    assertEquals(job.state.status, "standby");
    const text = await bed.world.refusal(job.complete());
    assertEquals(text, "The active block job 'm' cannot be completed");
    await bed.world.done(job.cancel());
    assertEquals((await bed.world.stateOf("m")).outcome, "cancelled");
    await bed.write(0, noise(3, 3));
  });

  it("io-status is ok again when it is ready after two errors at once", async () => {
    const failing = (asked: FaultySite, n: number) =>
      asked === "write" && (n === 2 || n === 3) ? n === 2 ? "ENOSPC" : "EIO" : undefined;
    const bed = await open({ onTarget: failing });
    await bed.start({ "on-target-error": "stop" });
    assertEquals(bed.job.state.ioStatus, "nospace");
    await resumeAll(bed);
    assertEquals([bed.job.state.status, bed.job.state.ioStatus], ["ready", "ok"]);
    await expectCompletes(bed);
  });

  it("a hanging target does not hold a cancel up, nor writers afterwards", async () => {
    let letGo = () => {};
    const hanging = new Promise<void>((resolve) => letGo = resolve);
    const bed = await open({
      beforeTarget: async (site, count) =>
        site === "write" && count > 2 ? await hanging : undefined,
    });
    const job = await bed.start({ "copy-mode": "write-blocking", "buf-size": 2 * MIB });
    assertEquals(job.state.status, "running");
    // One waits for a copy that hangs, one hangs itself.
    const writes = [bed.edge.write(MIB * 3 / 2, noise(5)), bed.edge.write(5 * MIB, noise(5))];
    assert(await bed.world.isPending(Promise.all(writes)));
    await bed.world.done(job.cancel());
    await bed.world.done(Promise.all(writes));
    assertEquals((await bed.world.stateOf("m")).outcome, "cancelled");
    const steps = (await bed.steps()).length;
    letGo();
    await bed.world.ports.advance(10);
    assertEquals((await bed.steps()).length, steps);
  });
});
