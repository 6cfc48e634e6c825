import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import process from "node:process";
import { ChainKills } from "../../proof/driver_kill_loop/chain_kills.ts";
import { SCENES } from "../../proof/driver_kill_loop/scenes.ts";
import { ImageFolder } from "../../support/images.ts";
import { numbersFrom } from "../block/qcow2/seeded.ts";

const ROUNDS = 3;
const SEED = Number(process.env["JOBLOG_SEED"] ?? Date.now() % 1_000_000);

describe(`jobs along a chain after kill -9 (seed ${SEED})`, () => {
  let folder: ImageFolder;
  beforeEach(() => {
    folder = new ImageFolder();
  });
  afterEach(() => folder.remove());

  // Hundreds of rounds are the work of the proof whose part this is.
  const random = numbersFrom(SEED);
  const names = Object.keys(SCENES) as (keyof typeof SCENES)[];
  const name = names[random(names.length)]!;
  it(`${name}: the chain is the old one or the new one, and the job comes to its end`, async () => {
    const kills = new ChainKills(folder, SEED, SCENES[name]);
    await kills.prepare();
    for (let round = 0; round < ROUNDS; round++) {
      if (await kills.kill(random) === "over") break;
    }
    await kills.settle();
  });
});
