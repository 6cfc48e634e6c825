import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import process from "node:process";
import { BitmapKills } from "../../proof/driver_kill_loop/bitmap_kills.ts";
import { ImageFolder } from "../../support/images.ts";
import { numbersFrom } from "../block/qcow2/seeded.ts";

const ROUNDS = 2;
const SEED = Number(process.env["JOBLOG_SEED"] ?? Date.now() % 1_000_000);

describe(`bitmaps that an image keeps after kill -9 (seed ${SEED})`, () => {
  let folder: ImageFolder;
  beforeEach(() => {
    folder = new ImageFolder();
  });
  afterEach(() => folder.remove());

  // Hundreds of rounds are the work of the proof whose part this is.
  it("are whole or inconsistent, and backups by one of them are the disk", async () => {
    const random = numbersFrom(SEED);
    const kills = new BitmapKills(folder, SEED);
    await kills.prepare();
    for (let round = 0; round < ROUNDS; round++) await kills.kill(random);
    await kills.settle();
  });
});
