import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { MirrorCopyMode } from "../../../engine/drivers/mirror.ts";
import { type FaultRule } from "../../support/faulty_node.ts";
import { noise, sameBytes } from "../../support/images.ts";
import { numbersFrom } from "../block/qcow2/seeded.ts";
import { MirrorBed } from "./mirror_bed.ts";

const SIZE = 60_003;
const STRIPES = 5;
const ROUNDS = 40;

type Ending = "complete" | "soft" | "force";

/** Writers at the source, one for each stripe of bytes, and what must come out. */
class Writers {
  readonly model: Uint8Array;
  readonly #bed: MirrorBed;
  readonly #next: (below: number) => number;
  readonly #busy = new Set<number>();

  constructor(bed: MirrorBed, next: (below: number) => number) {
    this.#bed = bed;
    this.#next = next;
    this.model = bed.source.bytes.slice();
  }

  /** Writes that have not settled. */
  get count(): number {
    return this.#busy.size;
  }

  /** Starts some writes, each in a stripe of its own. */
  start(): void {
    for (let stripe = 0; stripe < STRIPES; stripe++) {
      if (this.#busy.has(stripe) || this.#next(3) === 0) continue;
      void this.#write(stripe);
    }
  }

  async #write(stripe: number): Promise<void> {
    this.#busy.add(stripe);
    const span = Math.floor(SIZE / STRIPES);
    const inside = this.#next(span - 1);
    const length = 1 + this.#next(Math.min(span - inside, this.#next(4) === 0 ? 4_000 : 300));
    const offset = stripe * span + inside;
    const bytes = noise(length, this.#next(1_000_000));
    const isZero = this.#next(4) === 0;
    if (isZero) await this.#bed.edge.zero(offset, length);
    else await this.#bed.edge.write(offset, bytes);
    this.model.set(isZero ? new Uint8Array(length) : bytes, offset);
    this.#busy.delete(stripe);
  }
}

/** What a user may do at any moment; refusals are fine. */
async function meddle(bed: MirrorBed, next: (below: number) => number): Promise<void> {
  const { job } = bed;
  const verbs = [
    () => job.pause(),
    () => job.resume(),
    () => job.resume(),
    () => job.setSpeed(next(3) === 0 ? 0 : 5_000 + next(200_000)),
  ];
  if (next(3) > 0) return;
  await bed.world.outcome(verbs[next(verbs.length)]!());
}

/** Makes sure that the job runs, and waits until it is ready. */
async function becomeReady(bed: MirrorBed): Promise<void> {
  for (let round = 0; bed.job.state.status !== "ready"; round++) {
    if (round > 200) throw new Error(`It is still ${bed.job.state.status}`);
    await bed.world.outcome(bed.job.resume());
    await bed.world.outcome(bed.job.setSpeed(0));
    await bed.world.ports.advance(200);
  }
}

async function play(seed: number, copyMode: MirrorCopyMode, ending: Ending, rule?: FaultRule) {
  const next = numbersFrom(seed);
  let isOver = false;
  const bed = await MirrorBed.open({
    size: SIZE,
    target: noise(SIZE, 9),
    turns: () => next(4),
    // Once the job is over, the target is the writers' own.
    onTarget: (site, count) => isOver ? undefined : rule?.(site, count),
  });
  const sizes = { granularity: 512, "buf-size": 2_048 << next(3), "on-target-error": "ignore" };
  const job = await bed.start({ ...sizes, "copy-mode": copyMode }, {
    speed: 20_000 + next(100_000),
    autoFinalize: false,
  });
  const writers = new Writers(bed, next);
  for (let round = 0; round < ROUNDS; round++) {
    writers.start();
    await bed.world.ports.advance([0, 1, 10, 100, 150][next(5)]!);
    await meddle(bed, next);
  }
  if (ending !== "force") await becomeReady(bed);
  writers.start();
  if (ending === "complete") await bed.world.outcome(job.complete());
  else await bed.world.outcome(job.cancel({ force: ending === "force" }));
  for (let round = 0; ending !== "force" && job.state.status !== "pending"; round++) {
    if (round > 200) throw new Error(`It is still ${job.state.status}`);
    if (round < 3) writers.start();
    await bed.world.ports.advance(100);
  }
  if (ending !== "force") {
    // The source is held: this is the moment that the target must be the image of.
    writers.start();
    await bed.world.ports.advance(100);
    assert(bed.isEqual, `seed ${seed}: source and target differ when the job is pending`);
    isOver = true;
    await bed.world.done(job.finalize());
  }
  await bed.world.ports.advance(1_000);
  assertEquals(writers.count, 0);
  assertEquals(bed.isPivoted, ending === "complete");
  const shown = ending === "complete" ? bed.target.bytes : bed.source.bytes;
  assert(sameBytes(shown, writers.model), `seed ${seed}: a write was lost`);
  assertEquals((await bed.world.stateOf("m")).ret, ending === "force" ? -125 : 0);
  return bed;
}

const ENDINGS: readonly Ending[] = ["complete", "soft", "force"];

describe("mirror under writers", () => {
  for (const copyMode of ["background", "write-blocking"] as const) {
    for (const ending of ENDINGS) {
      it(`${copyMode}, ended by ${ending}: is byte for byte what a model says`, async () => {
        for (let seed = 1; seed <= 12; seed++) await play(seed, copyMode, ending);
      });
    }

    it(`${copyMode}: also when every seventh access of the target fails`, async () => {
      const failing: FaultRule = (site, count) =>
        (site === "write" || site === "zero") && count % 7 === 0 ? "EIO" : undefined;
      for (let seed = 1; seed <= 6; seed++) await play(seed, copyMode, "complete", failing);
    });
  }

  it("write-blocking: what is acknowledged is on both sides", async () => {
    const bed = await MirrorBed.open();
    await bed.start({ "copy-mode": "write-blocking" });
    const before = bed.job.state.progress.current;
    for (let round = 0; round < 20; round++) {
      await bed.write(round * 1_000 + 13, noise(777, round + 1));
      assert(bed.isEqual);
    }
    await bed.world.ports.advance(500);
    const { current, total } = bed.job.state.progress;
    assertEquals([current - before, total - before], [20 * 777, 20 * 777]);
    const written = (await bed.steps()).filter((step) => step.startsWith("written"));
    assertEquals(written, [`written 13 ${19 * 1_000 + 777}`]);
  });

  it("write-blocking: a failing target stops the job and not the writer", async () => {
    let isBroken = false;
    const onTarget: FaultRule = (site) => site === "write" && isBroken ? "ENOSPC" : undefined;
    const bed = await MirrorBed.open({ onTarget });
    await bed.start({ "copy-mode": "write-blocking", "on-target-error": "enospc" });
    isBroken = true;
    await bed.write(100, noise(50, 2));
    await bed.world.ports.advance(500);
    assertEquals([bed.job.state.status, bed.job.state.ioStatus], ["standby", "nospace"]);
    isBroken = false;
    await bed.world.done(bed.job.resume());
    await bed.world.ports.advance(500);
    assertEquals([bed.job.state.status, bed.isEqual], ["ready", true]);
  });

  it("write-blocking: report ends the job, and writers go on without the target", async () => {
    let isBroken = false;
    const onTarget: FaultRule = (site) => site === "write" && isBroken ? "EIO" : undefined;
    const bed = await MirrorBed.open({ onTarget });
    const job = await bed.start({ "copy-mode": "write-blocking" });
    isBroken = true;
    await bed.write(100, noise(50, 2));
    await bed.world.ports.advance(500);
    assertEquals([job.state.ret, bed.isPivoted], [-5, false]);
    await bed.write(0, noise(50, 3));
    assert(sameBytes(bed.source.bytes.subarray(0, 50), noise(50, 3)));
  });
});
