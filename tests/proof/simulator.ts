/**
 * Proof by simulation: whole engines with toy drivers on virtual time, in worlds that seeds decide.
 *
 *     simulator.ts [--seed N] [--budget-s S] [--runs N]
 *
 * - `--seed` is the first seed; the others follow it.
 * - `--budget-s` ends the proof after so many seconds.
 * - `--runs` bounds the runs. @default 10,000, or no bound when there is a budget of time
 *
 * Ends with status 1 when a promise is broken, and says the seed and how few actions of it still
 * break one. `deno task sim --seed N` tells the story of one run.
 */
import process from "node:process";
import { type RunResult, simulate } from "../sim/simulate.ts";
import { proofCount, proofTime, scriptOptions } from "../support/script_options.ts";

const RUNS = 10_000;
/** Failing seeds after which the proof gives up. */
const BREACHES_MAX = 5;
/** Runs that the search for a short run may take. */
const SHORTEN_RUNS = 40;

/** The run with fewer actions that still breaks a promise. */
async function shorten(seed: number, longest: RunResult): Promise<RunResult> {
  let best = longest;
  let [low, high] = [0, longest.actions];
  for (let count = 0; count < SHORTEN_RUNS && low < high; count++) {
    const actions = Math.floor((low + high) / 2);
    const result = await simulate({ seed, actions });
    if (result.breach === undefined) low = actions + 1;
    else {
      best = result;
      high = actions;
    }
  }
  return best;
}

async function reportBreach(seed: number, result: RunResult): Promise<void> {
  const short = await shorten(seed, result);
  console.log(`BROKEN seed ${seed}: ${result.breach?.slice(0, 600)}`);
  console.log(
    `  after ${short.actions} of ${result.actions} actions: ${short.breach?.slice(0, 600)}`,
  );
  console.log(`  deno task sim --seed ${seed} --actions ${short.actions}`);
}

async function main(args: readonly string[]): Promise<number> {
  const defaults = { seed: 1, "budget-s": Infinity, runs: Infinity } as const;
  const { seed: first, ...values } = scriptOptions(args, defaults);
  const time = proofTime(values["budget-s"]);
  const runsMax = proofCount(values.runs, RUNS, time);
  const tally: Record<string, number> = {};
  let breaches = 0;
  let runs = 0;
  console.log(`simulator: first seed ${first}`);
  for (; runs < runsMax && !time.isOver() && breaches < BREACHES_MAX; runs++) {
    const seed = first + runs;
    const result = await simulate({ seed });
    for (const [what, n] of Object.entries(result.tally)) tally[what] = (tally[what] ?? 0) + n;
    if (result.breach === undefined) continue;
    breaches += 1;
    await reportBreach(seed, result);
  }
  console.log(`simulator: ${Object.entries(tally).map(([what, n]) => `${n} ${what}`).join(", ")}`);
  console.log(
    `simulator: ${runs} runs, seeds ${first} to ${first + runs - 1}, ${breaches} broken ` +
      `promises, ${time.seconds()} s`,
  );
  return breaches === 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
