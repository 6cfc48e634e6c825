/** A process that dies between any two writes leaves an image that leaks at worst. */

import { assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe } from "@std/testing/bdd";
import { formatQcow2 } from "../../../../engine/block/qcow2/create.ts";
import { Qcow2Image } from "../../../../engine/block/qcow2/image.ts";
import { Qcow2Node } from "../../../../engine/block/qcow2/qcow2_node.ts";
import { ImageFolder } from "../../../support/images.ts";
import { itWhen } from "../../../support/skip.ts";
import { checkByQemu, HAS_QEMU, NO_QEMU } from "./qemu.ts";
import { RecordingNode, replay } from "./recording_node.ts";
import { numbersFrom } from "./seeded.ts";

/** Images that are looked at for one case. */
const LOOKS = 60;

/** Many changes at once, with flushes between them; small clusters make every table grow. */
async function run(node: Qcow2Node, seed: number): Promise<void> {
  const next = numbersFrom(seed);
  for (let round = 0; round < 12; round++) {
    const work: Promise<void>[] = [];
    for (let count = 0; count < 8; count++) {
      const length = next(Math.floor(node.size / 40)) + 1;
      const offset = next(node.size - length);
      const verb = next(5);
      if (verb === 0) work.push(node.zero(offset, length));
      else if (verb === 1) work.push(node.discard(offset, length));
      else work.push(node.write(offset, new Uint8Array(length).fill(count + 1)));
    }
    work.push(node.flush());
    await Promise.all(work);
    if (round === 6) await node.truncate(node.size * 2);
  }
  await node.close();
}

describe("Qcow2Node killed at any write", () => {
  let folder: ImageFolder;
  beforeEach(() => {
    folder = new ImageFolder();
  });
  afterEach(() => folder.remove());

  // In the second, the refcount table has to move; in all of them, the L1 table.
  const shapes = [[512, 16, 400_384], [512, 64, 4_000_256], [4_096, 16, 400_384]] as const;
  for (const [clusterSize, refcountBits, size] of shapes) {
    const name = `leaks at worst: clusters of ${clusterSize}, counts of ${refcountBits} bits`;
    itWhen(HAS_QEMU, NO_QEMU, name, async () => {
      const file = new RecordingNode();
      await formatQcow2(file, { size, clusterSize, refcountBits });
      const start = file.bytes.slice();
      file.changes.length = 0;
      const header = await Qcow2Image.readHeader(file);
      await run(await Qcow2Node.over(file, header, { isReadOnly: false }), clusterSize);
      const changes = file.changes;
      const step = Math.max(1, Math.floor(changes.length / LOOKS));
      for (let count = 0; count <= changes.length; count += step) {
        const path = folder.write("killed.qcow2", replay(start, changes.slice(0, count)));
        const { corruptions } = checkByQemu(path);
        assertEquals(corruptions, 0, `after ${count} of ${changes.length} changes`);
      }
      const moved = clusterSize === 512 && refcountBits === 64;
      const { refcountTableClusters } = await Qcow2Image.readHeader(file);
      assertEquals(refcountTableClusters > 1, moved);
      const end = folder.write("end.qcow2", replay(start, changes));
      assertEquals(checkByQemu(end), { corruptions: 0, leaks: 0 });
    });
  }
});
