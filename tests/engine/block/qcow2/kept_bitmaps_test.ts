/** Bitmaps that images keep: read and written as QEMU does it, whoever dies when. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import type { DirtyBitmap } from "../../../../engine/block/dirty_bitmap.ts";
import { BlockError } from "../../../../engine/block/errors.ts";
import { readBitsTable, readKept } from "../../../../engine/block/qcow2/bitmap_bits.ts";
import { createQcow2, formatQcow2 } from "../../../../engine/block/qcow2/create.ts";
import { openQcow2, Qcow2Node } from "../../../../engine/block/qcow2/mod.ts";
import { Qcow2Image } from "../../../../engine/block/qcow2/image.ts";
import { ImageFolder } from "../../../support/images.ts";
import { itWhen } from "../../../support/skip.ts";
import { checkByQemu, HAS_QEMU, NO_QEMU, qemuImg, qemuIo } from "./qemu.ts";
import { bitmapsByQemu, bitsByQemu, HAS_DAEMON, NO_DAEMON } from "./qemu_bitmaps.ts";
import { RecordingNode } from "./recording_node.ts";

const MIB = 1_048_576;
const FINE = { corruptions: 0, leaks: 0 };

function areasOf(bitmap: DirtyBitmap | undefined): [number, number][] {
  return [...bitmap!.areas()].map(({ offset, length }) => [offset, length]);
}

async function opened(path: string, readOnly = false): Promise<Qcow2Node> {
  const node = await openQcow2(path, { readOnly });
  await node.kept.load();
  return node;
}

async function over(file: RecordingNode): Promise<Qcow2Node> {
  const node = await Qcow2Node.over(file, await Qcow2Image.readHeader(file), { isReadOnly: false });
  await node.kept.load();
  return node;
}

describe("bitmaps that an image keeps", () => {
  let folder: ImageFolder;
  beforeEach(() => {
    folder = new ImageFolder();
  });
  afterEach(() => folder.remove());

  itWhen(HAS_DAEMON, NO_DAEMON, "has the bits that QEMU recorded", async () => {
    for (const clusterSize of [4_096, 65_536]) {
      const path = folder.file(`theirs-${clusterSize}.qcow2`);
      qemuImg("create", "-q", "-f", "qcow2", "-o", `cluster_size=${clusterSize}`, path, "100M");
      for (const [name, granularity] of [["fine", 512], ["rough", 1 << 20]] as const) {
        qemuImg("bitmap", "--add", "-g", String(granularity), path, name);
      }
      qemuImg("bitmap", "--add", "--disable", path, "off");
      qemuIo(path, ["write 0 1M", "write 33M 5000", "write 99M 1M", "write 50M 20M"]);
      const node = await opened(path, true);
      const shape = node.bitmaps.list().map(({ name, granularity, isRecording, isReadOnly }) => [
        ...[name, granularity, isRecording, isReadOnly],
      ]);
      assertEquals(shape, [
        ["fine", 512, true, true],
        ["rough", MIB, true, true],
        ["off", clusterSize === 4_096 ? 4_096 : 65_536, false, true],
      ]);
      for (const name of ["fine", "rough", "off"]) {
        const ours = areasOf(node.bitmaps.find(name));
        assertEquals(ours, bitsByQemu(folder, path, name), `${name}, ${clusterSize}`);
      }
      assert(node.bitmaps.find("fine")!.dirtyBytes > 22 * MIB);
      await node.close();
    }
  });

  itWhen(HAS_DAEMON, NO_DAEMON, "writes bits that QEMU reads and goes on with", async () => {
    for (const clusterSize of [512, 65_536]) {
      const path = folder.file(`ours-${clusterSize}.qcow2`);
      await (await createQcow2(path, { size: 30 * MIB, clusterSize })).close();
      const node = await opened(path);
      const add = (name: string, granularity: number, isDisabled = false) =>
        node.bitmaps.create({ name, granularity, isDisabled, isPersistent: true });
      add("all", 512).set(0, 30 * MIB);
      add("fine", 512);
      add("off", 4_096, true).set(5 * MIB, 1);
      add("none", 4_096, true);
      for (const at of [0, 7 * MIB + 77, 30 * MIB - 1]) await node.write(at, new Uint8Array(1));
      const expected = node.bitmaps.list().map((map) => [map.name, areasOf(map)] as const);
      await node.close();
      assertEquals(bitmapsByQemu(path), [
        { flags: [], name: "none", granularity: 4_096 },
        { flags: [], name: "off", granularity: 4_096 },
        { flags: ["auto"], name: "fine", granularity: 512 },
        { flags: ["auto"], name: "all", granularity: 512 },
      ]);
      assertEquals(checkByQemu(path), FINE);
      for (const [name, areas] of expected) {
        assertEquals(bitsByQemu(folder, path, name!), areas, `${name}, ${clusterSize}`);
      }
      qemuImg("bitmap", "--merge", "off", path, "fine");
      qemuImg("bitmap", "--remove", path, "all");
      assertEquals(checkByQemu(path), FINE);
      const again = await opened(path, true);
      assertEquals(again.bitmaps.list().map(({ name }) => name), ["none", "off", "fine"]);
      assert(again.bitmaps.find("fine")!.isDirty(5 * MIB));
      await again.close();
    }
  });

  itWhen(
    HAS_QEMU,
    NO_QEMU,
    "is in use while it is open, and inconsistent if nobody closed it",
    async () => {
      const path = folder.file("open.qcow2");
      await (await createQcow2(path, { size: MIB })).close();
      for (const name of ["b0", "b1"]) qemuImg("bitmap", "--add", path, name);
      const node = await openQcow2(path);
      assertEquals(bitmapsByQemu(path).map(({ flags }) => flags), [["auto"], ["auto"]]);
      await node.write(0, new Uint8Array(1));
      assertEquals(bitmapsByQemu(path).map(({ flags }) => flags), [["in-use", "auto"], [
        ...["in-use", "auto"],
      ]]);
      const left = folder.write("left.qcow2", folder.read("open.qcow2"));
      await node.close();
      assertEquals(bitmapsByQemu(path).map(({ flags }) => flags), [["auto"], ["auto"]]);
      assertEquals(checkByQemu(left).corruptions, 0);
      const lost = await opened(left);
      const shape = lost.bitmaps.list().map((
        map,
      ) => [map.name, map.isInconsistent, map.isRecording]);
      assertEquals(shape, [["b0", true, false], ["b1", true, false]]);
      await assertRejects(
        () => lost.truncate(2 * MIB),
        BlockError,
        "Bitmap 'b0' is inconsistent and cannot be used",
      );
      lost.bitmaps.remove(lost.bitmaps.find("b0")!);
      await lost.kept.dropGone();
      await lost.close();
      assertEquals(bitmapsByQemu(left), [
        { flags: ["in-use", "auto"], name: "b1", granularity: 65_536 },
      ]);
      qemuImg("bitmap", "--remove", left, "b1");
      assertEquals(checkByQemu(left).corruptions, 0);
    },
  );

  it("gives up all bitmaps that somebody wrote past", async () => {
    const path = folder.file("past.qcow2");
    await (await createQcow2(path, { size: MIB })).close();
    const node = await opened(path);
    node.bitmaps.create({ name: "b0", isPersistent: true });
    await node.close();
    const bytes = folder.read("past.qcow2");
    assertEquals(bytes[95], 1);
    bytes[95] = 0;
    const past = await opened(folder.write("past.qcow2", bytes));
    assertEquals(past.bitmaps.list(), []);
    past.bitmaps.create({ name: "b1", isPersistent: true });
    await past.close();
    const again = await opened(path, true);
    assertEquals(again.bitmaps.list().map(({ name }) => name), ["b1"]);
    await again.close();
  });

  itWhen(HAS_DAEMON, NO_DAEMON, "follows the size of the image", async () => {
    const path = folder.file("size.qcow2");
    await (await createQcow2(path, { size: 10 * MIB, clusterSize: 512 })).close();
    const node = await opened(path);
    const map = node.bitmaps.create({ name: "b0", granularity: 512, isPersistent: true });
    for (const at of [0, 3 * MIB, 8 * MIB]) await node.write(at, new Uint8Array(512));
    await node.truncate(40 * MIB);
    assertEquals(map.dirtyBytes, 1_536);
    await node.write(39 * MIB, new Uint8Array(512));
    await node.truncate(4 * MIB);
    const full = { name: "full", granularity: 65_536, isPersistent: true, isDisabled: true };
    node.bitmaps.create(full).set(0, 4 * MIB);
    await node.close();
    assertEquals(bitsByQemu(folder, path, "b0"), [[0, 512], [3 * MIB, 512]]);
    qemuImg("resize", "-q", path, "9M");
    const again = await opened(path, true);
    assertEquals(areasOf(again.bitmaps.find("b0")), [[0, 512], [3 * MIB, 512]]);
    assertEquals(areasOf(again.bitmaps.find("full")), [[0, 4 * MIB]]);
    await again.close();
  });

  it("takes no place for clusters of bits that are all the same", async () => {
    const file = new RecordingNode();
    await formatQcow2(file, { size: 10 * MIB, clusterSize: 512 });
    const node = await over(file);
    node.bitmaps.create({ name: "b0", granularity: 512, isPersistent: true }).set(0, 6 * MIB + 1);
    await node.close();
    const image = await Qcow2Image.load(file, await Qcow2Image.readHeader(file));
    const [entry] = await readKept(image);
    const table = await readBitsTable(image, entry!);
    // A cluster has the bits of 2 MiB.
    assertEquals(table.map(({ host, isOnes }) => isOnes ? "ones" : host === 0 ? "zeros" : "bits"), [
      ...["ones", "ones", "ones", "bits", "zeros"],
    ]);
    const again = await over(file);
    assertEquals(areasOf(again.bitmaps.find("b0")), [[0, 6 * MIB + 512]]);
  });

  it("keeps what was written before and after a job took the bitmap", async () => {
    const path = folder.file("taken.qcow2");
    await (await createQcow2(path, { size: MIB })).close();
    const node = await opened(path);
    const map = node.bitmaps.create({ name: "b0", granularity: 512, isPersistent: true });
    await node.write(0, new Uint8Array(1));
    node.bitmaps.freeze(map);
    await node.write(4_096, new Uint8Array(1));
    await node.close();
    const again = await opened(path, true);
    const found = again.bitmaps.find("b0")!;
    assertEquals([areasOf(found), found.isRecording], [[[0, 512], [4_096, 512]], true]);
    await again.close();
  });

  it("names why an image cannot keep another one", async () => {
    const make = async (name: string, size: number, compat: "0.10" | "1.1") => {
      await (await createQcow2(folder.file(name), { size, compat })).close();
      return await opened(folder.file(name));
    };
    const old = await make("old.qcow2", MIB, "0.10");
    assertEquals(old.kept.whyNot("b", 512), "Cannot store dirty bitmaps in qcow2 v2 files");
    await old.close();
    const huge = await make("huge.qcow2", 4_096 * 2 ** 30, "1.1");
    assertEquals(
      huge.kept.whyNot("b", 512),
      "Too much space will be occupied by the bitmap. Use larger granularity",
    );
    assertEquals(huge.kept.whyNot("b", 1_024), undefined);
    await huge.close();
  });

  it("refuses a new bitmap in an image that is read-only only when it is closed", async () => {
    const path = folder.file("ro.qcow2");
    await (await createQcow2(path, { size: MIB })).close();
    const node = await opened(path, true);
    node.bitmaps.create({ name: "b0", isPersistent: true });
    const error = await assertRejects(() => node.close(), BlockError);
    assertEquals(error.code, "EROFS");
  });
});
