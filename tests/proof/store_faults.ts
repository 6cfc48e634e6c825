/**
 * Proof by store faults: each write, sync and allocation of the store fails in its turn, under a
 * whole engine; and a real disk runs full.
 *
 *     store_faults.ts [--seed N] [--budget-s S] [--only TEXT]
 *
 * - `--seed` chooses the order of the faults when there is a budget, and how full the disk is.
 * - `--budget-s` ends the proof after so many seconds. @default every fault of a short run
 * - `--only` runs only faults whose name holds the text.
 *
 * After each fault the engine must have taken no harm, or have freed its reserve and paused, or
 * have stopped and said so; the log must hold all that was durable, verify, open, and bring every
 * job to its end. Ends with status 1 when a promise is broken. What cannot be done here is said and
 * skipped.
 */
import process from "node:process";
import { proofTime, scriptOptions } from "../support/script_options.ts";
import { whyNot } from "./power_loss/traced_run.ts";
import { proveFullDisk } from "./store_faults/full_disk.ts";
import { type FaultCase, nameOf, runFaulty } from "./store_faults/faulty_run.ts";
import { judge } from "./store_faults/judge.ts";

/** Calls with the errors that they may meet. */
const FAULTS: readonly (readonly [call: string, ...errors: readonly string[]])[] = [
  ["pwrite64", "EIO", "ENOSPC"],
  ["write", "EIO", "ENOSPC"],
  ["fdatasync", "EIO", "ENOSPC"],
  ["fsync", "EIO", "ENOSPC"],
  ["ftruncate", "EIO"],
  ["fallocate", "ENOSPC"],
  ["rename", "EIO", "ENOSPC"],
  ["unlink", "EIO"],
  ["openat", "EMFILE", "ENOSPC"],
];
const CALLS = FAULTS.map(([call]) => call);
const SOUND: FaultCase = { call: "pwrite64", errno: "EIO", nth: 0, isLasting: false };

/** A run without a fault: it must be whole, and says how many calls of each kind there are. */
async function countCalls(): Promise<ReadonlyMap<string, number>> {
  const run = await runFaulty(SOUND, CALLS);
  try {
    const verdict = await judge(SOUND, run);
    if ("breach" in verdict) throw new Error(`Without a fault: ${verdict.breach}`);
    return run.counts;
  } finally {
    run.remove();
  }
}

function casesOf(counts: ReadonlyMap<string, number>): FaultCase[] {
  const cases: FaultCase[] = [];
  for (const [call, ...errors] of FAULTS) {
    for (const errno of errors) {
      for (const isLasting of [false, true]) {
        const count = counts.get(call) ?? 0;
        for (let nth = 1; nth <= count; nth += 1) cases.push({ call, errno, nth, isLasting });
      }
    }
  }
  return cases;
}

/** The same order for the same seed. */
function shuffle<T>(items: readonly T[], seed: number): T[] {
  let state = seed >>> 0;
  const keyed = items.map((item) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return [Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) >>> 0, item] as const;
  });
  return keyed.sort(([a], [b]) => a - b).map(([, item]) => item);
}

async function proveFaults(cases: readonly FaultCase[], endMs: number): Promise<number> {
  const outcomes = new Map<string, number>();
  let breaches = 0;
  let done = 0;
  for (const fault of cases) {
    if (performance.now() > endMs) break;
    const run = await runFaulty(fault, CALLS);
    try {
      const verdict = await judge(fault, run);
      done += 1;
      if ("outcome" in verdict) {
        outcomes.set(verdict.outcome, (outcomes.get(verdict.outcome) ?? 0) + 1);
      } else {
        breaches += 1;
        console.log(`BROKEN ${nameOf(fault)}: ${verdict.breach}`);
        console.log(`  ${run.injected[0] ?? "no call failed"}`);
      }
    } finally {
      run.remove();
    }
  }
  const parts = [...outcomes].map(([outcome, count]) => `${count} ${outcome}`);
  console.log(`store faults: ${done} of ${cases.length} faults: ${parts.join(", ")}`);
  return breaches;
}

async function main(args: readonly string[]): Promise<number> {
  const defaults = { seed: 1, "budget-s": Infinity, only: "" } as const;
  const { seed, only, "budget-s": budgetS } = scriptOptions(args, defaults);
  const { hasBudget, endMs, seconds } = proofTime(budgetS);
  let breaches = await proveFullDisk(seed, hasBudget ? 3 : 12);
  const reason = whyNot();
  if (reason !== undefined) console.log(`store faults: skipped: ${reason}`);
  else {
    const cases = casesOf(await countCalls()).filter((fault) => nameOf(fault).includes(only));
    breaches += await proveFaults(hasBudget ? shuffle(cases, seed) : cases, endMs);
  }
  console.log(`store faults: ${breaches} broken promises, seed ${seed}, ${seconds()} s`);
  return breaches === 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
