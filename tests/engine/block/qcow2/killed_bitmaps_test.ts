/** Bitmaps of images whose process is killed: the old ones, the new ones, or inconsistent ones. */

import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe } from "@std/testing/bdd";
import { formatQcow2 } from "../../../../engine/block/qcow2/create.ts";
import { Qcow2Image } from "../../../../engine/block/qcow2/image.ts";
import { openQcow2, Qcow2Node } from "../../../../engine/block/qcow2/mod.ts";
import { ImageFolder } from "../../../support/images.ts";
import { itWhen } from "../../../support/skip.ts";
import { checkByQemu, HAS_QEMU, NO_QEMU } from "./qemu.ts";
import { bitmapsByQemu } from "./qemu_bitmaps.ts";
import { type FileChange, RecordingNode, replay } from "./recording_node.ts";
import { numbersFrom } from "./seeded.ts";

const FINE = { corruptions: 0, leaks: 0 };

async function over(file: RecordingNode): Promise<Qcow2Node> {
  const node = await Qcow2Node.over(file, await Qcow2Image.readHeader(file), { isReadOnly: false });
  await node.kept.load();
  return node;
}

/** Everything that a header speaks of is durable before the header is written. */
function expectFlushedHeaders(changes: readonly FileChange[]): void {
  const headers = changes.filter((each) => each.kind === "write" && each.offset < 112);
  for (const header of headers) {
    const before = changes.slice(0, changes.indexOf(header)).at(-1);
    assertEquals(before?.kind, "flush");
  }
  assert(headers.length >= 5, `${headers.length} headers`);
}

/** Bitmaps and data, in two openings. */
async function work(file: RecordingNode, seed: number): Promise<void> {
  const next = numbersFrom(seed);
  for (let round = 0; round < 2; round++) {
    const node = await over(file);
    for (let count = 0; count < 3; count++) {
      const name = `b${round}${count}`;
      const granularity = 512 << next(4);
      node.bitmaps.create({ name, granularity, isPersistent: true, isDisabled: count === 2 });
    }
    for (let count = 0; count < 6; count++) {
      await node.write(next(node.size - 3_000), new Uint8Array(next(2_999) + 1).fill(count + 1));
    }
    await node.flush();
    node.bitmaps.remove(node.bitmaps.find(`b${round}1`)!);
    await node.kept.dropGone();
    if (round === 1) await node.truncate(node.size + 100_352);
    await node.close();
  }
}

describe("bitmaps of an image whose process is killed at any write", () => {
  let folder: ImageFolder;
  beforeEach(() => {
    folder = new ImageFolder();
  });
  afterEach(() => folder.remove());

  for (const clusterSize of [512, 4_096]) {
    const name = `are the old, the new or inconsistent ones: clusters of ${clusterSize}`;
    itWhen(HAS_QEMU, NO_QEMU, name, async () => {
      const file = new RecordingNode();
      await formatQcow2(file, { size: 400_384, clusterSize });
      const start = file.bytes.slice();
      file.changes.length = 0;
      await work(file, clusterSize);
      expectFlushedHeaders(file.changes);
      const step = Math.max(1, Math.floor(file.changes.length / 80));
      const seen = new Set<string>();
      for (let count = 0; count <= file.changes.length; count += step) {
        const path = folder.write("killed.qcow2", replay(start, file.changes.slice(0, count)));
        const where = `after ${count} of ${file.changes.length} changes`;
        assertEquals(checkByQemu(path).corruptions, 0, where);
        const listed = bitmapsByQemu(path);
        seen.add(listed.map((each) => `${each.name}${each.flags.join("")}`).join());
        const node = await openQcow2(path, { readOnly: true });
        await node.kept.load();
        assertEquals(
          node.bitmaps.list().map((each) => [each.name, each.isInconsistent]),
          listed.map((each) => [each.name, each.flags.includes("in-use")]),
          where,
        );
        await node.close();
      }
      assert(seen.has("") && seen.has("b02,b00auto") && seen.has("b02in-use,b00in-useauto"));
      const path = folder.write("end.qcow2", replay(start, file.changes));
      assertEquals(checkByQemu(path), FINE);
      assertEquals(bitmapsByQemu(path).map((each) => each.name), ["b02", "b00", "b12", "b10"]);
    });
  }
});
