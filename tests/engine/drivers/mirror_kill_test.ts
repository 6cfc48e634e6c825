import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import process from "node:process";
import { MirrorKills } from "../../proof/driver_kill_loop/mirror_kills.ts";
import { ImageFolder } from "../../support/images.ts";
import { numbersFrom } from "../block/qcow2/seeded.ts";

const ROUNDS = 3;
const SEED = Number(process.env["JOBLOG_SEED"] ?? Date.now() % 1_000_000);

describe(`mirror after kill -9 (seed ${SEED})`, () => {
  let folder: ImageFolder;
  beforeEach(() => {
    folder = new ImageFolder();
  });
  afterEach(() => folder.remove());

  // Hundreds of rounds are the work of the proof whose part this is.
  it("loses no write and ends with equal bytes", async () => {
    const random = numbersFrom(SEED);
    const copyMode = random(2) === 0 ? "background" : "write-blocking";
    const kills = new MirrorKills(folder, SEED, copyMode);
    await kills.prepare();
    for (let round = 0; round < ROUNDS; round++) await kills.kill(random);
    await kills.settle();
  });
});
