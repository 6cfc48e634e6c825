import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import * as fs from "node:fs";
import { JoblogError } from "../../../events/log/errors.ts";
import { BlockError } from "../../../engine/block/errors.ts";
import {
  createQcow2,
  openQcow2,
  type Qcow2CreateOptions,
} from "../../../engine/block/qcow2/mod.ts";
import { backup } from "../../../engine/drivers/backup.ts";
import type { JsonObject } from "../../../engine/drivers/driver.ts";
import { openSourceImage } from "../../../engine/drivers/images/source.ts";
import { FakeContext, type FakeOptions } from "../../support/fake_context.ts";
import { ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { bytesOf, checkByQemu, HAS_QEMU, qemuImg } from "../block/qcow2/qemu.ts";

const KIB = 1_024;
const MIB = 1_048_576;
const TIB = 2 ** 40;

let folder: ImageFolder;
beforeEach(() => folder = new ImageFolder());
afterEach(() => folder.remove());

type Pieces = readonly (readonly [offset: number, length: number])[];

/** Makes a qcow2 image with noise in some places. */
async function image(name: string, size: number, pieces: Pieces, own: Partial<Qcow2CreateOptions>) {
  const node = await createQcow2(folder.file(name), { size, ...own });
  for (const [offset, length] of pieces) await node.write(offset, noise(length, offset + size));
  await node.close();
}

async function run(extra: JsonObject, options: FakeOptions = {}): Promise<FakeContext> {
  const context = new FakeContext(options);
  const parameters = backup.parameters({ source: "a", target: "b", ...extra });
  const job = await backup.open(parameters, { isRecovery: false, baseFolder: folder.path });
  try {
    await context.drive(job);
  } finally {
    await job.close?.();
  }
  return context;
}

async function contents(name: string, format?: "raw" | "qcow2"): Promise<Uint8Array> {
  const { node } = await openSourceImage(name, { folder: folder.path, format });
  try {
    return await bytesOf(node, MIB);
  } finally {
    await node.close();
  }
}

/** Both images hold the same bytes, for us and for QEMU, and QEMU finds nothing to complain of. */
async function assertCopied(format: "raw" | "qcow2", below = "b"): Promise<void> {
  assert(sameBytes(await contents("a"), await contents("b", format)));
  if (!HAS_QEMU) return;
  qemuImg("compare", "-F", format, folder.file("a"), folder.file("b"));
  if (format === "qcow2") {
    assertEquals(checkByQemu(folder.file(below)), { corruptions: 0, leaks: 0 });
  }
}

const SIZE = 9 * MIB + 512;
const DATA: Pieces = [[0, 100_000], [3 * MIB - 5, 300_000], [SIZE - 700, 700]];
const BELOW: Pieces = [[50_000, 200_000], [5 * MIB, 65_536]];

const SOURCES: { readonly [name: string]: () => Promise<void> | void } = {
  raw: () => void folder.sparse("a", SIZE, DATA),
  "qcow2 of 512 bytes": () => image("a", SIZE, DATA, { clusterSize: 512 }),
  "qcow2 of 2 MiB": () => image("a", SIZE, DATA, { clusterSize: 2 * MIB }),
  "version 2": () => image("a", SIZE, DATA, { compat: "0.10" }),
  "a chain over a shorter raw file": async () => {
    folder.sparse("base", 6 * MIB, BELOW);
    await image("a", SIZE, DATA, { backingFile: "base", backingFormat: "raw" });
  },
  "a chain of three": async () => {
    await image("base", SIZE, BELOW, { clusterSize: 4_096 });
    const mid = { backingFile: "base", backingFormat: "qcow2" } as const;
    await image("mid", SIZE, [[7 * MIB, 70_000]], mid);
    await image("a", SIZE, DATA, { backingFile: "mid", backingFormat: "qcow2" });
  },
};

describe("backup from any format to any format", () => {
  for (const [name, make] of Object.entries(SOURCES)) {
    for (const format of ["raw", "qcow2"] as const) {
      it(`copies ${name} to a new ${format} image`, async () => {
        await make();
        const context = await run({ format });
        await assertCopied(format);
        assertEquals(context.progress.current, context.progress.total);
        const covered = context.record.steps.reduce((sum, step) => sum + step.length, 0);
        assertEquals(covered, SIZE);
      });

      it(`copies ${name} over an existing ${format} image that is full`, async () => {
        await make();
        folder.write("full", noise(SIZE));
        folder.write("b", noise(SIZE));
        if (format === "qcow2") {
          await fs.promises.unlink(folder.file("b"));
          await image("b", SIZE, [[0, SIZE]], { clusterSize: 128 * KIB });
        }
        await run({ format, mode: "existing" });
        await assertCopied(format);
      });
    }
  }

  it("makes the target in the format of the source, and probes one that exists", async () => {
    await image("a", MIB, [[0, 100]], {});
    await run({});
    await assertCopied("qcow2");
    await run({ mode: "existing" });
    await assertCopied("qcow2");
    await run({ mode: "absolute-paths", format: "raw" });
    await assertCopied("raw");
  });

  it("empties a target of another format as an announced act", async () => {
    await image("a", MIB, [[0, 100]], {});
    folder.write("b", noise(5_000));
    const { record } = await run({ mode: "absolute-paths" });
    assertEquals(record.acts, [{
      kind: "truncate",
      subject: folder.file("b"),
      before: { size: 5_000 },
      after: { size: MIB, format: "qcow2" },
    }]);
  });

  it("clears the rest of the last sector of an existing target", async () => {
    folder.write("a", noise(1_000));
    await image("b", 1_024, [[0, 1_024]], {});
    await run({ mode: "existing", format: "qcow2", "source-format": "raw" });
    const bytes = await contents("b");
    assert(sameBytes(bytes.subarray(0, 1_000), noise(1_000)));
    assert(bytes.subarray(1_000).every((byte) => byte === 0));
  });

  it("counts in clusters of the target when they are larger than 64 KiB", async () => {
    folder.write("a", noise(3 * MIB));
    await image("b", 3 * MIB, [], { clusterSize: 2 * MIB });
    const context = await run({ mode: "existing" });
    assertEquals(context.progress.total, 4 * MIB);
    assertEquals(context.record.steps.map(({ offset }) => offset), [0, 2 * MIB]);
    const act = () => run({ mode: "existing", "max-chunk": MIB });
    const error = await assertRejects(act, JoblogError);
    assertEquals(
      error.message,
      "Required max-chunk (1048576) is less than backup cluster size (2097152)",
    );
    await run({ mode: "existing", "max-chunk": 2 * MIB });
    await assertCopied("qcow2");
  });

  it("takes min-cluster-size for its unit", async () => {
    folder.write("a", noise(MIB));
    const context = await run({ "x-perf": { "min-cluster-size": 512 * KIB } });
    assertEquals(new Set(context.record.steps.map(({ length }) => length)), new Set([MIB]));
    await assertRejects(
      () => run({ mode: "existing", "min-cluster-size": 2 * MIB, "max-chunk": MIB }),
      JoblogError,
      "less than backup cluster size (2097152)",
    );
  });

  it("reads nothing where the chain has nothing", async () => {
    await image("base", 64 * MIB, [[0, 65_536]], {});
    const over = { backingFile: "base", backingFormat: "qcow2" } as const;
    await image("a", 64 * MIB, [[MIB, 65_536]], over);
    const context = await run({ format: "raw" });
    const copied = context.record.steps.filter(({ kind }) => kind === "copied");
    assertEquals(copied.map(({ offset, length }) => [offset, length]), [
      [0, 65_536],
      [MIB, 65_536],
    ]);
  });
});

describe("backup sync=top", () => {
  const over = { backingFile: "base", backingFormat: "qcow2" } as const;
  const TOP: Pieces = [[0, 65_536], [MIB, 131_072]];
  beforeEach(async () => {
    await image("base", 4 * MIB, [[2 * MIB, MIB]], {});
    await image("a", 4 * MIB, TOP, over);
  });

  it("copies what the top layer holds, over what is below it", async () => {
    const context = await run({ sync: "top" });
    await assertCopied("qcow2");
    assertEquals([context.progress.current, context.progress.total], [196_608, 196_608]);
    const node = await openQcow2(folder.file("b"), { readOnly: true });
    assertEquals(node.header.backingName, folder.file("base"));
    assertEquals(node.header.backingFormat, "qcow2");
    await node.close();
    const skipped = context.record.steps.filter(({ kind }) => kind === "skipped");
    const bytes = skipped.reduce((sum, { length }) => sum + length, 0);
    assertEquals(bytes, 4 * MIB - 196_608);
  });

  it("starts at the full size and shrinks while it scans", async () => {
    const totals: number[] = [];
    const onPausePoint = (_: number, own: FakeContext) => void totals.push(own.progress.total);
    await run({ sync: "top" }, { onPausePoint });
    assertEquals([totals[0], totals.at(-1)], [4 * MIB, 196_608]);
  });

  it("zeroes in the target what the top layer zeroed above its backing file", async () => {
    const node = await openQcow2(folder.file("a"));
    await node.zero(2 * MIB, 512 * KIB);
    await node.close();
    await run({ sync: "top" });
    await assertCopied("qcow2");
  });

  it("copies a cluster that is allocated only in part, whatever the cluster sizes", async () => {
    fs.unlinkSync(folder.file("a"));
    await image("a", 4 * MIB, [[3 * MIB + 66_000, 600]], { ...over, clusterSize: 512 });
    const context = await run({ sync: "top" });
    assertEquals(context.progress.total, 65_536);
    await assertCopied("qcow2");
  });

  it("is full without a backing file", async () => {
    fs.renameSync(folder.file("base"), folder.file("c"));
    const context = await run({ sync: "top", source: "c" });
    assertEquals(context.progress.total, 4 * MIB);
  });

  it("refuses a raw target, which could have nothing below it", async () => {
    await assertRejects(
      () => run({ sync: "top", format: "raw" }),
      JoblogError,
      "Backing file not supported for file format 'raw'",
    );
    assertEquals(fs.existsSync(folder.file("b")), false);
  });

  it("touches nothing else of a raw target that exists", async () => {
    folder.write("b", noise(4 * MIB, 9));
    await run({ sync: "top", format: "raw", mode: "existing" });
    const [source, target] = [await contents("a"), folder.read("b")];
    for (const [offset, length] of TOP) {
      const end = offset + length;
      assert(sameBytes(target.subarray(offset, end), source.subarray(offset, end)));
    }
    assert(sameBytes(target.subarray(2 * MIB), noise(4 * MIB, 9).subarray(2 * MIB)));
  });
});

describe("backup of a tebibyte", () => {
  for (const sync of ["full", "top"]) {
    it(`sync=${sync} of a sparse image takes few steps`, async () => {
      await image("base", TIB, [[TIB / 2, 65_536]], {});
      const over = { backingFile: "base", backingFormat: "qcow2" } as const;
      await image("a", TIB, [[0, 65_536], [TIB - 65_536, 65_536]], over);
      const context = await run({ sync });
      assert(context.record.steps.length < 200, `${context.record.steps.length} steps`);
      assertEquals(context.progress.current, context.progress.total);
      if (!HAS_QEMU) return;
      qemuImg("compare", folder.file("a"), folder.file("b"));
      assertEquals(checkByQemu(folder.file("b")), { corruptions: 0, leaks: 0 });
    });
  }
});

describe("backup refuses", () => {
  it("a target with another size, in any format", async () => {
    folder.write("a", noise(MIB));
    await image("b", 2 * MIB, [], {});
    await assertRejects(
      () => run({ mode: "existing" }),
      JoblogError,
      "Source and target image have different sizes",
    );
  });

  it("a header in a target whose format was guessed", async () => {
    await image("a", MIB, [[0, 100]], {});
    folder.write("b", new Uint8Array(fs.statSync(folder.file("a")).size));
    const error = await assertRejects(
      () => run({ mode: "existing", "source-format": "raw" }),
      BlockError,
      "its format was guessed to be raw",
    );
    assertEquals([error.code, error.errno], ["EPERM", 1]);
    await run({ mode: "existing", "source-format": "raw", format: "raw" });
    assert(sameBytes(folder.read("a"), folder.read("b")));
  });
});
