/** Chains of incremental backups through bitmaps that both we and QEMU wrote. */

import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe } from "@std/testing/bdd";
import { createQcow2, openQcow2 } from "../../../../engine/block/qcow2/mod.ts";
import { ImageFolder, sameBytes } from "../../../support/images.ts";
import { itWhen } from "../../../support/skip.ts";
import { ALL_VERBS, applyToNode, asQemuIo, changesFrom } from "./changes.ts";
import { bytesOf, checkByQemu, qemuIo } from "./qemu.ts";
import { incrementalByQemu } from "./qemu_backup.ts";
import { HAS_DAEMON, NO_DAEMON } from "./qemu_bitmaps.ts";

const SIZE = 2_000_384;
const VERBS = ALL_VERBS.filter((verb) => verb !== "truncate");

describe("incremental backups over bitmaps in an image", () => {
  let folder: ImageFolder;
  beforeEach(() => {
    folder = new ImageFolder();
  });
  afterEach(() => folder.remove());

  for (const [granularity, clusterSize] of [[512, 4_096], [65_536, 65_536]] as const) {
    const name = `rebuild the image, whoever wrote and whoever copies: bits of ${granularity}`;
    itWhen(HAS_DAEMON, NO_DAEMON, name, async () => {
      const image = folder.file("disk.qcow2");
      const copy = folder.write("copy.raw", new Uint8Array(SIZE));
      const made = await createQcow2(image, { size: SIZE, clusterSize });
      made.bitmaps.create({ name: "b0", granularity, isPersistent: true });
      await made.close();
      for (let round = 0; round < 6; round++) {
        const changes = changesFrom(round * 31 + granularity, 15, SIZE, VERBS);
        if (round % 3 === 2) qemuIo(image, changes.map(asQemuIo));
        else {
          const node = await openQcow2(image);
          for (const change of changes) await applyToNode(node, change);
          await node.close();
        }
        if (round % 2 === 0) await incrementalByQemu(image, copy, "b0");
        else await incrementalByUs(folder, image);
        const node = await openQcow2(image, { readOnly: true });
        await node.kept.load();
        assertEquals(node.bitmaps.find("b0")!.dirtyBytes, 0, `round ${round}`);
        assert(sameBytes(await bytesOf(node), folder.read("copy.raw")), `round ${round}`);
        await node.close();
        assertEquals(checkByQemu(image), { corruptions: 0, leaks: 0 });
      }
    });
  }
});

/** Copies what the bitmap says, and empties it. */
async function incrementalByUs(folder: ImageFolder, image: string): Promise<void> {
  const copy = new Uint8Array(folder.read("copy.raw"));
  const node = await openQcow2(image);
  await node.kept.load();
  await node.kept.use();
  const bitmap = node.bitmaps.take("b0");
  for (const { offset, length } of bitmap.areas()) {
    await node.read(offset, copy.subarray(offset, offset + length));
  }
  bitmap.clear();
  await node.close();
  folder.write("copy.raw", copy);
}
