/** The same seeded changes through our node, through a model, and through qemu-io. */

import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { openQcow2 } from "../../../../engine/block/qcow2/chain.ts";
import { createQcow2, type Qcow2CreateOptions } from "../../../../engine/block/qcow2/create.ts";
import { ImageFolder, noise, sameBytes } from "../../../support/images.ts";
import { itWhen } from "../../../support/skip.ts";
import { applyToModel, applyToNode, asQemuIo, changesFrom } from "./changes.ts";
import { bytesOf, checkByQemu, HAS_QEMU, NO_QEMU, qemuImg, qemuIo } from "./qemu.ts";

describe("Qcow2Node writing", () => {
  let folder: ImageFolder;
  beforeEach(() => {
    folder = new ImageFolder();
  });
  afterEach(() => folder.remove());

  async function expectSound(path: string, model: Uint8Array): Promise<void> {
    const node = await openQcow2(path, { readOnly: true });
    assert(sameBytes(await bytesOf(node), model), "reads differently from the model");
    await node.close();
    if (!HAS_QEMU) return;
    assertEquals(checkByQemu(path), { corruptions: 0, leaks: 0 });
    const raw = folder.write("model.raw", model);
    qemuImg("compare", "-f", "qcow2", "-F", "raw", path, raw);
  }

  const shapes: readonly (readonly [string, Partial<Qcow2CreateOptions>])[] = [
    ...Array.from({ length: 13 }, (_, index) => 2 ** (index + 9)).map((clusterSize) =>
      [`clusters of ${clusterSize}`, { clusterSize }] as const
    ),
    ["compat 0.10", { compat: "0.10", clusterSize: 4_096 }],
    ["preallocation", { preallocation: "metadata", clusterSize: 4_096 }],
    ["lazy refcounts", { lazyRefcounts: true, clusterSize: 1_024 }],
    ...[1, 2, 4, 8, 32, 64].map((refcountBits) =>
      [`refcounts of ${refcountBits} bits`, { refcountBits, clusterSize: 512 }] as const
    ),
  ];
  for (const [name, shape] of shapes) {
    it(`keeps what was written, and QEMU finds no fault: ${name}`, async () => {
      const size = 3_000_320;
      const path = folder.file("a.qcow2");
      const node = await createQcow2(path, { size, ...shape });
      const model = new Uint8Array(size);
      let count = 0;
      for (const change of changesFrom(7 + (shape.clusterSize ?? 1), 60, size)) {
        await applyToNode(node, change);
        applyToModel(model, change);
        if (++count % 20 === 0) await node.flush();
      }
      assert(sameBytes(await bytesOf(node), model), "reads differently before closing");
      await node.close();
      await expectSound(path, model);
    });
  }

  for (const compat of ["0.10", "1.1"] as const) {
    for (const clusterSize of [512, 4_096, 65_536]) {
      const name = `does over a chain what qemu-io does: ${compat}, clusters of ${clusterSize}`;
      itWhen(HAS_QEMU, NO_QEMU, name, async () => {
        folder.write("base.raw", noise(1_000_448));
        const link = { backingFile: "base.raw", backingFormat: "raw" } as const;
        const mid = await createQcow2(folder.file("mid.qcow2"), { size: 900_096, ...link });
        for (const change of changesFrom(3, 15, 900_096)) await applyToNode(mid, change);
        await mid.close();
        const size = 1_500_672;
        const top = { size, clusterSize, compat, backingFile: "mid.qcow2" };
        const ours = await createQcow2(folder.file("ours.qcow2"), {
          ...top,
          backingFormat: "qcow2",
        });
        const options = `compat=${compat},cluster_size=${clusterSize}`;
        const backing = ["-b", "mid.qcow2", "-F", "qcow2"];
        const theirs = folder.file("theirs.qcow2");
        qemuImg("create", "-f", "qcow2", "-o", options, ...backing, theirs, String(size));
        const changes = changesFrom(clusterSize, 80, size);
        for (const change of changes) await applyToNode(ours, change);
        await ours.close();
        qemuIo(theirs, changes.map(asQemuIo));
        assertEquals(checkByQemu(folder.file("ours.qcow2")), { corruptions: 0, leaks: 0 });
        qemuImg("compare", "-f", "qcow2", "-F", "qcow2", folder.file("ours.qcow2"), theirs);
        // And on: what QEMU left is changed by us.
        const again = await openQcow2(theirs);
        const model = await bytesOf(again);
        for (const change of changesFrom(clusterSize + 1, 40, size)) {
          await applyToNode(again, change);
          applyToModel(model, change);
        }
        await again.close();
        await expectSound(theirs, model);
      });
    }
  }

  itWhen(HAS_QEMU, NO_QEMU, "replaces compressed clusters and spares snapshots", async () => {
    const model = new Uint8Array(655_360).fill(3);
    const path = folder.file("a.qcow2");
    const options = ["-O", "qcow2", "-o", "cluster_size=4096"];
    qemuImg("convert", "-c", "-f", "raw", ...options, folder.write("a.raw", model), path);
    qemuImg("snapshot", "-c", "first", path);
    const node = await openQcow2(path);
    const before = model.slice();
    for (const change of changesFrom(99, 60, model.byteLength)) {
      await applyToNode(node, change);
      applyToModel(model, change);
    }
    await node.close();
    await expectSound(path, model);
    qemuImg("snapshot", "-a", "first", path);
    await expectSound(path, before);
  });

  for (const compat of ["0.10", "1.1"] as const) {
    it(`hides by zeros what a backing file holds that is not open: ${compat}`, async () => {
      const size = 262_144;
      const below = folder.write("below.raw", noise(size));
      const path = folder.file("over.qcow2");
      await (await createQcow2(path, {
        ...{ size, compat, backingFile: "below.raw", backingFormat: "raw" },
      })).close();
      const alone = await openQcow2(path, { withoutBacking: true });
      await alone.zero(65_536, 131_072);
      await alone.close();
      const model = noise(size);
      model.fill(0, 65_536, 196_608);
      await expectSound(path, model);
      assert(sameBytes(folder.read("below.raw"), noise(size)), below);
    });
  }

  it("keeps overlapping and neighbouring writes apart when they come at once", async () => {
    const size = 1_000_448;
    const path = folder.file("a.qcow2");
    const node = await createQcow2(path, { size, clusterSize: 4_096 });
    const model = new Uint8Array(size);
    const work: Promise<void>[] = [];
    for (let at = 0; at < size; at += 1_000) {
      const bytes = noise(Math.min(1_000, size - at), at + 1);
      model.set(bytes, at);
      work.push(node.write(at, bytes));
      if (at % 50_000 === 0) work.push(node.flush());
      if (at % 70_000 === 0) work.push(node.read(0, new Uint8Array(100_000)));
    }
    await Promise.all(work);
    await node.close();
    await expectSound(path, model);
  });

  it("costs little for a terabyte of zeros, and says that it is empty", async () => {
    const path = folder.file("a.qcow2");
    const node = await createQcow2(path, { size: 2 ** 40 });
    await node.zero(0, 2 ** 40);
    assertEquals(await node.extent(0, 2 ** 40), { offset: 0, length: 2 ** 40, kind: "hole" });
    await node.write(2 ** 39, noise(10));
    await node.close();
    assert(folder.read("a.qcow2").byteLength < 1_048_576);
    if (HAS_QEMU) assertEquals(checkByQemu(path), { corruptions: 0, leaks: 0 });
  });
});
