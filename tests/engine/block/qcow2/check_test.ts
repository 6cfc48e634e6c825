/** Leaks and corruptions: our counts are those of `qemu-img check`. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { BlockError } from "../../../../engine/block/errors.ts";
import { checkQcow2 } from "../../../../engine/block/qcow2/check.ts";
import { openQcow2 } from "../../../../engine/block/qcow2/chain.ts";
import { createQcow2 } from "../../../../engine/block/qcow2/create.ts";
import { ImageFolder, noise } from "../../../support/images.ts";
import { itWhen } from "../../../support/skip.ts";
import { checkByQemu, HAS_QEMU, NO_QEMU, qemuImg, qemuIo } from "./qemu.ts";
import { numbersFrom } from "./seeded.ts";

const FIXTURES = fileURLToPath(new URL("./fixtures/", import.meta.url));
const NAMES = ["v2_512", "v3_1k", "compressed", "overlay", "snapshot"];

async function countsOf(path: string) {
  const { corruptions, leaks } = await checkQcow2(path);
  return { corruptions, leaks };
}

describe("checkQcow2", () => {
  let folder: ImageFolder;
  beforeEach(() => {
    folder = new ImageFolder();
  });
  afterEach(() => folder.remove());

  /** An image of one cluster of data, with a change of its bytes. */
  async function changed(change: (bytes: Uint8Array) => void): Promise<string> {
    const path = folder.file("a.qcow2");
    const node = await createQcow2(path, { size: 65_536, clusterSize: 4_096 });
    await node.write(0, noise(4_096));
    await node.close();
    const bytes = folder.read("a.qcow2");
    change(bytes);
    return folder.write("a.qcow2", bytes);
  }

  for (const name of NAMES) {
    it(`finds no fault in ${name}.qcow2`, async () => {
      const found = await checkQcow2(`${FIXTURES}${name}.qcow2`);
      assertEquals([found.corruptions, found.leaks, found.problems], [0, 0, []]);
      assertEquals(found.compressedClusters > 0, name === "compressed");
    });
  }

  it("calls a count that is too high a leak, and lowers it", async () => {
    await changed(() => {});
    const intact = folder.read("a.qcow2");
    const cluster = intact.byteLength / 4_096;
    const bytes = new Uint8Array(intact.byteLength + 4_096);
    bytes.set(intact);
    bytes[2 * 4_096 + 2 * cluster + 1] = 1;
    const path = folder.write("a.qcow2", bytes);
    const found = await checkQcow2(path);
    assertEquals([found.corruptions, found.leaks], [0, 1]);
    const words = `the cluster at ${cluster * 4_096} is used 0 times, and its count is 1`;
    assertEquals(found.problems, [words]);
    if (HAS_QEMU) assertEquals(checkByQemu(path), { corruptions: 0, leaks: 1 });
    await checkQcow2(path, "leaks");
    assertEquals(await countsOf(path), { corruptions: 0, leaks: 0 });
    if (HAS_QEMU) assertEquals(checkByQemu(path), { corruptions: 0, leaks: 0 });
  });

  it("calls a count that is too low a corruption, and raises it", async () => {
    const path = await changed((bytes) => bytes.fill(0, 2 * 4_096, 3 * 4_096));
    const found = await countsOf(path);
    assert(found.corruptions >= 6, String(found.corruptions));
    if (HAS_QEMU) assertEquals(checkByQemu(path), found);
    assertEquals((await checkQcow2(path, "all")).corruptions, 0);
    if (HAS_QEMU) assertEquals(checkByQemu(path), { corruptions: 0, leaks: 0 });
  });

  it("makes a new block when the table has lost it", async () => {
    const path = await changed((bytes) => bytes.fill(0, 4_096, 4_096 + 8));
    assertEquals((await checkQcow2(path, "all")).corruptions, 0);
    assertEquals(await countsOf(path), { corruptions: 0, leaks: 0 });
    if (HAS_QEMU) assertEquals(checkByQemu(path), { corruptions: 0, leaks: 0 });
  });

  itWhen(HAS_QEMU, NO_QEMU, "agrees with QEMU on images whose counts were damaged", async () => {
    const next = numbersFrom(5);
    folder.write("v3_1k.qcow2", readFileSync(`${FIXTURES}v3_1k.qcow2`));
    for (const name of NAMES) {
      const intact = readFileSync(`${FIXTURES}${name}.qcow2`);
      const header = new DataView(intact.buffer, intact.byteOffset);
      const table = Number(header.getBigUint64(48));
      const block = Number(header.getBigUint64(table));
      const path = folder.file("damaged.qcow2");
      for (let round = 0; round < 12; round++) {
        const bytes = new Uint8Array(intact);
        for (let count = 0; count < 3; count++) bytes[block + next(24)] = next(3);
        folder.write("damaged.qcow2", bytes);
        assertEquals(await countsOf(path), checkByQemu(path), `${name}, round ${round}`);
      }
    }
  });

  itWhen(HAS_QEMU, NO_QEMU, "counts bitmaps, snapshots and compressed clusters", async () => {
    const path = folder.file("a.qcow2");
    qemuImg("create", "-f", "qcow2", "-o", "cluster_size=4096", path, "1M");
    qemuImg("bitmap", "--add", path, "b0");
    qemuIo(path, ["write -P 1 0 300000", "write -c -P 2 405504 4096"]);
    qemuImg("snapshot", "-c", "first", path);
    qemuIo(path, ["write -P 3 100000 300000"]);
    assertEquals(await countsOf(path), { corruptions: 0, leaks: 0 });
    const node = await openQcow2(path);
    await node.write(5, noise(5));
    await node.close();
    assertEquals((await countsOf(path)).corruptions, 0);
    assertEquals(checkByQemu(path), await countsOf(path));
  });

  itWhen(HAS_QEMU, NO_QEMU, "a dirty image is counted again before it is written", async () => {
    const path = folder.file("a.qcow2");
    const options = "lazy_refcounts=on,cluster_size=4096";
    qemuImg("create", "-f", "qcow2", "-o", options, path, "1M");
    const commands = ["-c", "write -P 1 0 300000", "-c", "flush", "-c", "sigraise 9"];
    try {
      execFileSync("qemu-io", ["-f", "qcow2", ...commands, path], { stdio: "pipe" });
    } catch {
      // It killed itself, as it was told.
    }
    assert((await checkQcow2(path)).corruptions > 0, "the image is not dirty");
    const node = await openQcow2(path);
    assertEquals(node.header.incompatible, 0n);
    await node.write(200_000, noise(300_000));
    await node.close();
    assertEquals(checkByQemu(path), { corruptions: 0, leaks: 0 });
  });

  it("says what cannot be, and does not walk in rings", async () => {
    const path = await changed((bytes) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      const l1 = Number(view.getBigUint64(40));
      const l2 = Number(view.getBigUint64(l1) & 0xff_ffff_ffff_fe00n);
      // The L2 table names itself, and a place far behind the end.
      view.setBigUint64(l2, BigInt(l2) | (1n << 63n));
      view.setBigUint64(l2 + 8, 1n << 50n);
      view.setBigUint64(l2 + 16, 0x1200n);
    });
    const found = await checkQcow2(path);
    assert(found.corruptions >= 3, found.problems.join("\n"));
    assert(found.problems.some((text) => text.includes("behind the end of the file")));
    const node = await openQcow2(path);
    const error = await assertRejects(() => node.write(0, noise(10)), BlockError);
    assertEquals(error.code, "EIO");
    await node.close();
  });
});
