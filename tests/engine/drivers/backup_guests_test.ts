import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { Edge } from "../../../engine/block/edge.ts";
import { BlockError } from "../../../engine/block/errors.ts";
import type { BlockNode } from "../../../engine/block/node.ts";
import { createQcow2 } from "../../../engine/block/qcow2/mod.ts";
import { backup } from "../../../engine/drivers/backup.ts";
import { BackupJob } from "../../../engine/drivers/backup/job.ts";
import { JobParked, type JsonObject } from "../../../engine/drivers/driver.ts";
import type { ImageFormat } from "../../../engine/drivers/images/probe.ts";
import { openSourceImage } from "../../../engine/drivers/images/source.ts";
import { TargetImage } from "../../../engine/drivers/images/target.ts";
import { FakeContext, type FakeOptions } from "../../support/fake_context.ts";
import { type FaultRule, FaultyNode } from "../../support/faulty_node.ts";
import { ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { runWriter } from "../block/filters/seeded_writer.ts";
import { bytesOf, checkByQemu, HAS_QEMU } from "../block/qcow2/qemu.ts";
import { numbersFrom } from "../block/qcow2/seeded.ts";

const CLUSTER = 65_536;
const SIZE = 40 * CLUSTER + 1_024;

let folder: ImageFolder;
beforeEach(() => folder = new ImageFolder());
afterEach(() => folder.remove());

interface Scene {
  readonly sync?: string;
  readonly format?: ImageFormat;
  readonly extra?: JsonObject;
  readonly rule?: FaultRule;
  readonly isRecovery?: boolean;
}

/** A source that is written through an edge, and the moment that a job keeps. */
class GuestBed {
  readonly edge: Edge;
  moment: Uint8Array = new Uint8Array(0);
  readonly #node: BlockNode;

  constructor(node: BlockNode) {
    this.#node = node;
    this.edge = new Edge(node);
  }

  static async make(hasBacking: boolean): Promise<GuestBed> {
    folder.sparse("base", SIZE, [[0, 5 * CLUSTER], [20 * CLUSTER + 7, 3 * CLUSTER]]);
    const own = { backingFile: "base", backingFormat: "raw" } as const;
    const node = await createQcow2(folder.file("a"), { size: SIZE, ...(hasBacking ? own : {}) });
    await node.write(3 * CLUSTER + 5, noise(9 * CLUSTER, 3));
    return new GuestBed(node);
  }

  async job(scene: Scene): Promise<BackupJob> {
    const { sync = "full", format = "qcow2", extra = {}, rule, isRecovery = false } = scene;
    const parameters = backup.parameters({ source: "a", target: "b", sync, format, ...extra });
    const read = await openSourceImage("a", { folder: folder.path });
    const source = { ...read, node: this.#node };
    const target = await TargetImage.open("b", {
      folder: folder.path,
      format,
      source,
      mode: undefined,
      isRecovery,
    });
    const node = this.#node as BlockNode & { layerExtent: NonNullable<typeof read.topExtent> };
    const topExtent = (offset: number, length: number) => node.layerExtent(offset, length);
    const { make } = target;
    target.make = async (creation) => {
      const made = await make.call(target, creation);
      const faulty = rule === undefined ? made : new FaultyNode(made, rule);
      Object.defineProperty(target, "node", { value: faulty, configurable: true });
      return faulty;
    };
    await read.node.close();
    const known = { ...source, node: unclosed(this.#node) };
    return new BackupJob(parameters, {
      source: read.topExtent === undefined ? known : { ...known, topExtent },
      target,
      gate: this.#gate(),
      release: () => {},
    });
  }

  async close(): Promise<void> {
    await this.edge.close();
  }

  #gate() {
    let child: BlockNode | undefined;
    return {
      insert: (make: (child: BlockNode) => BlockNode) =>
        this.edge.drained(async (drained) => {
          child = drained.child;
          this.moment = await bytesOf(child);
          drained.replace(make(child));
        }),
      remove: () =>
        this.edge.drained((drained) => {
          if (child !== undefined) drained.replace(child);
          child = undefined;
        }),
    };
  }
}

/** The source belongs to the bed: a job that ends does not close it. */
function unclosed(node: BlockNode): BlockNode {
  const shown = new Proxy(node, {
    get(target, name) {
      if (name === "close") return () => Promise.resolve();
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return shown;
}

async function targetBytes(): Promise<Uint8Array> {
  const { node } = await openSourceImage("b", { folder: folder.path });
  try {
    return await bytesOf(node);
  } finally {
    await node.close();
  }
}

async function assertChecked(): Promise<void> {
  if (HAS_QEMU && folder.read("b")[0] === 0x51) {
    assertEquals(checkByQemu(folder.file("b")).corruptions, 0);
  }
  await Promise.resolve();
}

describe("backup under writers", () => {
  for (let seed = 1; seed <= 12; seed++) {
    const sync = seed % 3 === 0 ? "top" : "full";
    const format = seed % 2 === 0 ? "raw" : "qcow2";
    const isTop = sync === "top";
    it(`seed ${seed}: keeps the moment, sync=${sync} to ${isTop ? "qcow2" : format}`, async () => {
      const next = numbersFrom(seed);
      const bed = await GuestBed.make(isTop);
      const model = await bytesOf(bed.edge);
      const writers: Promise<number>[] = [];
      const context = new FakeContext({
        checkpointBytes: 4 * CLUSTER,
        onPausePoint: (count, own) => {
          if (next(4) === 0) own.pause();
          if (next(5) === 0) own.setSpeed(next(2) * (1 + next(5_000_000)));
          const stripe = count - 2;
          if (stripe < 0 || stripe >= 4) return;
          writers.push(runWriter({ node: bed.edge, model, next }, stripe, 4, 60));
        },
        onPaused: async () => {
          for (let turn = next(200); turn > 0; turn--) await Promise.resolve();
        },
      });
      const workers = 1 + next(6);
      const extra = { "max-workers": workers, "max-chunk": CLUSTER * (1 + next(3)) };
      const job = await bed.job({ sync, format: isTop ? "qcow2" : format, extra });
      const first = runWriter({ node: bed.edge, model, next }, 4, 5, 30);
      await context.drive(job);
      await job.close();
      const failures = await Promise.all([...writers, first]);
      assertEquals(failures.reduce((sum, count) => sum + count, 0), 0);
      assert(sameBytes(await targetBytes(), bed.moment), "the target is not the moment");
      assertEquals(context.progress.current, context.progress.total);
      assert(writers.length > 0);
      await bed.close();
      await assertChecked();
    });
  }

  it("sync=none copies what is overwritten and nothing else, until it is cancelled", async () => {
    const bed = await GuestBed.make(false);
    let yields = 0;
    const context = new FakeContext({
      onPausePoint: async (_, own) => {
        if (++yields === 1) {
          await bed.edge.write(4 * CLUSTER + 9, noise(10, 77));
          await bed.edge.zero(30 * CLUSTER, 100);
        } else own.cancel();
      },
    });
    const job = await bed.job({ sync: "none" });
    await context.drive(job);
    await job.close();
    assertEquals(context.progress.total, 41 * CLUSTER);
    const done = context.record.steps.map(({ kind, offset, length }) => [kind, offset, length]);
    assertEquals(done, [["copied", 4 * CLUSTER, CLUSTER], ["hole", 30 * CLUSTER, CLUSTER]]);
    // What was not overwritten shows through from the source, as it is now.
    await bed.edge.flush();
    assert(sameBytes(await targetBytes(), bed.moment));
    await bed.close();
  });

  const failing: FaultRule = (site) => site === "write" ? "EIO" : undefined;

  it("break-guest-write fails the write and keeps the moment", async () => {
    const bed = await GuestBed.make(false);
    let error: unknown;
    const context = new FakeContext({
      onPausePoint: async (count, own) => {
        if (count > 1) return own.cancel();
        error = await assertRejects(() => bed.edge.write(4 * CLUSTER, noise(10)), BlockError);
      },
    });
    const job = await bed.job({ sync: "none", rule: failing });
    await context.drive(job);
    await job.close();
    assertEquals((error as BlockError).code, "EIO");
    assert(sameBytes(await bytesOf(bed.edge), bed.moment));
    await bed.close();
  });

  it("break-snapshot lets the write pass and fails the backup", async () => {
    const bed = await GuestBed.make(false);
    const context = new FakeContext({
      onPausePoint: async (count) => {
        if (count === 1) await bed.edge.write(4 * CLUSTER, noise(10));
      },
    });
    const extra = { "on-cbw-error": "break-snapshot" };
    const job = await bed.job({ sync: "none", rule: failing, extra });
    const error = await assertRejects(() => context.drive(job), BlockError);
    await job.close();
    assertEquals(error.code, "EIO");
    const bytes = new Uint8Array(10);
    await bed.edge.read(4 * CLUSTER, bytes);
    assert(sameBytes(bytes, noise(10)));
    await bed.close();
  });

  it("records the first write since a checkpoint before it goes through", async () => {
    const bed = await GuestBed.make(false);
    const seen: string[] = [];
    const before = new Uint8Array(4);
    const context = Object.assign(
      new FakeContext({
        checkpointBytes: 8 * CLUSTER,
        onPausePoint: async (count) => {
          if (count > 3) return;
          await bed.edge.write(38 * CLUSTER, new Uint8Array([9, 9, 9, 9]));
        },
      }),
      {
        async sourceWritten() {
          await bed.edge.child.read(38 * CLUSTER, before);
          seen.push(
            `${before[0] === 9 ? "after" : "before"}, ${context.record.checkpoints.length}`,
          );
        },
      },
    );
    const job = await bed.job({ extra: { "max-workers": 1, "max-chunk": CLUSTER } });
    await context.drive(job);
    await job.close();
    assertEquals(seen, ["before, 1"]);
    assert(context.record.checkpoints.length > 2);
    await bed.close();
  });

  it("goes on after a stop when nobody wrote since the checkpoint, else says why not", async () => {
    const bed = await GuestBed.make(false);
    const options: FakeOptions = {
      onPausePoint: async (count, own) => {
        if (count === 2) await bed.edge.write(35 * CLUSTER, noise(100, 5));
        if (count === 6) own.park();
      },
    };
    const first = new FakeContext(options);
    const extra = { "max-workers": 1, "max-chunk": CLUSTER };
    const job = await bed.job({ extra });
    await assertRejects(() => first.drive(job), JobParked);
    await job.close();
    const { moment } = bed;
    const { resumeFrom, current } = first.record.checkpoints.at(-1)!;
    const point = { resumeFrom, current };
    const lost = Object.assign(new FakeContext(point), { job: { checkpoint: { writtenAt: 7 } } });
    const again = await bed.job({ extra, isRecovery: true });
    const text = "its source was written after its last checkpoint";
    await assertRejects(() => lost.drive(again), BlockError, text);
    await again.close();
    const third = await bed.job({ extra, isRecovery: true });
    await new FakeContext(point).drive(third);
    await third.close();
    assert(sameBytes(await targetBytes(), moment));
    await bed.close();
    await assertChecked();
  });
});
