import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { copyByBuffer } from "../../../engine/block/copy.ts";
import { BlockError } from "../../../engine/block/errors.ts";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import { failOnce, type FaultRule, type FaultySite } from "../../support/faulty_node.ts";
import { MemoryChain, type MemoryLayer } from "./memory_chain.ts";

const MIB = 1_048_576;
const KIB_512 = 524_288;

const LAYERS: readonly MemoryLayer[] = [
  { name: "base.raw", size: 2 * MIB, data: [[0, 2 * MIB]] },
  { name: "mid", data: [[0, 1_200_000]] },
  { name: "top", data: [[2 * MIB - 9, 9]] },
];
const JOBS: Readonly<Record<string, JsonObject>> = {
  stream: { device: "top" },
  commit: { device: "top", top: "mid" },
};

/** The n-th access of a file fails, and all after it if it is lasting. */
function failFrom(site: FaultySite, from: number, isOver: () => boolean): FaultRule {
  return (asked, count) => asked === site && count >= from && !isOver() ? "EIO" : undefined;
}

async function run(chain: MemoryChain, type: string, policy: string): Promise<void> {
  await chain.start(type, { ...JOBS[type], "on-error": policy });
  await chain.world.ports.advance(1_000);
}

const stateOf = (chain: MemoryChain) => chain.world.stateOf("j");
const errorsOf = async (chain: MemoryChain) =>
  (await chain.eventsOf("IoErrorHandled")).map(({ data }) => `${data.operation} ${data.action}`);

describe("errors of a stream", () => {
  /** Reads of the second piece of 512 KiB fail until told otherwise. */
  async function failing(policy: string) {
    const chain = await MemoryChain.open(LAYERS);
    let isOver = false;
    const mid = chain.files.get(chain.path("mid"))!;
    const read = mid.read.bind(mid);
    const second = 5 * 65_536 + KIB_512;
    mid.read = async (offset, bytes) => {
      const isData = bytes.byteLength > 65_536;
      if (!isOver && isData && offset <= second && second < offset + bytes.byteLength) {
        throw new BlockError("EIO", "Input/output error", { operation: "read", subject: "mid" });
      }
      await read(offset, bytes);
    };
    await run(chain, "stream", policy);
    return { chain, mend: () => isOver = true };
  }

  it("report: fails where it stands, and leaves the chain", async () => {
    const { chain } = await failing("report");
    const { ret, error, progress, ioStatus } = await stateOf(chain);
    assertEquals([ret, error?.text, ioStatus], [-5, "Input/output error", "ok"]);
    assertEquals([progress.current, progress.total], [KIB_512, 2 * MIB]);
    assertEquals(await errorsOf(chain), ["read report"]);
    await chain.expectShows("top");
  });

  it("ignore: goes to the end, then fails and leaves the chain", async () => {
    const { chain } = await failing("ignore");
    const { ret, progress, closed } = await stateOf(chain);
    assertEquals([ret, progress.current, progress.total], [-5, 2 * MIB, 2 * MIB]);
    assertEquals([await errorsOf(chain), closed.includes("abort")], [["read ignore"], false]);
    await chain.expectShows("top");
  });

  it("stop: pauses there, and resume tries it again", async () => {
    const { chain, mend } = await failing("stop");
    const paused = await stateOf(chain);
    assertEquals([paused.status, paused.ioStatus], ["paused", "failed"]);
    assertEquals(paused.progress.current, KIB_512);
    mend();
    await chain.world.done(chain.job!.resume());
    await chain.world.ports.advance(1_000);
    const { ret, progress, ioStatus } = await stateOf(chain);
    assertEquals([ret, progress.current, ioStatus], [0, 2 * MIB, "ok"]);
    await chain.expectShows("top");
  });

  it("a speed of 1: one piece of 512 KiB, then a cancel", async () => {
    const chain = await MemoryChain.open(LAYERS);
    const job = await chain.start("stream", { ...JOBS["stream"] }, { speed: 1 });
    await chain.world.ports.advance(60_000);
    await chain.world.outcome(job.cancel());
    const { outcome, progress } = await stateOf(chain);
    assertEquals([outcome, progress.current], ["cancelled", KIB_512]);
    await chain.expectShows("top");
  });
});

