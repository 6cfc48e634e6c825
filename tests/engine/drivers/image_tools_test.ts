import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import * as fs from "node:fs";
import { BlockError } from "../../../engine/block/errors.ts";
import { createQcow2 } from "../../../engine/block/qcow2/mod.ts";
import * as tools from "../../../engine/drivers/images/tools.ts";
import { ImageFolder, noise } from "../../support/images.ts";
import { itWhen } from "../../support/skip.ts";
import { checkByQemu, HAS_QEMU, NO_QEMU, qemuImg } from "../block/qcow2/qemu.ts";

const MIB = 1_048_576;

let folder: ImageFolder;
beforeEach(async () => {
  folder = new ImageFolder();
  folder.write("base", noise(MIB));
  const over = { backingFile: "base", backingFormat: "raw" } as const;
  const node = await createQcow2(folder.file("top"), { size: 4 * MIB, ...over });
  await node.write(65_536, noise(65_536, 2));
  await node.zero(262_144, 131_072);
  await node.write(3 * MIB, noise(100));
  await node.close();
});
afterEach(() => folder.remove());

interface QemuPiece {
  readonly start: number;
  readonly length: number;
  readonly zero: boolean;
  readonly data: boolean;
}

/** Pieces of equal kind joined, since QEMU's and ours end at other places. */
function joined(pieces: readonly QemuPiece[]): unknown[] {
  const all: [number, number, boolean, boolean][] = [];
  for (const { start, length, zero, data } of pieces) {
    const last = all.at(-1);
    if (last !== undefined && last[2] === zero && last[3] === data) last[1] += length;
    else all.push([start, length, zero, data]);
  }
  return all;
}

describe("image tools", () => {
  itWhen(HAS_QEMU, NO_QEMU, "say of an image what qemu-img says", async () => {
    const path = folder.file("top");
    const theirs = JSON.parse(qemuImg("info", "--output=json", path)) as {
      readonly [name: string]: unknown;
    };
    const ours = await tools.imageInfo(path);
    assertEquals(
      [ours.format, ours.virtualSize, ours.clusterSize, ours.backingFilename, ours.backingFormat],
      ["format", "virtual-size", "cluster-size", "backing-filename", "backing-filename-format"]
        .map((name) => theirs[name]),
    );
  });

  itWhen(HAS_QEMU, NO_QEMU, "show the map that qemu-img shows", async () => {
    const path = folder.file("top");
    const theirs = JSON.parse(qemuImg("map", "--output=json", path)) as QemuPiece[];
    const ours = (await tools.imageMap(path)).map((piece) => ({
      ...piece,
      zero: piece.isZero,
      data: piece.isData,
    }));
    assertEquals(joined(ours), joined(theirs));
  });

  it("convert there and back, and find both equal", async () => {
    const top = { path: folder.file("top") };
    const raw = { path: folder.file("flat.raw"), format: "raw" } as const;
    const again = { path: folder.file("again"), format: "qcow2" } as const;
    await tools.convertImage(top, raw);
    await tools.convertImage(raw, again, { clusterSize: 4_096 });
    const same = { mismatchAt: undefined, isSizeDifferent: false };
    assertEquals(await tools.compareImages(top, raw), same);
    assertEquals(await tools.compareImages(top, again), same);
    assertEquals((await tools.checkImage(again.path)).problems, []);
    if (HAS_QEMU) {
      qemuImg("compare", top.path, again.path);
      assertEquals(checkByQemu(again.path), { corruptions: 0, leaks: 0 });
    }
    await assertRejects(() => tools.convertImage(top, raw), BlockError, "it already exists");
  });

  for (const compressionType of ["zlib", "zstd"] as const) {
    for (const clusterSize of [512, 65_536, 2 * MIB]) {
      it(`convert into clusters of ${clusterSize}, packed with ${compressionType}`, async () => {
        const from = { path: folder.sparse("holes", 9 * MIB + 700, [[0, MIB], [7 * MIB, 70_000]]) };
        const to = { path: folder.file("packed"), format: "qcow2" } as const;
        await tools.convertImage(from, to, { clusterSize, compressionType, compress: true });
        assertEquals((await tools.compareImages(from, to)).mismatchAt, undefined);
        const { compressedClusters, dataClusters, problems } = await tools.checkImage(to.path);
        assertEquals(problems, []);
        assert(compressedClusters > 0 && dataClusters * clusterSize <= 4 * MIB);
        assertEquals((await tools.imageInfo(to.path)).compressionType, compressionType);
        if (!HAS_QEMU) return;
        qemuImg("compare", "-f", "raw", "-F", "qcow2", from.path, to.path);
        assertEquals(checkByQemu(to.path), { corruptions: 0, leaks: 0 });
      });
    }
  }

  it("compress nothing into raw, and make nothing then", async () => {
    const to = { path: folder.file("packed"), format: "raw" } as const;
    const act = () => tools.convertImage({ path: folder.file("top") }, to, { compress: true });
    await assertRejects(act, BlockError, "raw is never compressed");
    assertEquals(folder.sizeOf("packed"), undefined);
  });

  it("find the first byte that differs, and zeros that one has more", async () => {
    const a = { path: folder.write("a", noise(MIB)) };
    const bytes = noise(MIB);
    bytes[700_000] = bytes[700_000]! ^ 1;
    const b = { path: folder.write("b", bytes) };
    assertEquals((await tools.compareImages(a, b)).mismatchAt, 700_000);
    fs.copyFileSync(a.path, b.path);
    fs.truncateSync(b.path, 2 * MIB);
    const longer = { mismatchAt: undefined, isSizeDifferent: true };
    assertEquals(await tools.compareImages(a, b), longer);
  });

  it("check only what has something to check", async () => {
    const act = () => tools.checkImage(folder.file("base"));
    await assertRejects(act, BlockError, "raw has nothing to be checked");
    const { corruptions, leaks } = await tools.checkImage(folder.file("top"));
    assertEquals([corruptions, leaks], [0, 0]);
  });

  it("make images of both formats, and no raw one over a backing file", async () => {
    await tools.createImage(folder.file("r"), "raw", { size: 1_000 });
    assertEquals((await tools.imageInfo(folder.file("r"))).virtualSize, 1_000);
    await tools.createImage(folder.file("q"), "qcow2", { size: MIB, clusterSize: 512 });
    assertEquals((await tools.imageInfo(folder.file("q"))).clusterSize, 512);
    const over = { size: 1, backingFile: "base", backingFormat: "raw" } as const;
    const act = () => tools.createImage(folder.file("x"), "raw", over);
    await assertRejects(act, BlockError, "raw has no backing file");
  });
});
