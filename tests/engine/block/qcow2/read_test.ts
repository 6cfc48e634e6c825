/** Images that QEMU made, read by us: the bytes are those that QEMU reads. */

import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe } from "@std/testing/bdd";
import { openQcow2 } from "../../../../engine/block/qcow2/chain.ts";
import { ImageFolder, noise, sameBytes } from "../../../support/images.ts";
import { itWhen } from "../../../support/skip.ts";
import { bytesByQemu, bytesOf, HAS_QEMU, mapOf, NO_QEMU, qemuImg, qemuIo } from "./qemu.ts";

const CLUSTER_SIZES = Array.from({ length: 13 }, (_, index) => 2 ** (index + 9));

describe("openQcow2 reading images made by QEMU", () => {
  let folder: ImageFolder;
  beforeEach(() => {
    folder = new ImageFolder();
  });
  afterEach(() => folder.remove());

  async function expectSame(path: string): Promise<void> {
    const node = await openQcow2(path, { readOnly: true });
    const expected = bytesByQemu(folder, path);
    const found = await bytesOf(node);
    assert(sameBytes(found, expected), `${path} reads differently`);
    for (const { offset, length, kind } of await mapOf(node)) {
      if (kind === "data") continue;
      assert(expected.subarray(offset, offset + length).every((byte) => byte === 0));
    }
    await node.close();
  }

  for (const compat of ["0.10", "1.1"]) {
    for (const clusterSize of CLUSTER_SIZES) {
      const name = `reads every byte: compat ${compat}, clusters of ${clusterSize}`;
      itWhen(HAS_QEMU, NO_QEMU, name, async () => {
        const path = folder.file("a.qcow2");
        const options = `compat=${compat},cluster_size=${clusterSize}`;
        const size = Math.max(3 * clusterSize, 200_000);
        qemuImg("create", "-f", "qcow2", "-o", options, path, String(size - size % 512 + 512));
        const zero = compat === "1.1" ? [`write -z ${clusterSize} ${clusterSize}`] : [];
        qemuIo(path, [
          "write -P 1 0 70000",
          "write -P 2 131072 512",
          `write -P 3 ${2 * clusterSize - 512} 1024`,
          ...zero,
          "discard 8192 4096",
        ]);
        await expectSame(path);
      });
    }
  }

  for (const type of ["zlib", "zstd"]) {
    for (const clusterSize of CLUSTER_SIZES) {
      const name = `reads compressed clusters of ${clusterSize}, packed with ${type}`;
      itWhen(HAS_QEMU, NO_QEMU, name, async () => {
        const bytes = new Uint8Array(5 * clusterSize + 512);
        bytes.set(noise(clusterSize), clusterSize);
        for (let index = 0; index < clusterSize; index++) {
          bytes[3 * clusterSize + index] = index & 31;
        }
        bytes.fill(7, 5 * clusterSize);
        const raw = folder.write("a.raw", bytes);
        const path = folder.file("a.qcow2");
        const options = `cluster_size=${clusterSize},compression_type=${type}`;
        qemuImg("convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, raw, path);
        await expectSame(path);
      });
    }
  }

  itWhen(HAS_QEMU, NO_QEMU, "reads a chain of three whose members differ in size", async () => {
    folder.write("base.raw", noise(300_032));
    const make = (name: string, backing: string, format: string, size: string) => {
      const link = ["-b", backing, "-F", format];
      qemuImg("create", "-f", "qcow2", ...link, folder.file(name), size);
    };
    make("mid.qcow2", "base.raw", "raw", "200192");
    qemuIo(folder.file("mid.qcow2"), ["write -P 5 65536 4096", "write -z 0 4096"]);
    make("upper.qcow2", "mid.qcow2", "qcow2", "400384");
    qemuIo(folder.file("upper.qcow2"), ["write -P 6 262144 512", "write -P 9 131072 70000"]);
    make("top.qcow2", "upper.qcow2", "qcow2", "350208");
    qemuIo(folder.file("top.qcow2"), ["write -P 7 1000 2000"]);
    await expectSame(folder.file("top.qcow2"));
    await expectSame(folder.file("mid.qcow2"));
  });

  itWhen(HAS_QEMU, NO_QEMU, "extent looks through the chain, layerExtent at the top", async () => {
    const [base, top] = [folder.file("base.qcow2"), folder.file("top.qcow2")];
    qemuImg("create", "-f", "qcow2", base, "1M");
    qemuIo(base, ["write -P 1 0 65536", "write -z 65536 65536", "write -P 1 131072 65536"]);
    qemuImg("create", "-f", "qcow2", "-b", base, "-F", "qcow2", top, "2M");
    qemuIo(top, ["write -z 131072 65536", "write -P 1 196608 65536"]);
    const node = await openQcow2(top, { readOnly: true });
    assertEquals((await mapOf(node)).map(({ length, kind }) => [length, kind]), [
      [65_536, "data"],
      [65_536, "zero"],
      [65_536, "zero"],
      [65_536, "data"],
      [786_432, "hole"],
      [1_048_576, "hole"],
    ]);
    const own = await node.layerExtent(0, 2 ** 21);
    assertEquals(own, { offset: 0, length: 131_072, kind: "hole", isAllocated: false });
    assertEquals((await node.layerExtent(131_072, 2 ** 20)).isAllocated, true);
    await node.close();
  });

  itWhen(HAS_QEMU, NO_QEMU, "reads preallocated, lazy and snapshotted images", async () => {
    const path = folder.file("a.qcow2");
    const options = "preallocation=metadata,lazy_refcounts=on,refcount_bits=16";
    qemuImg("create", "-f", "qcow2", "-o", options, path, "1M");
    qemuIo(path, ["write -P 1 100000 300000"]);
    qemuImg("snapshot", "-c", "first", path);
    qemuIo(path, ["write -P 2 200000 300000"]);
    await expectSame(path);
  });

  itWhen(HAS_QEMU, NO_QEMU, "a terabyte of holes is mapped without being looked at", async () => {
    const path = folder.file("a.qcow2");
    qemuImg("create", "-f", "qcow2", path, "1T");
    const node = await openQcow2(path, { readOnly: true });
    assertEquals(await mapOf(node), [{ offset: 0, length: 2 ** 40, kind: "hole" }]);
    await node.close();
  });
});