describe("errors of a commit", () => {
  it("a speed of 1: one piece of 512 KiB, then a cancel", async () => {
    const chain = await MemoryChain.open(LAYERS);
    const job = await chain.start("commit", { ...JOBS["commit"] }, { speed: 1 });
    await chain.world.ports.advance(60_000);
    await chain.world.outcome(job.cancel());
    const { outcome, progress } = await stateOf(chain);
    assertEquals([outcome, progress.current], ["cancelled", KIB_512]);
    await chain.expectShows("top");
  });

  it("ignore: tries again without end, and succeeds when the error is gone", async () => {
    const chain = await MemoryChain.open(LAYERS);
    let isOver = false;
    chain.rules.set("base.raw", failFrom("write", 2, () => isOver));
    await run(chain, "commit", "ignore");
    const before = await stateOf(chain);
    assertEquals([before.status, before.ioStatus], ["running", "ok"]);
    isOver = true;
    await chain.world.ports.advance(1_000);
    const { ret, progress } = await stateOf(chain);
    assertEquals([ret, progress.current], [0, 2 * MIB]);
    const errors = new Set(await errorsOf(chain));
    assertEquals([...errors], ["write ignore"]);
    await chain.expectShows("top");
  });
});

describe("errors of a commit between images that copy by themselves", () => {
  it("a large piece is moved again in small ones, and tells which of them failed", async () => {
    const size = 12 * MIB;
    const chain = await MemoryChain.open([
      { name: "base.raw", size, data: [[0, size]] },
      { name: "mid", data: [[0, size]] },
      { name: "top", data: [[size - 9, 9]] },
    ]);
    const base = chain.files.get(chain.path("base.raw"))!;
    const bad = 5 * MIB + KIB_512;
    const lengths: number[] = [];
    chain.copies.set("base.raw", async (source, from, to, length) => {
      lengths.push(length);
      if (to <= bad && bad < to + length) {
        throw new BlockError("EIO", "Input/output error", { operation: "write", subject: "b" });
      }
      await copyByBuffer({ source, from, target: base, to, length });
    });
    await run(chain, "commit", "report");
    const { ret, progress } = await stateOf(chain);
    assertEquals([ret, progress.current], [-5, bad]);
    assertEquals(await errorsOf(chain), ["write report"]);
    assertEquals(Math.max(...lengths), 2 * MIB);
    assertEquals(lengths.at(0), KIB_512);
    await chain.expectShows("top");
  });
});

interface Site {
  readonly type: string;
  readonly file: string;
  readonly site: FaultySite;
}

const SITES: readonly Site[] = [
  { type: "stream", file: "base.raw", site: "read" },
  { type: "stream", file: "mid", site: "read" },
  { type: "stream", file: "top", site: "write" },
  { type: "stream", file: "top", site: "flush" },
  { type: "commit", file: "mid", site: "read" },
  { type: "commit", file: "base.raw", site: "write" },
  { type: "commit", file: "base.raw", site: "flush" },
  { type: "commit", file: "top", site: "write" },
];

async function countOf({ type, file, site }: Site): Promise<number> {
  const chain = await MemoryChain.open(LAYERS);
  let count = 0;
  chain.rules.set(file, (asked, now) => {
    if (asked === site) count = Math.max(count, now);
    return undefined;
  });
  await run(chain, type, "report");
  assertEquals((await stateOf(chain)).ret, 0);
  return count;
}

/** Sends resume until the job has ended. */
async function resumeAll(chain: MemoryChain): Promise<void> {
  for (let round = 0; round < 20 && chain.job?.state.status === "paused"; round++) {
    await chain.world.done(chain.job.resume());
    await chain.world.ports.advance(1_000);
  }
}

describe("every single access that may fail", () => {
  for (const where of SITES) {
    const { type, file, site } = where;
    for (const policy of ["report", "ignore", "stop"] as const) {
      it(`${type}, ${site} of ${file}, ${policy}: what shows stays`, async () => {
        const count = await countOf(where);
        let failed = 0;
        let refused = 0;
        for (let at = 1; at <= count; at++) {
          const chain = await MemoryChain.open(LAYERS);
          chain.rules.set(file, failOnce(site, at));
          try {
            await run(chain, type, policy);
          } catch {
            refused++;
            continue;
          }
          await resumeAll(chain);
          const { status, ret } = await stateOf(chain);
          assertEquals(status, "null", `access ${at}`);
          if (ret !== 0) failed++;
          await chain.expectShows("top", `access ${at}`);
        }
        assert(count > refused, "some access is the job's");
        if (policy === "report") assert(failed + refused > 0);
      });
    }
  }
});
