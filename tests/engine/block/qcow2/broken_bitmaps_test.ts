/** Directories of bitmaps with something wrong in them: refused where QEMU refuses them. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe } from "@std/testing/bdd";
import { BlockError } from "../../../../engine/block/errors.ts";
import { openQcow2 } from "../../../../engine/block/qcow2/mod.ts";
import { soundImage } from "../../../proof/image_fuzz/damage.ts";
import { ImageFolder } from "../../../support/images.ts";
import { itWhen } from "../../../support/skip.ts";
import { HAS_QEMU, NO_QEMU, qemuImg } from "./qemu.ts";

/** Where the pieces of the recorded image lie. */
function placesIn(bytes: Uint8Array) {
  const view = new DataView(bytes.buffer);
  let extension = 112;
  while (view.getUint32(extension) !== 0x2385_2875) extension += 8;
  const directory = Number(view.getBigUint64(extension + 24));
  return { extension: extension + 8, directory, table: Number(view.getBigUint64(directory)) };
}

/** What QEMU says of an image; undefined = it opens it. */
function complaint(path: string): string | undefined {
  try {
    qemuImg("info", "-f", "qcow2", path);
    return undefined;
  } catch (error) {
    return String((error as { readonly stderr?: unknown }).stderr);
  }
}

async function ours(path: string): Promise<string | undefined> {
  try {
    const node = await openQcow2(path, { readOnly: true });
    try {
      await node.kept.load();
    } finally {
      await node.close();
    }
    return undefined;
  } catch (error) {
    if (!(error instanceof BlockError) || error.code !== "EINVAL") throw error;
    return error.message;
  }
}

describe("a damaged directory of bitmaps", () => {
  let folder: ImageFolder;
  beforeEach(() => {
    folder = new ImageFolder();
  });
  afterEach(() => folder.remove());

  itWhen(HAS_QEMU, NO_QEMU, "is refused byte by byte where QEMU refuses it", async () => {
    const sound = soundImage("bitmaps");
    const { extension, directory, table } = placesIn(sound);
    const counts = { refused: 0, opened: 0 };
    for (const [start, length] of [[extension, 24], [directory, 24], [table, 8]] as const) {
      for (let at = start; at < start + length; at++) {
        for (const value of [1, 0x40, 0xff]) {
          const bytes = sound.slice();
          if (bytes[at] === value) continue;
          bytes[at] = value;
          const path = folder.write("broken.qcow2", bytes);
          const [theirs, own] = [complaint(path), await ours(path)];
          const where = `${at} is ${value}: QEMU says ${theirs}, we say ${own}`;
          // QEMU reads what lies behind the end of the file as zeros.
          const isStricter = /cannot be so|does not lie inside the file/.test(own ?? "");
          assert(isStricter || (own === undefined) === (theirs === undefined), where);
          assert(theirs === undefined || own !== undefined, where);
          counts[own === undefined ? "opened" : "refused"] += 1;
        }
      }
    }
    assert(counts.refused > 80 && counts.opened > 0, JSON.stringify(counts));
  });

  itWhen(HAS_QEMU, NO_QEMU, "keeps an image from being written, and is left as it is", async () => {
    const bytes = soundImage("bitmaps");
    bytes[placesIn(bytes).directory + 16] = 9;
    const path = folder.write("broken.qcow2", bytes);
    assert(complaint(path) !== undefined);
    const node = await openQcow2(path);
    const text = "has a bitmap of an unknown kind";
    await assertRejects(() => node.write(0, new Uint8Array(1)), BlockError, text);
    await assertRejects(() => node.truncate(512), BlockError, text);
    await node.close();
    assertEquals(new Uint8Array(folder.read("broken.qcow2")), bytes);
  });
});
