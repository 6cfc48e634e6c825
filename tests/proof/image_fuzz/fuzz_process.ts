/**
 * A process that tries damaged images out, one after the other, until it is killed.
 *
 *     fuzz_process.ts FOLDER SEED FIRST
 *
 * Before a case it prints its number, and after it what came of it, as a line of JSON. The case of
 * a number is the same for the same seed, whichever the first one was.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { sameBytes } from "../../support/images.ts";
import { numbersFrom } from "../../engine/block/qcow2/seeded.ts";
import { damagedImage, nameBacking, SOUND_NAMES, soundFiles, soundImage } from "./damage.ts";
import type { CaseReport } from "./report.ts";
import { change, look, tryCheck, tryOut } from "./try_image.ts";

const NAME = "damaged.qcow2";
/** A file that grew beyond this was written where no part of the image is. */
const FILE_BYTES_MAX = 2 ** 24;

const [folder = "", seed = "1", first = "0"] = process.argv.slice(2);

function print(line: string): Promise<void> {
  return new Promise((resolve) => process.stdout.write(`${line}\n`, () => resolve()));
}

/** What lies beside the image: nobody may touch it. */
function neighbours(): string {
  const names = readdirSync(folder).filter((name) => name !== NAME).sort();
  const digests = names.map((name) =>
    createHash("sha256").update(readFileSync(join(folder, name))).digest("hex")
  );
  return JSON.stringify([names, digests]);
}

async function run(index: number): Promise<CaseReport> {
  const next = numbersFrom(Number(seed) * 1_000_003 + index);
  const name = SOUND_NAMES[next(SOUND_NAMES.length)]!;
  const path = join(folder, NAME);
  const bytes = damagedImage(name, next);
  writeFileSync(path, bytes);
  const verb = (["look", "change", "check", "repair"] as const)[next(4)]!;
  let isOpen = false;
  if (verb === "look") isOpen = await tryOut(path, true, look);
  else if (verb === "change") isOpen = await tryOut(path, false, (node) => change(node, next));
  else await tryCheck(path, verb === "repair");
  const { size, blocks } = statSync(path);
  // Counts that are nonsense may call much of an address space used; who writes goes behind that.
  const taken = verb === "repair" || verb === "change" ? blocks * 512 : size;
  if (taken > FILE_BYTES_MAX) throw new Error(`the file has ${taken} bytes now`);
  const isToStay = verb === "look" || verb === "check";
  if (isToStay && !sameBytes(readFileSync(path), bytes)) {
    throw new Error(`"${verb}" changed the image`);
  }
  return { index, name, verb, isOpen, rssBytes: process.memoryUsage().rss };
}

for (const name of soundFiles()) writeFileSync(join(folder, name), soundImage(name.slice(0, -6)));
writeFileSync(join(folder, "ring.qcow2"), nameBacking(soundImage("v3_1k"), NAME));
const before = neighbours();
for (let index = Number(first);; index++) {
  await print(String(index));
  let report: CaseReport;
  try {
    report = await run(index);
    if (neighbours() !== before) throw new Error("a file beside the image was changed");
  } catch (error) {
    const finding = error instanceof Error ? error.stack ?? error.message : String(error);
    report = { index, name: "", verb: "", isOpen: false, rssBytes: 0, finding };
  }
  await print(JSON.stringify(report));
}
