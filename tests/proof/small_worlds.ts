/**
 * Proof by small worlds: breadth-first over every interleaving of what users, drivers, the engine
 * and crashes can do to transactions of up to three jobs.
 *
 *     small_worlds.ts [--seed N] [--budget-s S] [--states N] [--world TEXT]
 *
 * - `--seed` chooses which states are looked at more closely; it does not change what is explored.
 * - `--budget-s` ends the proof after so many seconds; what was not finished is said.
 * - `--states` bounds the distinct states of all worlds together.
 *   @default 10,000,000, or no bound when there is a budget of time
 * - `--world` explores only worlds whose name holds the text.
 *
 * Ends with status 1 and a shortest counterexample when a promise of the machine is broken.
 */
import process from "node:process";
import { proofCount, proofTime, scriptOptions } from "../support/script_options.ts";
import { prove, type Result } from "./small_worlds/prove.ts";
import { RULES } from "./small_worlds/scene.ts";
import { WORLDS } from "./small_worlds/world.ts";

const STATES = 10_000_000;

/** One line on a world. */
function lineOf(result: Result): string {
  const { world, states, expanded, transitions, depth, ends, folds } = result;
  const extent = result.isFinished ? "finished" : `cut at ${expanded} expanded`;
  const perSecond = Math.round(states * 1_000 / Math.max(1, result.elapsedMs));
  return `${world.name}: ${states} states, ${transitions} transitions, depth ${depth}, ` +
    `${extent}, ${ends} reach the end, ${folds} histories folded, ${perSecond} states/s`;
}

function main(args: readonly string[]): number {
  const defaults = { seed: 1, "budget-s": Infinity, states: Infinity, world: "" } as const;
  const { seed, world, ...values } = scriptOptions(args, defaults);
  const time = proofTime(values["budget-s"]);
  const statesMax = proofCount(values.states, STATES, time);
  const worlds = WORLDS.filter(({ name }) => name.includes(world));
  const results: Result[] = [];
  const now = () => performance.now();
  const startMs = now();
  const isProved = prove(worlds, RULES, {
    statesMax,
    elapsedMsMax: time.endMs - startMs,
    seed,
    now,
  }, (result) => {
    results.push(result);
    console.log(lineOf(result));
    for (const line of result.counterexample ?? []) console.log(line);
  });
  summarize(results, worlds.length, seed, now() - startMs);
  return isProved ? 0 : 1;
}

function summarize(results: readonly Result[], count: number, seed: number, ms: number): void {
  const sum = (number: (result: Result) => number) =>
    results.reduce((total, result) => total + number(result), 0);
  const states = sum((result) => result.states);
  const finished = results.filter(({ isFinished }) => isFinished).length;
  const mib = Math.max(0, ...results.map(({ bytes }) => bytes)) / 2 ** 20;
  console.log(
    `small worlds: ${states} distinct states, ${sum(({ transitions }) => transitions)} ` +
      `transitions (${sum(({ idle }) => idle)} more known to change nothing), depth ` +
      `${Math.max(0, ...results.map(({ depth }) => depth))}, ${finished} of ${count} worlds ` +
      `finished, ${sum(({ ends }) => ends)} states shown to reach the end, seed ${seed}, ` +
      `${(ms / 1_000).toFixed(1)} s, ${Math.round(states * 1_000 / ms)} states/s, largest set ` +
      `${mib.toFixed(0)} MiB`,
  );
}

if (import.meta.main) process.exit(main(process.argv.slice(2)));
