/** Sizes that change between writes, and ranges that are let go. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { BlockError } from "../../../../engine/block/errors.ts";
import { openQcow2 } from "../../../../engine/block/qcow2/chain.ts";
import { createQcow2 } from "../../../../engine/block/qcow2/create.ts";
import { ImageFolder, noise, sameBytes } from "../../../support/images.ts";
import { itWhen } from "../../../support/skip.ts";
import { ALL_VERBS, applyToNode, asQemuIo, changesFrom } from "./changes.ts";
import { bytesOf, checkByQemu, HAS_QEMU, NO_QEMU, qemuImg, qemuIo } from "./qemu.ts";

const SOUND = { corruptions: 0, leaks: 0 };

describe("Qcow2Node resizing and discarding", () => {
  let folder: ImageFolder;
  beforeEach(() => {
    folder = new ImageFolder();
  });
  afterEach(() => folder.remove());

  for (const clusterSize of [512, 4_096, 65_536]) {
    for (const hasBacking of [false, true]) {
      const below = hasBacking ? "over a backing file" : "alone";
      const name = `does ${below} what qemu-io does, clusters of ${clusterSize}`;
      itWhen(HAS_QEMU, NO_QEMU, name, async () => {
        folder.write("base.raw", noise(700_416));
        const size = 500_224;
        const theirs = folder.file("theirs.qcow2");
        const options = ["-o", `cluster_size=${clusterSize}`];
        const link = hasBacking ? ["-b", "base.raw", "-F", "raw"] : [];
        qemuImg("create", "-f", "qcow2", ...options, ...link, theirs, String(size));
        const backing = { backingFile: "base.raw", backingFormat: "raw" } as const;
        const node = await createQcow2(folder.file("ours.qcow2"), {
          size,
          clusterSize,
          ...(hasBacking ? backing : {}),
        });
        const changes = changesFrom(clusterSize + (hasBacking ? 1 : 0), 60, size, ALL_VERBS);
        for (const change of changes) await applyToNode(node, change);
        await node.close();
        qemuIo(theirs, changes.map(asQemuIo));
        assertEquals(checkByQemu(folder.file("ours.qcow2")), SOUND);
        const [mine, other] = [
          await openQcow2(folder.file("ours.qcow2"), { readOnly: true }),
          await openQcow2(theirs, { readOnly: true }),
        ];
        assertEquals(mine.size, other.size);
        assert(sameBytes(await bytesOf(mine), await bytesOf(other)), "the bytes differ");
        await mine.close();
        await other.close();
        qemuImg("compare", folder.file("ours.qcow2"), theirs);
      });
    }
  }

  it("growing shows zeros, not the backing file nor what was there before", async () => {
    folder.write("base.raw", noise(20_000));
    const node = await createQcow2(folder.file("a.qcow2"), {
      size: 10_000,
      clusterSize: 4_096,
      backingFile: "base.raw",
      backingFormat: "raw",
    });
    await node.truncate(30_000);
    await node.write(10_000, noise(100, 2));
    await node.truncate(10_050);
    await node.truncate(15_000);
    const bytes = await bytesOf(node);
    assert(sameBytes(bytes.subarray(0, 10_000), noise(20_000).subarray(0, 10_000)));
    assert(sameBytes(bytes.subarray(10_000, 10_050), noise(100, 2).subarray(0, 50)));
    assert(bytes.subarray(10_050).every((byte) => byte === 0));
    await node.close();
  });

  it("discarding over a backing file shows zeros, also where nothing was written", async () => {
    folder.write("base.raw", noise(1_048_576));
    const node = await createQcow2(folder.file("a.qcow2"), {
      size: 1_048_576,
      clusterSize: 512,
      backingFile: "base.raw",
      backingFormat: "raw",
    });
    await node.write(0, noise(1_024, 2));
    await node.discard(0, 524_288);
    const bytes = await bytesOf(node);
    assert(bytes.subarray(0, 524_288).every((byte) => byte === 0));
    assert(sameBytes(bytes.subarray(524_288), noise(1_048_576).subarray(524_288)));
    await node.close();
    if (HAS_QEMU) assertEquals(checkByQemu(folder.file("a.qcow2")), SOUND);
  });

  it("uses clusters again that were let go", async () => {
    const path = folder.file("a.qcow2");
    const node = await createQcow2(path, { size: 1_048_576, clusterSize: 4_096 });
    for (let round = 0; round < 10; round++) {
      await node.write(0, noise(400_000, round));
      await node.discard(0, 400_000);
      await node.flush();
    }
    await node.write(500_000, noise(400_000));
    await node.close();
    assert(folder.read("a.qcow2").byteLength < 900_000);
    if (HAS_QEMU) assertEquals(checkByQemu(path), SOUND);
  });

  it("refuses sizes that are none, and sizes that need too large a table", async () => {
    const node = await createQcow2(folder.file("a.qcow2"), { size: 512, clusterSize: 512 });
    for (const size of [-1, 0.5, 2 ** 53]) {
      const error = await assertRejects(() => node.truncate(size), BlockError, "no whole number");
      assertEquals([error.code, error.operation], ["EINVAL", "resize"]);
    }
    const error = await assertRejects(() => node.truncate(2 ** 40), BlockError, "32 MiB");
    assertEquals([error.code, node.size], ["EFBIG", 512]);
    await node.close();
  });

  itWhen(HAS_QEMU, NO_QEMU, "grows an image with snapshots, and does not shrink it", async () => {
    const path = folder.file("a.qcow2");
    qemuImg("create", "-f", "qcow2", path, "1M");
    qemuIo(path, ["write -P 1 0 1M"]);
    qemuImg("snapshot", "-c", "first", path);
    const node = await openQcow2(path);
    const error = await assertRejects(() => node.truncate(512), BlockError, "internal snapshots");
    assertEquals(error.code, "ENOTSUP");
    await node.truncate(2 ** 33);
    await node.discard(0, 2 ** 20);
    await node.close();
    assertEquals(checkByQemu(path), SOUND);
    qemuImg("snapshot", "-a", "first", path);
    const back = await openQcow2(path, { readOnly: true });
    assert((await bytesOf(back)).every((byte) => byte === 1));
    await back.close();
  });
});

describe("createQcow2", () => {
  it("refuses options that contradict each other, and leaves no file", async () => {
    const folder = new ImageFolder();
    const path = folder.file("a.qcow2");
    const backingFile = "base.raw";
    for (
      const [words, options] of [
        ["no power of two", { clusterSize: 1_000 }],
        ["no power of two", { clusterSize: 4_194_304 }],
        ["refcount width 3", { refcountBits: 3 }],
        ["as version 2 has it", { refcountBits: 8, compat: "0.10" }],
        ["need version 3", { lazyRefcounts: true, compat: "0.10" }],
        ["needs its format", { backingFile }],
        ["hide the backing", { backingFile, backingFormat: "raw", preallocation: "metadata" }],
        ["is too long", { backingFile: "b".repeat(1_024), backingFormat: "raw" }],
        ["is too long", { backingFile: "b".repeat(500), backingFormat: "raw", clusterSize: 512 }],
        ["no whole number", { size: -1 }],
      ] as const
    ) {
      const create = () => createQcow2(path, { size: 512, ...options });
      const error = await assertRejects(create, BlockError, words);
      assertEquals(error.code, "EINVAL");
      await assertRejects(() => openQcow2(path), BlockError, "does not exist");
    }
    folder.remove();
  });
});
