/** Compressed clusters that we write: QEMU reads them, and finds every count right. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { BlockError } from "../../../../engine/block/errors.ts";
import { FileNode } from "../../../../engine/block/file_node.ts";
import { openQcow2 } from "../../../../engine/block/qcow2/chain.ts";
import { checkQcow2 } from "../../../../engine/block/qcow2/check.ts";
import {
  createQcow2,
  formatQcow2,
  type Qcow2CreateOptions,
} from "../../../../engine/block/qcow2/create.ts";
import { Qcow2Image } from "../../../../engine/block/qcow2/image.ts";
import { Qcow2Node } from "../../../../engine/block/qcow2/qcow2_node.ts";
import { Refcounts } from "../../../../engine/block/qcow2/refcounts.ts";
import { FaultyNode } from "../../../support/faulty_node.ts";
import { ImageFolder, sameBytes } from "../../../support/images.ts";
import { itWhen } from "../../../support/skip.ts";
import { bytesByQemu, checkByQemu, HAS_QEMU, NO_QEMU, qemuImg, qemuIo } from "./qemu.ts";

const CLUSTER_SIZES = Array.from({ length: 13 }, (_, index) => 2 ** (index + 9));

/** Bytes that do not pack. */
function random(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 1;
  for (let index = 0; index < length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

/** Clusters in turn: one that packs well, one that packs a little, one that does not. */
function mixed(clusterSize: number, count: number): Uint8Array {
  const bytes = new Uint8Array(clusterSize * count);
  const noise = random(clusterSize);
  for (let index = 0; index < count; index++) {
    const cluster = bytes.subarray(index * clusterSize, (index + 1) * clusterSize);
    if (index % 3 === 0) cluster.fill(index + 1);
    else cluster.set(noise);
    if (index % 3 === 1) cluster.fill(index, 0, clusterSize / 2);
  }
  return bytes;
}

describe("Qcow2Node.writeCompressed()", () => {
  let folder: ImageFolder;
  beforeEach(() => {
    folder = new ImageFolder();
  });
  afterEach(() => folder.remove());

  async function make(options: Qcow2CreateOptions) {
    const path = folder.file("a.qcow2");
    return { path, node: await createQcow2(path, options) };
  }

  async function expectBytes(path: string, expected: Uint8Array): Promise<void> {
    const node = await openQcow2(path, { readOnly: true });
    const found = new Uint8Array(node.size);
    await node.read(0, found);
    await node.close();
    assert(sameBytes(found, expected), "we read other bytes");
    assert(sameBytes(bytesByQemu(folder, path), expected), "QEMU reads other bytes");
    assertEquals(checkByQemu(path), { corruptions: 0, leaks: 0 });
  }

  for (const compressionType of ["zlib", "zstd"] as const) {
    for (const clusterSize of CLUSTER_SIZES) {
      const name = `is read by QEMU: ${compressionType}, clusters of ${clusterSize}`;
      itWhen(HAS_QEMU, NO_QEMU, name, async () => {
        const count = clusterSize > 262_144 ? 4 : 13;
        const expected = mixed(clusterSize, count);
        const { path, node } = await make({
          size: expected.byteLength,
          clusterSize,
          compressionType,
        });
        await node.writeCompressed(0, expected.subarray(0, 2 * clusterSize));
        await node.writeCompressed(2 * clusterSize, expected.subarray(2 * clusterSize));
        await node.close();
        await expectBytes(path, expected);
        const { compressedClusters, dataClusters } = await checkQcow2(path);
        assertEquals(dataClusters, count);
        assertEquals(compressedClusters, Math.ceil(count / 3) + Math.ceil((count - 1) / 3));
      });
    }
  }

  it("lets several of them share a cluster of the file, and reach across two", async () => {
    const clusterSize = 65_536;
    const { path, node } = await make({ size: 40 * clusterSize });
    const bytes = random(40 * clusterSize);
    for (let index = 0; index < 40; index++) {
      bytes.fill(1, index * clusterSize, index * clusterSize + 49_000);
    }
    await node.writeCompressed(0, bytes);
    await node.close();
    const file = await FileNode.open(path, { readOnly: true });
    const image = await Qcow2Image.load(file, await Qcow2Image.readHeader(file));
    const refcounts = await Refcounts.load(image);
    const counts: number[] = [];
    for (let cluster = 0; cluster * clusterSize < file.size; cluster++) {
      counts.push(await refcounts.countOf(cluster));
    }
    await file.close();
    const packed = 40 * 16_600;
    assert(file.size < packed + 6 * clusterSize, `the file has ${file.size} bytes`);
    assert(counts.filter((count) => count === 5).length > 5, `counts are ${counts}`);
    assertEquals((await checkQcow2(path)).corruptions, 0);
    assertEquals((await checkQcow2(path)).leaks, 0);
  });

  for (const refcountBits of [1, 2, 64]) {
    const name = `shares no cluster more often than a count of ${refcountBits} bits holds`;
    itWhen(HAS_QEMU, NO_QEMU, name, async () => {
      const clusterSize = 4_096;
      const { path, node } = await make({ size: 30 * clusterSize, clusterSize, refcountBits });
      const bytes = new Uint8Array(30 * clusterSize).fill(5);
      await node.writeCompressed(0, bytes);
      await node.close();
      await expectBytes(path, bytes);
    });
  }

  itWhen(HAS_QEMU, NO_QEMU, "goes on behind what an earlier writer packed", async () => {
    const raw = folder.write("a.raw", mixed(65_536, 7));
    const path = folder.file("a.qcow2");
    qemuImg("convert", "-c", "-f", "raw", "-O", "qcow2", raw, path);
    qemuImg("resize", "-q", path, String(14 * 65_536));
    const node = await openQcow2(path);
    const bytes = mixed(65_536, 7);
    await node.writeCompressed(7 * 65_536, bytes);
    await node.close();
    await expectBytes(path, new Uint8Array([...bytes, ...bytes]));
    qemuIo(path, ["write -P 9 0 900000"]);
    assertEquals(checkByQemu(path), { corruptions: 0, leaks: 0 });
  });

  itWhen(HAS_QEMU, NO_QEMU, "gives back what is overwritten, zeroed or discarded", async () => {
    const clusterSize = 4_096;
    const { path, node } = await make({ size: 64 * clusterSize, clusterSize });
    const expected = mixed(clusterSize, 64);
    const put = (offset: number, bytes: Uint8Array) => {
      expected.set(bytes, offset);
      return node.writeCompressed(offset, bytes);
    };
    for (let index = 0; index < 64; index += 3) {
      await put(
        index * clusterSize,
        expected.slice(index * clusterSize, (index + 1) * clusterSize),
      );
    }
    for (let round = 1; round < 6; round++) {
      const fill = new Uint8Array(clusterSize).fill(round);
      for (let index = 0; index < 64; index += 3) await put(index * clusterSize, fill);
      await node.flush();
    }
    await node.write(100, new Uint8Array(9_000).fill(77));
    expected.fill(77, 100, 9_100);
    await node.zero(9 * clusterSize, 4 * clusterSize);
    await node.discard(30 * clusterSize, 4 * clusterSize);
    const shown = new Uint8Array(node.size);
    await node.read(0, shown);
    await node.close();
    await expectBytes(path, shown);
    assert(sameBytes(shown.subarray(0, 9_100), expected.subarray(0, 9_100)));
    assert(shown.subarray(9 * clusterSize, 13 * clusterSize).every((byte) => byte === 0));
  });

  it("refuses what has a cluster of its own with EIO, and writes nothing of the rest", async () => {
    const { path, node } = await make({ size: 4 * 65_536 });
    await node.write(65_536 + 5, new Uint8Array([1]));
    const before = (await checkQcow2Later(node, path)).dataClusters;
    const failure = await assertRejects(
      () => node.writeCompressed(0, new Uint8Array(3 * 65_536)),
      BlockError,
      `Cannot write "${path}" at 65536 compressed: a cluster is allocated there`,
    );
    assertEquals(failure.code, "EIO");
    await node.close();
    const after = await checkQcow2(path);
    assertEquals([before, after.dataClusters, after.leaks, after.corruptions], [1, 1, 0, 0]);
  });

  async function checkQcow2Later(node: Qcow2Node, path: string) {
    await node.flush();
    return await checkQcow2(path);
  }

  it("takes whole clusters and the last part of the image, and refuses others", async () => {
    const { path, node } = await make({ size: 65_536 + 1_024 });
    for (const [offset, length] of [[0, 512], [512, 65_536], [0, 65_536 + 100]] as const) {
      const act = () => node.writeCompressed(offset, new Uint8Array(length));
      const failure = await assertRejects(act, BlockError, "are no whole clusters");
      assertEquals(failure.code, "EINVAL");
    }
    await node.writeCompressed(65_536, new Uint8Array(1_000).fill(3));
    const found = new Uint8Array(1_024);
    await node.read(65_536, found);
    await node.close();
    assertEquals([found[0], found[999], found[1_000], found[1_023]], [3, 3, 0, 0]);
    assertEquals((await checkQcow2(path)).compressedClusters, 1);
  });

  it("changes nothing when a write fails, and works when it is tried again", async () => {
    const path = folder.file("a.qcow2");
    let [count, failing] = [0, 0];
    const file = await FileNode.open(path, { create: "exclusive" });
    const rule = (site: string) => site === "write" && ++count === failing ? "EIO" : undefined;
    const faulty = new FaultyNode(file, rule);
    await formatQcow2(faulty, { size: 8 * 65_536 });
    const header = await Qcow2Image.readHeader(faulty);
    const node = await Qcow2Node.over(faulty, header, { isReadOnly: false });
    const bytes = mixed(65_536, 8);
    for (let failed = 1; failed <= 5; failed++) {
      [count, failing] = [0, failed];
      await assertRejects(() => node.writeCompressed(0, bytes), BlockError);
      const extent = await node.layerExtent(0, node.size);
      assertEquals([extent.isAllocated, extent.length], [false, 8 * 65_536]);
    }
    failing = 0;
    await node.writeCompressed(0, bytes);
    await node.close();
    const { corruptions, leaks, compressedClusters } = await checkQcow2(path);
    assertEquals([corruptions, leaks, compressedClusters], [0, 0, 6]);
    await expectOwn(path, bytes);
  });

  it("packs in this thread where no other can be started", async () => {
    const { Worker: real } = globalThis;
    globalThis.Worker = class {
      constructor() {
        throw new Error("no threads here");
      }
    } as unknown as typeof Worker;
    try {
      await expectPacked();
    } finally {
      globalThis.Worker = real;
    }
  });

  it("packs in this thread what was with a thread that died", async () => {
    const { Worker: real } = globalThis;
    globalThis.Worker = class {
      onerror: ((event: { preventDefault(): void }) => void) | null = null;
      postMessage() {
        queueMicrotask(() => this.onerror?.({ preventDefault() {} }));
      }
      terminate() {}
    } as unknown as typeof Worker;
    try {
      await expectPacked();
    } finally {
      globalThis.Worker = real;
    }
  });

  /** Packs one cluster into a new image, whoever does it. */
  async function expectPacked(): Promise<void> {
    const { path, node } = await make({ size: 8 * 65_536 });
    const bytes = mixed(65_536, 8);
    await node.writeCompressed(0, bytes);
    await node.close();
    await expectOwn(path, bytes);
  }

  async function expectOwn(path: string, expected: Uint8Array): Promise<void> {
    const node = await openQcow2(path, { readOnly: true });
    const found = new Uint8Array(node.size);
    await node.read(0, found);
    await node.close();
    assert(sameBytes(found, expected));
    assertEquals((await checkQcow2(path)).compressedClusters, 6);
  }
});
