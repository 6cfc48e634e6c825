import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { verify } from "../../../events/replay/mod.ts";
import { noise, sameBytes } from "../../support/images.ts";
import { MirrorBed, type MirrorBedOptions } from "./mirror_bed.ts";

const KIB_64 = 65_536;
const BLOCKING = { "copy-mode": "write-blocking" } as const;

/** A mirror in the background that is ready. */
async function ready(options: MirrorBedOptions = {}, parameters = {}): Promise<MirrorBed> {
  const bed = await MirrorBed.open(options);
  await bed.start(parameters);
  await bed.world.ports.advance(300);
  assertEquals(bed.job.state.status, "ready");
  return bed;
}

async function refusal(bed: MirrorBed, parameters: Record<string, string>): Promise<string> {
  const sent = bed.job.change(parameters);
  return (await assertRejects(() => bed.world.done(sent), Error)).message;
}

async function end(bed: MirrorBed): Promise<void> {
  await bed.world.done(bed.job.cancel({ force: false }));
  await bed.world.ports.advance(500);
  assertEquals((await bed.world.stateOf("m")).ret, 0);
  assert(bed.isEqual);
  assertEquals((await verify(bed.world.joblog.reader)).ok, true);
}

describe("verb change of a mirror", () => {
  it("makes writers wait for the target, and says once that both are in step", async () => {
    const bed = await ready();
    const bytes = noise(KIB_64, 3);
    await bed.write(0, bytes);
    assertEquals(sameBytes(bed.target.bytes.subarray(0, KIB_64), bytes), false);
    assertEquals(bed.job.state.isActivelySynced, undefined);
    await bed.world.done(bed.job.change(BLOCKING));
    await bed.world.ports.advance(1_000);
    assertEquals(bed.job.state.parameters["copy-mode"], "write-blocking");
    assertEquals(bed.job.state.isActivelySynced, true);
    assert(bed.isEqual);
    for (const seed of [4, 5, 6]) {
      await bed.write(seed * 100_000, noise(50_000, seed));
      assert(bed.isEqual, "a write was acknowledged before the target had it");
    }
    await bed.world.ports.advance(1_000);
    assertEquals((await bed.eventsOf("JobSyncChanged")).length, 1);
    assertEquals((await bed.eventsOf("JobParametersChanged")).map(({ data }) => data), [
      { before: { "copy-mode": "background" }, after: BLOCKING },
    ]);
    await end(bed);
  });

  it("is taken while it is created, copies and stands by", async () => {
    for (const status of ["created", "running", "standby"]) {
      const bed = await MirrorBed.open();
      const slow = { speed: status === "running" ? KIB_64 : 0 };
      const own = { source: "source", target: "target", "buf-size": KIB_64 };
      const request = { type: "mirror", id: "m", parameters: own, ...slow };
      const isCreated = status === "created";
      const made = bed.world.joblog;
      await bed.world.done(isCreated ? made.create(request) : made.start(request));
      await bed.world.ports.advance(1_500);
      if (status === "standby") await bed.world.done(bed.job.pause());
      await bed.world.ports.advance(300);
      assertEquals(bed.job.state.status, status);
      await bed.world.done(bed.job.change(BLOCKING));
      if (isCreated) await bed.world.done(bed.job.start());
      if (status === "standby") await bed.world.done(bed.job.resume());
      await bed.world.done(bed.job.setSpeed(0));
      await bed.world.ports.advance(1_500);
      assertEquals([bed.job.state.status, bed.job.state.isActivelySynced], ["ready", true]);
      await bed.write(7, noise(1_000, 8));
      assert(bed.isEqual, status);
      await end(bed);
    }
  });

  it("loses nothing of a write that began before it and settles after it", async () => {
    let letGo = () => {};
    const gate = new Promise<void>((resolve) => letGo = resolve);
    let isHeld = false;
    const beforeSource = async (site: string) => {
      if (site === "write" && isHeld) await gate;
    };
    const bed = await ready({ beforeSource });
    isHeld = true;
    const early = bed.edge.write(5, noise(100, 3));
    await bed.world.done(bed.job.change(BLOCKING));
    isHeld = false;
    await bed.write(KIB_64, noise(100, 4));
    letGo();
    await bed.world.done(early);
    await bed.world.ports.advance(500);
    assert(bed.isEqual);
    await end(bed);
  });

  it("is no news when the mode is that already, and cannot be taken back", async () => {
    const bed = await ready();
    await bed.world.done(bed.job.change({ "copy-mode": "background" }));
    assertEquals(await bed.eventsOf("JobParametersChanged"), []);
    await bed.world.done(bed.job.change(BLOCKING));
    await bed.world.done(bed.job.change(BLOCKING));
    assertEquals((await bed.eventsOf("JobParametersChanged")).length, 1);
    const back = await refusal(bed, { "copy-mode": "background" });
    assertEquals(back, "Change to copy mode 'background' is not implemented");
    const odd = await refusal(bed, { "copy-mode": "sideways" });
    assertEquals(odd, "Parameter 'copy-mode' does not accept value 'sideways'");
    assertEquals(await refusal(bed, {}), "Parameter 'copy-mode' is missing");
    const more = await refusal(bed, { ...BLOCKING, unmap: "no" });
    assertEquals(more, "Parameter 'unmap' is unexpected");
    const { reader } = bed.world.joblog;
    let refused = 0;
    for await (const { data } of reader.readAll({ types: ["VerbRefused"] })) {
      assertEquals([data["verb"], data["code"]], ["change", "changeRefused"]);
      refused++;
    }
    assertEquals(refused, 4);
    await end(bed);
  });

  it("is refused by the table once the job has ended its run", async () => {
    const bed = await MirrorBed.open();
    await bed.start({}, { autoFinalize: false });
    await bed.world.ports.advance(300);
    await bed.world.done(bed.job.complete());
    await bed.world.ports.advance(500);
    const text = "Job 'm' in state 'pending' cannot accept command verb 'change'";
    assertEquals(await refusal(bed, BLOCKING), text);
    await bed.world.done(bed.job.finalize());
  });

  it("stays changed after a crash, and is in step again once that is sure", async () => {
    const bed = await ready();
    await bed.world.done(bed.job.change(BLOCKING));
    await bed.world.ports.advance(500);
    await bed.crash();
    assertEquals(bed.job.state.parameters["copy-mode"], "write-blocking");
    await bed.world.ports.advance(1_000);
    assertEquals(bed.job.state.isActivelySynced, true);
    assertEquals((await bed.eventsOf("JobSyncChanged")).length, 2);
    await bed.write(3, noise(100, 9));
    assert(bed.isEqual);
    await end(bed);
  });

  it("is out of step from a failed write to the target until that is copied", async () => {
    let isBroken = false;
    const onTarget = (site: string) => isBroken && site === "write" ? "EIO" : undefined;
    const bed = await ready({ onTarget }, { "on-target-error": "ignore" });
    await bed.world.done(bed.job.change(BLOCKING));
    await bed.world.ports.advance(500);
    isBroken = true;
    await bed.write(0, noise(KIB_64, 3));
    assertEquals(bed.job.state.isActivelySynced, false);
    isBroken = false;
    await bed.world.ports.advance(1_000);
    assertEquals([bed.job.state.status, bed.job.state.isActivelySynced], ["ready", true]);
    const told = (await bed.eventsOf("JobSyncChanged")).map(({ data }) => data.isActivelySynced);
    assertEquals(told, [true, false, true]);
    await end(bed);
  });
});
