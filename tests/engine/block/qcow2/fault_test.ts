/** The file fails at the n-th access: the caller tries again, and nothing is lost or broken. */

import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { BlockError } from "../../../../engine/block/errors.ts";
import { checkImage } from "../../../../engine/block/qcow2/check.ts";
import { formatQcow2 } from "../../../../engine/block/qcow2/create.ts";
import { Qcow2Image } from "../../../../engine/block/qcow2/image.ts";
import { Qcow2Node } from "../../../../engine/block/qcow2/qcow2_node.ts";
import { FaultyNode, type FaultySite } from "../../../support/faulty_node.ts";
import { ImageFolder, sameBytes } from "../../../support/images.ts";
import { bytesOf, checkByQemu, HAS_QEMU } from "./qemu.ts";
import { RecordingNode } from "./recording_node.ts";
import { numbersFrom } from "./seeded.ts";

const SIZE = 300_032;

/** Tries again until it works; says how often it did not. */
async function insist(work: () => Promise<void>): Promise<number> {
  for (let failures = 0;; failures++) {
    try {
      await work();
      return failures;
    } catch (error) {
      if (!(error instanceof BlockError) || error.code !== "ENOSPC" || failures > 3) throw error;
    }
  }
}

async function change(node: Qcow2Node, model: Uint8Array): Promise<number> {
  const next = numbersFrom(11);
  let failures = 0;
  for (let count = 0; count < 25; count++) {
    const length = next(30_000) + 1;
    const offset = next(SIZE - length);
    const isZero = next(4) === 0;
    const fill = isZero ? 0 : count + 1;
    failures += await insist(() =>
      isZero ? node.zero(offset, length) : node.write(offset, new Uint8Array(length).fill(fill))
    );
    model.fill(fill, offset, offset + length);
    if (count % 8 === 7) failures += await insist(() => node.flush());
  }
  return failures + await insist(() => node.flush());
}

describe("Qcow2Node on a file that fails", () => {
  let folder: ImageFolder;
  beforeEach(() => {
    folder = new ImageFolder();
  });
  afterEach(() => folder.remove());

  for (const site of ["write", "flush"] as const satisfies readonly FaultySite[]) {
    it(`keeps everything when the n-th ${site} fails and is tried again`, async () => {
      let hasFailed = true;
      let rounds = 0;
      // Until n lies behind the last access.
      for (let nth = 1; hasFailed; nth += 1 + Math.floor(nth / 20)) {
        const file = new RecordingNode();
        await formatQcow2(file, { size: SIZE, clusterSize: 512 });
        const header = await Qcow2Image.readHeader(file);
        let isArmed = false;
        let seen = 0;
        const faulty = new FaultyNode(file, (asked) => {
          if (isArmed && asked === site) seen++;
          return isArmed && asked === site && seen === nth ? "ENOSPC" : undefined;
        });
        const node = await Qcow2Node.over(faulty, header, { isReadOnly: false });
        const model = new Uint8Array(SIZE);
        isArmed = true;
        hasFailed = await change(node, model) > 0;
        isArmed = false;
        assert(sameBytes(await bytesOf(node), model), `${site} ${nth}: reads differently`);
        await node.close();
        const image = await Qcow2Image.load(file, await Qcow2Image.readHeader(file));
        assertEquals((await checkImage(image)).problems, [], `${site} ${nth}`);
        rounds++;
      }
      assert(rounds > 3, `only ${rounds} rounds`);
    });
  }

  it("leaves an image that leaks at worst when no flush works any more", async () => {
    for (let nth = 1; nth < 60; nth += 4) {
      const file = new RecordingNode();
      await formatQcow2(file, { size: SIZE, clusterSize: 512 });
      const header = await Qcow2Image.readHeader(file);
      const faulty = new FaultyNode(file, (asked, count) =>
        // Nothing is written torn: what a failed write may leave half done is not the point here.
        asked === "flush" && count >= nth ? "ENOSPC" : undefined);
      const node = await Qcow2Node.over(faulty, header, { isReadOnly: false });
      await change(node, new Uint8Array(SIZE)).catch(() => 0);
      await node.close().catch(() => {});
      const image = await Qcow2Image.load(file, await Qcow2Image.readHeader(file));
      assertEquals((await checkImage(image)).corruptions, 0, `flush ${nth}`);
      if (!HAS_QEMU) continue;
      assertEquals(checkByQemu(folder.write("a.qcow2", file.bytes)).corruptions, 0);
    }
  });
});
