import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import { MemoryChain, type MemoryLayer } from "./memory_chain.ts";

const MIB = 1_048_576;
const KIB_512 = 524_288;

const LAYERS: readonly MemoryLayer[] = [
  { name: "base.raw", size: 2 * MIB - 512, data: [[0, 2 * MIB - 512]] },
  { name: "mid", size: 2 * MIB, data: [[0, MIB + 7], [2 * MIB - 100_000, 100_000]] },
  { name: "top", data: [[MIB, 70_000]] },
];

interface Case {
  readonly name: string;
  readonly type: string;
  readonly parameters: JsonObject;
  /** Backing file of the top afterwards; undefined = none. */
  readonly backing: string | undefined;
}

const CASES: readonly Case[] = [
  { name: "stream of all", type: "stream", parameters: { device: "top" }, backing: undefined },
  {
    name: "stream to a base",
    type: "stream",
    parameters: { device: "top", base: "base.raw" },
    backing: "base.raw",
  },
  {
    name: "stream to below a bottom",
    type: "stream",
    parameters: { device: "top", bottom: "mid" },
    backing: "base.raw",
  },
  {
    name: "commit of an inner layer",
    type: "commit",
    parameters: { device: "top", top: "mid" },
    backing: "base.raw",
  },
];

async function expectEnded(chain: MemoryChain, what: string): Promise<void> {
  const { status, ret, error, progress } = await chain.world.stateOf("j");
  assertEquals([status, ret, error], ["null", 0, null], what);
  assertEquals(progress.current, progress.total, what);
  await chain.expectShows("top", what);
}

/** As every job: a finalization that was cut short before its decision is aborted. */
async function isCutShort(chain: MemoryChain): Promise<boolean> {
  const { status, error } = await chain.world.stateOf("j");
  return status === "null" && error?.errno === "EINTR";
}

/** Runs a case whose process dies before its n-th access; says whether it came so far. */
async function killedAt({ type, parameters, backing, name }: Case, at: number): Promise<boolean> {
  const chain = await MemoryChain.open(LAYERS);
  let isKilled = false;
  chain.onAccess = (_file, _access, count) => {
    if (count !== at) return;
    isKilled = true;
    chain.kill();
  };
  const what = `${name}, killed at access ${at}`;
  const start = chain.world.joblog.start({
    type,
    id: "j",
    parameters: chain.pathsIn(parameters),
  });
  start.catch(() => {});
  await chain.world.ports.advance(100);
  if (!isKilled) return false;
  await chain.expectShows("top", `${what}, before another goes on`);
  await chain.reopen();
  await chain.world.ports.advance(1_000);
  // A process that died while it opened the files has created no job.
  const created = await chain.eventsOf("JobCreated");
  if (created.length === 0) return true;
  const after = backing && chain.path(backing);
  if (await isCutShort(chain)) {
    await chain.expectShows("top", what);
    const found = await chain.backing("top");
    assert(found === chain.path("mid") || found === after, what);
    return true;
  }
  await expectEnded(chain, what);
  assertEquals(await chain.backing("top"), after, what);
  return true;
}

describe("a chain whose process dies before an access", () => {
  for (const one of CASES) {
    it(`${one.name}: shows the same, and another process brings it to its end`, async () => {
      let at = 1;
      while (await killedAt(one, at)) at++;
      assert(at > 30, `${at} accesses`);
    });
  }
});

describe("going on after a stop", () => {
  for (const one of CASES) {
    it(`${one.name}: parked half way, nothing is done twice`, async () => {
      const chain = await MemoryChain.open(LAYERS);
      await chain.start(one.type, one.parameters, { speed: KIB_512 });
      await chain.world.ports.advance(1_500);
      const { current } = chain.job!.state.progress;
      assert(current > 0 && current < 2 * MIB);
      await chain.park();
      const [recovered] = await chain.eventsOf("JobRecovered");
      assertEquals(recovered!.data.current, current);
      await chain.world.outcome(Promise.resolve(chain.job?.setSpeed(0)));
      await chain.world.ports.advance(5_000);
      await expectEnded(chain, one.name);
      const steps = (await chain.eventsOf("StepTaken")).map(({ data }) => data);
      let end = 0;
      for (const { offset, length } of steps) {
        assertEquals(offset, end);
        end += length;
      }
      assertEquals(end, 2 * MIB);
    });
  }

  it("pending, and finalized by another process", async () => {
    for (const { type, parameters, backing, name } of CASES) {
      const chain = await MemoryChain.open(LAYERS);
      await chain.start(type, parameters, { autoFinalize: false });
      await chain.world.ports.advance(1_000);
      assertEquals(chain.job!.state.status, "pending");
      await chain.reopen();
      await chain.world.done(chain.job!.finalize());
      await expectEnded(chain, name);
      assertEquals(await chain.backing("top"), backing && chain.path(backing));
    }
  });

  it("an active commit goes on, stays ready, and pivots", async () => {
    const chain = await MemoryChain.open(LAYERS);
    await chain.start("commit", { device: "top" });
    await chain.world.ports.advance(1_000);
    assertEquals(chain.job!.state.status, "ready");
    await chain.reopen();
    await chain.world.ports.advance(1_000);
    assertEquals(chain.job!.state.status, "ready");
    await chain.world.done(chain.job!.complete());
    await chain.world.ports.advance(1_000);
    const { ret } = await chain.world.stateOf("j");
    assertEquals(ret, 0);
    await chain.expectShows("top");
    await chain.expectShows("base.raw");
  });
});
