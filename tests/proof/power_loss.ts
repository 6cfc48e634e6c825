/**
 * Proof by power loss: a writer runs under strace, the disk is rebuilt at every system call as a
 * power loss could leave it, and every log found there is opened, verified and compared.
 *
 *     power_loss.ts [--seed N] [--budget-s S] [--states N]
 *
 * - `--seed` chooses which unsynced sectors and names survive.
 * - `--budget-s` ends the proof after so many seconds.
 * - `--states` bounds the distinct states. @default 12,000, or no bound when there is a budget
 *
 * First it is shown that the proof can fail: weakened stores must be seen to lose something. Ends
 * with status 1 when one of them does not, or when a promise is broken. Without strace, or without
 * the right to trace, it says so and does nothing.
 */
import process from "node:process";
import { randomOf } from "../support/random.ts";
import { proofCount, proofTime, scriptOptions } from "../support/script_options.ts";
import { type Exploration, explore, type ExploreOptions, lossAt } from "./power_loss/explore.ts";
import type { Random } from "./power_loss/disk.ts";
import { type RunOptions, type TracedRun, traceWriter, whyNot } from "./power_loss/traced_run.ts";
import { WEAKNESSES } from "./power_loss/weaknesses.ts";

const STATES = 12_000;
/** States in which a weakened store must have lost something. */
const STATES_OF_WEAK = 2_000;
/** States of one rescued log. */
const STATES_OF_FEW = 400;
/** The states of this run are large; moments are sampled. */
const CHECKPOINT_DENSITY = 0.1;
/** Left of the budget for the state that is looked at, and for the closing line. */
const MARGIN_MS = 4_000;

interface Budget {
  readonly random: Random;
  readonly statesMax: number;
  readonly endMs: number;
}

const total = { states: 0, repeats: 0, synced: 0, written: 0, mixed: 0, breaches: 0 };

function add(name: string, found: Exploration, sinceMs: number): void {
  const { states, repeats, rounds, moments, modes, breach } = found;
  total.states += states;
  total.repeats += repeats;
  for (const mode of ["synced", "written", "mixed"] as const) total[mode] += modes[mode];
  const seconds = ((performance.now() - sinceMs) / 1_000).toFixed(1);
  console.log(
    `${name}: ${states} states (${repeats} repeats) of ${moments} moments in ${rounds} rounds, ` +
      `${seconds} s`,
  );
  if (breach === undefined) return;
  total.breaches += 1;
  console.log(`BROKEN ${name}, ${breach.place}: ${breach.kind}: ${breach.text}`);
}

async function exploreRun(
  name: string,
  options: RunOptions,
  how: (run: TracedRun) => ExploreOptions,
): Promise<void> {
  const startMs = performance.now();
  const run = traceWriter(options);
  try {
    add(name, await explore(run, how(run)), startMs);
  } finally {
    run.remove();
  }
}

function isOverAt(endMs: number): () => boolean {
  return () => performance.now() >= endMs;
}

/** Loses power in a run, goes on with what is left, and loses power again. */
async function exploreRescued(budget: Budget): Promise<void> {
  const { random, endMs } = budget;
  const isOver = isOverAt(endMs);
  const first = traceWriter({ plan: "several" });
  try {
    for (let left = budget.statesMax; left > 0 && !isOver() && total.breaches === 0;) {
      const { image, told } = lossAt(first, random);
      const statesMax = Math.min(left, STATES_OF_FEW);
      const before = total.states;
      const name = `a log of ${told.position} events, rescued`;
      await exploreRun(name, { plan: "few", start: image }, () => {
        return { random, statesMax, isOver, told };
      });
      left -= Math.max(1, total.states - before);
    }
  } finally {
    first.remove();
  }
}

async function exploreAll({ random, statesMax, endMs }: Budget): Promise<void> {
  const part = (share: number, ofTime: number): ExploreOptions => ({
    random,
    statesMax: Math.ceil(statesMax * share),
    isOver: isOverAt(performance.now() + (endMs - performance.now()) * ofTime),
  });
  await exploreRun("several sessions", { plan: "several" }, () => part(0.6, 0.5));
  if (total.breaches > 0) return;
  await exploreRun("a WAL written back", { plan: "checkpoint" }, () => {
    return { ...part(0.1, 0.5), density: CHECKPOINT_DENSITY };
  });
  const left = Math.max(0, statesMax - total.states);
  if (total.breaches === 0) await exploreRescued({ random, statesMax: left, endMs });
}

/** How many of the weakened stores are seen to lose what they invite to lose. */
async function countFound(random: Random): Promise<number> {
  const runs = {
    full: traceWriter({ plan: "few" }),
    normal: traceWriter({ plan: "few", sync: "normal" }),
  };
  let count = 0;
  try {
    for (const { name, sync, forget } of WEAKNESSES) {
      // What was not synced is what they lose.
      const modes = ["synced"] as const;
      const bounds = { random, modes, statesMax: STATES_OF_WEAK, isOver: () => false };
      const { breach, states } = await explore(runs[sync], { ...bounds, ...forget && { forget } });
      count += breach === undefined ? 0 : 1;
      const said = breach === undefined ? "NOT FOUND" : `found as "${breach.kind}": ${breach.text}`;
      console.log(`weakened: ${name}: ${said}, state ${states}`);
    }
  } finally {
    runs.full.remove();
    runs.normal.remove();
  }
  return count;
}

async function main(args: readonly string[]): Promise<number> {
  const defaults = { seed: 1, "budget-s": Infinity, states: Infinity } as const;
  const { seed, states, "budget-s": budgetS } = scriptOptions(args, defaults);
  const reason = whyNot();
  if (reason !== undefined) {
    console.log(`power loss: skipped: ${reason}`);
    return 0;
  }
  const time = proofTime(budgetS, MARGIN_MS);
  const { endMs } = time;
  const statesMax = proofCount(states, STATES, time);
  const random = randomOf(seed);
  const found = await countFound(random);
  await exploreAll({ random, statesMax, endMs });
  console.log(
    `power loss: ${total.states} distinct states opened (${total.synced} synced only, ` +
      `${total.written} all written, ${total.mixed} mixed), ${total.repeats} repeats, ` +
      `${total.breaches} broken promises, ${found} of ${WEAKNESSES.length} ` +
      `weakened stores found, seed ${seed}, ${time.seconds()} s`,
  );
  if (total.states === 0) console.log("power loss: no time was left to look at a single state");
  return total.states > 0 && total.breaches === 0 && found === WEAKNESSES.length ? 0 : 1;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
