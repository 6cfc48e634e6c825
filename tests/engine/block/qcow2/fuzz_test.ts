/** Damaged images: an error in words, no hang, and no read larger than the format allows. */

import { assert } from "@std/assert";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { BlockError } from "../../../../engine/block/errors.ts";
import type { BlockNode } from "../../../../engine/block/node.ts";
import { openQcow2 } from "../../../../engine/block/qcow2/chain.ts";
import { ImageFolder } from "../../../support/images.ts";
import { numbersFrom } from "./seeded.ts";

const FIXTURES = fileURLToPath(new URL("./fixtures/", import.meta.url));
const NAMES = ["v2_512", "v3_1k", "compressed", "overlay", "snapshot"];
/** Rounds for one image. */
const ROUNDS = 150;
/** A damaged image may claim any size; this much of it is looked at. */
const LOOK_BYTES = 200_000;

async function look(node: BlockNode): Promise<void> {
  const bytes = new Uint8Array(4_096);
  let steps = 0;
  for (let at = 0; at < Math.min(node.size, LOOK_BYTES);) {
    assert(steps++ < 5_000, "the map does not end");
    at += (await node.extent(at, node.size - at)).length;
  }
  for (let at = 0; at < Math.min(node.size, LOOK_BYTES); at += bytes.byteLength) {
    await node.read(at, bytes.subarray(0, Math.min(bytes.byteLength, node.size - at)))
      .catch(expectBlockError);
  }
}

/** Changes a little here and there. */
async function change(node: BlockNode, next: (below: number) => number): Promise<void> {
  const room = Math.min(node.size, LOOK_BYTES);
  for (let count = 0; count < 6; count++) {
    const length = Math.min(room, next(3_000) + 1);
    const offset = next(room - length + 1);
    const work = [
      () => node.write(offset, new Uint8Array(length).fill(9)),
      () => node.zero(offset, length),
      () => node.discard(offset, length),
      () => node.flush(),
    ][next(4)];
    await work?.().catch(expectBlockError);
  }
}

function expectBlockError(error: unknown): void {
  if (!(error instanceof BlockError)) throw error;
  assert(/^Cannot (open|read|write|flush|resize)/.test(error.message), error.message);
}

describe("openQcow2 on damaged images", () => {
  let folder: ImageFolder;
  beforeEach(() => {
    folder = new ImageFolder();
    for (const name of NAMES) {
      folder.write(`${name}.qcow2`, readFileSync(`${FIXTURES}${name}.qcow2`));
    }
  });
  afterEach(() => folder.remove());

  /** A copy of an image with a few bytes changed, or with its end cut off. */
  function damage(name: string, next: (below: number) => number): string {
    const bytes = new Uint8Array(readFileSync(`${FIXTURES}${name}.qcow2`));
    // Half of the damage goes to the header, the rest to tables and data.
    const room = next(2) === 0 ? 112 : bytes.byteLength;
    for (let count = next(4) + 1; count > 0; count--) {
      bytes[next(room)] = [0, 1, 0x7f, 0x80, 0xff, next(256)][next(6)] ?? 0;
    }
    const cut = next(8) === 0 ? next(bytes.byteLength) : bytes.byteLength;
    return folder.write("damaged.qcow2", bytes.subarray(0, cut));
  }

  async function tryOut(
    path: string,
    readOnly: boolean,
    use: (node: BlockNode) => Promise<void>,
  ): Promise<void> {
    try {
      const node = await openQcow2(path, { readOnly });
      await use(node).catch(expectBlockError);
      await node.close();
    } catch (error) {
      expectBlockError(error);
    }
  }

  for (const name of NAMES) {
    it(`${name}: fails in words or reads something, ${ROUNDS} times`, async () => {
      const next = numbersFrom(name.length * 977);
      for (let round = 0; round < ROUNDS; round++) await tryOut(damage(name, next), true, look);
    });

    it(`${name}: writes fail in words and stay near the image, ${ROUNDS} times`, async () => {
      const next = numbersFrom(name.length * 733);
      for (let round = 0; round < ROUNDS; round++) {
        await tryOut(damage(name, next), false, (node) => change(node, next));
        assert(folder.read("damaged.qcow2").byteLength < 16_777_216, "the file became huge");
      }
    });
  }
});
