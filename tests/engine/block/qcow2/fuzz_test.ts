/** Damaged images: an error in words, no hang, and no read larger than the format allows. */

import { assert } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import {
  damagedImage,
  SOUND_NAMES,
  soundFiles,
  soundImage,
} from "../../../proof/image_fuzz/damage.ts";
import { change, look, tryOut } from "../../../proof/image_fuzz/try_image.ts";
import { ImageFolder } from "../../../support/images.ts";
import { numbersFrom } from "./seeded.ts";

/** Rounds for one image; tens of thousands are the work of the proof whose parts these are. */
const ROUNDS = 150;

describe("openQcow2 on damaged images", () => {
  let folder: ImageFolder;
  beforeEach(() => {
    folder = new ImageFolder();
    for (const file of soundFiles()) folder.write(file, soundImage(file.slice(0, -6)));
  });
  afterEach(() => folder.remove());

  for (const name of SOUND_NAMES) {
    it(`${name}: fails in words or reads something, ${ROUNDS} times`, async () => {
      const next = numbersFrom(name.length * 977);
      let opened = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const path = folder.write("damaged.qcow2", damagedImage(name, next));
        if (await tryOut(path, true, look)) opened += 1;
      }
      assert(opened > 0 && opened < ROUNDS, `${opened} could be opened`);
    });

    it(`${name}: writes fail in words and stay near the image, ${ROUNDS} times`, async () => {
      const next = numbersFrom(name.length * 733);
      for (let round = 0; round < ROUNDS; round++) {
        const path = folder.write("damaged.qcow2", damagedImage(name, next));
        await tryOut(path, false, (node) => change(node, next));
        assert(folder.read("damaged.qcow2").byteLength < 16_777_216, "the file became huge");
      }
    });
  }
});
