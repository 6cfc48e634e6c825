/**
 * Proof by damaged images: qcow2 images with something wrong in them are opened, read, written,
 * resized, checked and repaired.
 *
 *     image_fuzz.ts [--seed N] [--budget-s S] [--cases N] [--first N]
 *
 * - `--seed` chooses the damage; a case has a number, and is the same for the same seed.
 * - `--budget-s` ends the proof after so many seconds. @default no bound
 * - `--cases` tries so many. @default 20000, or no bound when there is a budget
 * - `--first` begins with the case of this number. @default 0
 *
 * Every case must end, within seconds and bounded memory, well or with an error in words; the file
 * must not grow far beyond what it was, reading must not change it, and no file beside it is
 * touched. The cases run in a process of their own, which is killed when one of them hangs. Ends
 * with status 1 at a finding, and when the budget was too short for a case.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { ImageFolder } from "../support/images.ts";
import { proofCount, proofTime, scriptOptions } from "../support/script_options.ts";
import { type SpawnedScript, spawnRuntime } from "../support/spawn_runtime.ts";
import type { CaseReport } from "./image_fuzz/report.ts";

const SCRIPT = fileURLToPath(new URL("./image_fuzz/fuzz_process.ts", import.meta.url));
const CASES = 20_000;
/** A case that takes longer hangs; the machine may be busy with other proofs. */
const HANG_MS = 20_000;
/** Memory of the process, with its runtime. */
const RSS_BYTES_MAX = 768 * 2 ** 20;
/** Findings that are told before the proof ends. */
const FINDINGS_MAX = 5;

interface Sums {
  cases: number;
  opened: number;
  rssBytesMax: number;
  readonly verbs: Map<string, number>;
  readonly findings: string[];
}

/** The next line, or undefined when none comes in time or the process has ended. */
async function lineInTime(script: SpawnedScript): Promise<string | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), HANG_MS);
  });
  try {
    return await Promise.race([script.line(), late]);
  } finally {
    clearTimeout(timer);
  }
}

function take(report: CaseReport, sums: Sums): void {
  const { index, finding, rssBytes, verb } = report;
  sums.cases += 1;
  if (report.isOpen) sums.opened += 1;
  sums.verbs.set(verb, (sums.verbs.get(verb) ?? 0) + 1);
  sums.rssBytesMax = Math.max(sums.rssBytesMax, rssBytes);
  if (finding !== undefined) sums.findings.push(`case ${index}: ${finding}`);
  if (rssBytes > RSS_BYTES_MAX) {
    sums.findings.push(`case ${index}: the process has ${rssBytes} bytes of memory`);
  }
}

/** Runs cases in one process until it hangs, or nothing more is wanted. @returns the next case */
async function runCases(
  seed: number,
  first: number,
  sums: Sums,
  isOver: () => boolean,
): Promise<number> {
  const folder = new ImageFolder();
  const script = spawnRuntime(SCRIPT, [folder.path, String(seed), String(first)]);
  let index = first;
  try {
    while (!isOver()) {
      const started = await lineInTime(script);
      const line = started === undefined ? undefined : await lineInTime(script);
      if (line === undefined) {
        sums.findings.push(`case ${index}: the process ended, or no end in ${HANG_MS} ms`);
        return index + 1;
      }
      take(JSON.parse(line) as CaseReport, sums);
      index += 1;
    }
    return index;
  } finally {
    await script.kill();
    folder.remove();
  }
}

/** Runs the proof. @returns the exit status */
export async function main(args: readonly string[]): Promise<number> {
  const defaults = { seed: 1, "budget-s": Infinity, cases: Infinity, first: 0 } as const;
  const { seed, first, ...values } = scriptOptions(args, defaults);
  const time = proofTime(values["budget-s"]);
  const casesMax = proofCount(values.cases, CASES, time);
  const sums: Sums = { cases: 0, opened: 0, rssBytesMax: 0, verbs: new Map(), findings: [] };
  const isOver = () =>
    time.isOver() || sums.cases >= casesMax || sums.findings.length >= FINDINGS_MAX;
  for (let next = first; !isOver();) {
    next = await runCases(seed, next, sums, isOver);
  }
  for (const finding of sums.findings) console.log(`BROKEN ${finding}`);
  const verbs = [...sums.verbs].sort().map(([verb, count]) => `${count} ${verb}`).join(", ");
  const mib = (sums.rssBytesMax / 2 ** 20).toFixed(0);
  console.log(
    `image fuzz: ${sums.cases} damaged images (${verbs}), ${sums.opened} opened all the same, ` +
      `${mib} MiB of memory at most, ${sums.findings.length} findings`,
  );
  console.log(`image fuzz: seed ${seed}, ${time.seconds()} s`);
  if (sums.cases === 0) console.log("NOTHING PROVED: the budget is too short for a case");
  return sums.findings.length === 0 && sums.cases > 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
