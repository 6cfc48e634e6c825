/**
 * Proof by comparison with QEMU: the same seeded writes, zeros, discards and resizes go through our
 * node and through qemu-io, over chains of every kind; then each goes on with the other's image.
 *
 *     qcow2_differential.ts [--seed N] [--budget-s S] [--cases N] [--first N] [--keep]
 *
 * - `--seed` chooses images and changes; a case has a number, and is the same for the same seed.
 * - `--budget-s` ends the proof after so many seconds. @default no bound
 * - `--cases` compares so many. @default 300, or no bound when there is a budget
 * - `--first` begins with the case of this number. @default 0
 * - `--keep` leaves the folder there when something was found.
 *
 * After each half `qemu-img compare` finds both images equal, `qemu-img check` finds ours sound,
 * QEMU finds the same bits in the bitmaps of both, and we read of both what QEMU does. Ends with
 * status 1 at a finding, and when the budget was too short for a case. Where QEMU's tools are not
 * installed it says so, and ends with 0.
 */
import process from "node:process";
import { HAS_QEMU, NO_QEMU } from "../engine/block/qcow2/qemu.ts";
import { numbersFrom } from "../engine/block/qcow2/seeded.ts";
import { ImageFolder } from "../support/images.ts";
import { proofCount, proofTime, scriptOptions } from "../support/script_options.ts";
import { compareWithQemu } from "./qcow2_differential/compare.ts";
import { caseFrom, type ImageCase, nameOf } from "./qcow2_differential/image_case.ts";

const CASES = 300;

/** Compares one case. @returns what was found, if anything was */
async function proveCase(image: ImageCase, isKept: boolean): Promise<string | undefined> {
  const folder = new ImageFolder();
  let isFound = true;
  try {
    await compareWithQemu(folder, image);
    isFound = false;
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.stack ?? error.message : String(error);
  } finally {
    if (isFound && isKept) console.log(`kept: ${folder.path}`);
    else folder.remove();
  }
}

/** Runs the proof. @returns the exit status */
export async function main(args: readonly string[]): Promise<number> {
  const defaults = {
    seed: 1,
    "budget-s": Infinity,
    cases: Infinity,
    first: 0,
    keep: false,
  } as const;
  const { seed, first, keep, ...values } = scriptOptions(args, defaults);
  if (!HAS_QEMU) {
    console.log(`qcow2 differential: skipped: ${NO_QEMU}`);
    return 0;
  }
  const time = proofTime(values["budget-s"]);
  const casesMax = proofCount(values.cases, CASES, time);
  let cases = 0;
  let changes = 0;
  let finding: string | undefined;
  while (finding === undefined && cases < casesMax && !time.isOver()) {
    const index = first + cases;
    const image = caseFrom(numbersFrom(seed * 1_000_003 + index));
    const words = await proveCase(image, keep);
    cases += 1;
    changes += image.first.count + image.second.count;
    if (words !== undefined) finding = `case ${index}, ${nameOf(image)}: ${words}`;
  }
  const outcome = finding === undefined ? "no difference" : "1 difference";
  console.log(`qcow2 differential: ${cases} images, ${changes} changes on each side, ${outcome}`);
  console.log(`qcow2 differential: seed ${seed}, ${time.seconds()} s`);
  if (finding !== undefined) console.log(`BROKEN ${finding}`);
  if (cases === 0) console.log("NOTHING PROVED: the budget is too short for a case");
  return finding === undefined && cases > 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
