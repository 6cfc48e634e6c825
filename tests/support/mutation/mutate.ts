/**
 * Mutation testing: changes the code in thousands of small ways and asks the tests about each.
 *
 *     mutate.ts [--only TEXT] [--seed N] [--sample N] [--budget-s S] [--verbose]
 *
 * - Mutated are the language of jobs, the rules of the machine and the Merkle tree (`MUTATED`);
 *   `--only` takes the files whose path holds a text.
 * - `--sample` tries so many mutants, chosen by `--seed`. @default all
 * - `--budget-s` ends after so many seconds. @default no bound
 *
 * The mutants are Stryker's. They stand in a copy, all at once, each behind a switch, so that one
 * process tries thousands; a case runs only for mutants that it meets. Survivors that stand in
 * `survivors.md` have their reason there. Ends with status 1 when less than 90 % were killed.
 * Needs npm once, for the instrumenter.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { randomOf } from "../random.ts";
import { proofTime, scriptOptions } from "../script_options.ts";
import { Foreman, type Verdict } from "./foreman.ts";
import type { Mutant } from "./instrument.ts";
import { filesBelow, makeWorkshop } from "./workshop.ts";

/** What is mutated. */
const MUTATED = ["engine/core", "events/job", "events/log/merkle.ts", "events/log/proofs.ts"];
/**
 * Whose cases may kill: those that are quick, as a survivor meets them all. Cases of the shell are
 * left out: under a mutant of the rules they wait for what never comes until patience ends.
 */
const TESTS = [
  "tests/engine/core",
  "tests/events/job",
  "tests/events/log",
  "tests/events/replay",
  "tests/events/views",
];
const NOT_RUN = /(broken_stores|memory_store|appender|subscription)_test/;
const SHARE_MIN = 0.9;

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** A mutant as one line: where, in which line, what becomes what. */
function describeMutant(
  { fileName, location, replacement, mutatorName }: Mutant,
  source: string,
): string {
  const lines = source.split("\n");
  const { start, end } = location;
  const first = lines[start.line] ?? "";
  const from = start.line === end.line
    ? first.slice(start.column, end.column)
    : `${first.slice(start.column)} ...`;
  return `\`${fileName}\` ${mutatorName} in \`${first.trim()}\`: \`${from}\` -> ` +
    `\`${replacement.replace(/\s+/g, " ")}\``;
}

/** Texts of survivors that have a reason. */
function explained(): ReadonlySet<string> {
  const text = readFileSync(new URL("./survivors.md", import.meta.url), "utf8");
  return new Set(
    text.split("\n").filter((line) => line.startsWith("- `")).map((line) => line.slice(2)),
  );
}

function sampleOf(mutants: readonly Mutant[], count: number, seed: number): readonly Mutant[] {
  const random = randomOf(seed);
  const keyed = mutants.map((mutant) => [random(), mutant] as const);
  const chosen = keyed.sort((a, b) => a[0] - b[0]).slice(0, count).map(([, mutant]) => mutant);
  return chosen.sort((a, b) => Number(a.id) - Number(b.id));
}

interface Tally {
  tried: number;
  killed: number;
  hangs: number;
  survived: number;
  unmet: number;
}

function count(tallies: Map<string, Tally>, { mutant, outcome }: Verdict): void {
  const zero = { tried: 0, killed: 0, hangs: 0, survived: 0, unmet: 0 };
  for (const name of [mutant.fileName, "all"]) {
    const tally = tallies.get(name) ?? { ...zero };
    tally.tried += 1;
    tally[outcome] += 1;
    tallies.set(name, tally);
  }
}

const shareOf = ({ tried, killed, hangs }: Tally) => (killed + hangs) / Math.max(1, tried);

function print(tallies: ReadonlyMap<string, Tally>): void {
  for (const [name, tally] of [...tallies].sort(([a], [b]) => a < b ? -1 : 1)) {
    const { tried, killed, hangs, survived, unmet } = tally;
    const share = (100 * shareOf(tally)).toFixed(1).padStart(5);
    console.log(
      `${share} %  ${name}: ${tried} mutants, ${killed} killed, ${hangs} hang, ` +
        `${survived} survived, ${unmet} never met`,
    );
  }
}

async function main(args: readonly string[]): Promise<number> {
  const defaults = {
    only: "",
    seed: 1,
    sample: Infinity,
    "budget-s": Infinity,
    verbose: false,
  } as const;
  const { only, seed, sample, verbose, "budget-s": budgetS } = scriptOptions(args, defaults);
  const time = proofTime(budgetS, 0);
  const files = MUTATED.flatMap((path) => filesBelow(root, path, ".ts"))
    .filter((file) => file.includes(only) && !file.endsWith("/mod.ts"));
  const tests = TESTS.flatMap((path) => filesBelow(root, path, "_test.ts"))
    .filter((file) => !NOT_RUN.test(file));
  const workshop = makeWorkshop(root, files);
  const textOf = (mutant: Mutant) =>
    describeMutant(mutant, workshop.sources.get(mutant.fileName) ?? "");
  const tallies = new Map<string, Tally>();
  const survivors = new Map<string, Verdict>();
  const chosen = sample === Infinity ? workshop.mutants : sampleOf(workshop.mutants, sample, seed);
  try {
    const foreman = new Foreman(workshop.folder, tests.map((file) => join(workshop.folder, file)));
    await foreman.run(chosen, time.isOver, (ready) => {
      console.log(`${chosen.length} of ${workshop.mutants.length} mutants, ${ready.cases} cases`);
      for (const name of ready.failed) console.log(`fails without a mutant: ${name}`);
    }, (verdict) => {
      count(tallies, verdict);
      const { mutant, outcome } = verdict;
      if (outcome === "killed" && verbose) {
        console.log(`killed ${textOf(mutant)} by ${verdict.by}`);
      }
      if (outcome === "survived" || outcome === "unmet") {
        survivors.set(textOf(mutant), verdict);
      }
    });
  } finally {
    workshop.remove();
  }
  const known = explained();
  const open = [...survivors].filter(([text]) => ![...known].some((line) => line.startsWith(text)));
  for (const [text, { mutant, outcome }] of open) {
    console.log(`${outcome} line ${mutant.location.start.line + 1} - ${text}`);
  }
  print(tallies);
  const all = tallies.get("all");
  const share = all === undefined ? 0 : shareOf(all);
  console.log(
    `mutation: ${all?.tried ?? 0} mutants, ${(100 * share).toFixed(1)} % killed, ` +
      `${survivors.size - open.length} survivors with a reason, ${open.length} without, seed ` +
      `${seed}, ${time.seconds()} s`,
  );
  return share >= SHARE_MIN ? 0 : 1;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
