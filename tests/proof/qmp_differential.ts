/**
 * Proof by comparison with QEMU: the same seeded scripts of commands go to its storage daemon and
 * to `joblog qmp`; replies, events of each job, the order in which jobs end and the states of all
 * jobs at rest are compared.
 *
 *     qmp_differential.ts [--seed N] [--budget-s S] [--scripts N] [--first N] [--findings N]
 *                         [--folder DIR] [--play FILE]
 *
 * - `--seed` chooses the scripts; a script has a number, and is the same for the same seed.
 * - `--budget-s` ends the proof after so many seconds. @default no bound
 * - `--scripts` plays so many. @default 10000, or as many as fit into the budget
 * - `--first` begins with the script of this number. @default 0
 * - `--findings` ends the proof at so many kinds of differences. @default 1
 * - `--folder` is where the folders of both servers are made; on Deno one below `/dev` needs
 *   `--allow-all`. @default that of the system
 * - `--play` plays one script of a file, in JSON as a finding tells it, and tells both traces.
 *
 * The shortest script that differs in the same way, as far as the budget lets it be found, is told.
 * Ends with status 1 at a finding, and when the budget was too short for a script. Where the daemon
 * is not installed it says so, and ends with 0.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { HAS_QEMU, NO_QEMU } from "../engine/block/qcow2/qemu.ts";
import { proofCount, proofTime, scriptOptions } from "../support/script_options.ts";
import { type Difference, differenceText, kindOf } from "./qmp_differential/compare.ts";
import { scriptFrom } from "./qmp_differential/generate.ts";
import { Pair } from "./qmp_differential/pair.ts";
import { type Script, scriptText } from "./qmp_differential/script.ts";
import { HAS_DAEMON, NO_DAEMON } from "./qmp_differential/servers.ts";
import { shrink } from "./qmp_differential/shrink.ts";

const SCRIPTS = 10_000;
/** Left of the budget for what is under way. */
const MARGIN_MS = 5_000;

interface Tally {
  /** When the budget is over: then a script is not shortened any more. */
  readonly endMs: number;
  scripts: number;
  commands: number;
  readonly kinds: Set<string>;
}

async function tellFinding(
  pair: Pair,
  script: Script,
  index: number,
  first: Difference,
  tally: Tally,
): Promise<void> {
  if (tally.kinds.has(kindOf(first))) return;
  const { difference } = await pair.play(script);
  if (difference === undefined) {
    console.log(`SOMETIMES script ${index}, ${differenceText(first)}\n${scriptText(script)}`);
    tally.kinds.add(`sometimes ${index}`);
    return;
  }
  const kind = kindOf(difference);
  if (tally.kinds.has(kind)) return;
  tally.kinds.add(kind);
  // Told before it is shortened, which may end in the loss of a server.
  console.log(`DIFFERS script ${index}, ${differenceText(difference)}`);
  console.log(`    ${JSON.stringify(script)}`);
  const shortest = await shrink(script, difference.step, async (candidate) => {
    if (performance.now() > tally.endMs) return false;
    const played = await pair.play(candidate);
    return played.difference !== undefined && kindOf(played.difference) === kind;
  });
  const { difference: last = difference } = await pair.play(shortest);
  console.log(`  shortest, ${differenceText(last)}`);
  console.log(scriptText(shortest));
  console.log(`    ${JSON.stringify(shortest)}`);
}

async function playOne(pair: Pair, path: string): Promise<number> {
  const script = JSON.parse(readFileSync(path, "utf8")) as Script;
  const { difference, qemu, joblog, lost } = await pair.play(script);
  console.log(scriptText(script));
  console.log(
    JSON.stringify({ qemu, joblog }, (_, value) => value instanceof Map ? [...value] : value, 1),
  );
  if (lost !== undefined) console.log(`lost: ${lost}`);
  console.log(difference === undefined ? "no difference" : differenceText(difference));
  return difference === undefined ? 0 : 1;
}

/** Runs the proof. @returns the exit status */
export async function main(args: readonly string[]): Promise<number> {
  const { seed, first, findings, play, ...values } = scriptOptions(args, {
    ...{ seed: 1, "budget-s": Infinity, scripts: Infinity, first: 0, findings: 1 },
    ...{ folder: tmpdir(), play: "" },
  });
  if (!HAS_DAEMON || !HAS_QEMU) {
    console.log(`qmp differential: skipped: ${HAS_DAEMON ? NO_QEMU : NO_DAEMON}`);
    return 0;
  }
  const time = proofTime(values["budget-s"], MARGIN_MS);
  const scriptsMax = proofCount(values.scripts, SCRIPTS, time);
  const folder = mkdtempSync(join(values.folder, "joblog-differential-"));
  const pair = new Pair(folder);
  const tally: Tally = { endMs: time.endMs, scripts: 0, commands: 0, kinds: new Set() };
  try {
    if (play !== "") return await playOne(pair, play);
    while (tally.kinds.size < findings && tally.scripts < scriptsMax && !time.isOver()) {
      const index = first + tally.scripts;
      const script = scriptFrom(seed * 1_000_003 + index);
      const { difference, lost } = await pair.play(script);
      tally.scripts += 1;
      tally.commands += script.steps.flat().length;
      if (lost !== undefined) console.log(`script ${index}: ${lost}`);
      if (difference !== undefined) await tellFinding(pair, script, index, difference, tally);
    }
  } finally {
    await pair.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  const { scripts, commands, kinds } = tally;
  const outcome = kinds.size === 0 ? "no difference" : `${kinds.size} kinds of differences`;
  console.log(`qmp differential: ${scripts} scripts, ${commands} commands, ${outcome}`);
  console.log(`qmp differential: seed ${seed}, ${time.seconds()} s`);
  if (scripts === 0) console.log("NOTHING PROVED: the budget is too short for a script");
  return kinds.size === 0 && scripts > 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
