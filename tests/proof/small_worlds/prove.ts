/**
 * Proves the small worlds one after the other, within a budget of states and time.
 *
 * Worlds that are small are finished; what is left of the budget is shared by those that are not.
 */
import { Explorer, type Fault, textOf } from "./explorer.ts";
import { checkFold, counterexample } from "./retrace.ts";
import type { Rules } from "./scene.ts";
import { EndFinder } from "./stuck.ts";
import type { World } from "./world.ts";

/** States per world whose whole history is folded. */
const FOLDS = 200;
/** Part of a world's time that is kept for what follows its exploration. */
const AFTERWARDS = 0.2;

/** What was found out about one world. */
export interface Result {
  readonly world: World;
  /** Distinct states. */
  readonly states: number;
  /** States in which everything was tried. */
  readonly expanded: number;
  /** Decisions asked for. */
  readonly transitions: number;
  /** Actions that were left out because they are known to change nothing. */
  readonly idle: number;
  /** Length of the longest shortest way. */
  readonly depth: number;
  /** True if there is no further state. */
  readonly isFinished: boolean;
  /** States from which the end was shown to be reached. */
  readonly ends: number;
  /** Histories folded from their first event. */
  readonly folds: number;
  /** Milliseconds. */
  readonly elapsedMs: number;
  /** Bytes of the set of states. */
  readonly bytes: number;
  /** Lines of a counterexample; absent = every promise held. */
  readonly counterexample?: readonly string[];
}

/** Bounds of a proof. */
export interface Budget {
  /** Distinct states of all worlds together. */
  readonly statesMax: number;
  /** Milliseconds for all worlds together. */
  readonly elapsedMsMax: number;
  /** Chooses samples. */
  readonly seed: number;
  /** A monotonic clock in milliseconds. */
  readonly now: () => number;
}

/** Proves worlds and tells about each. Ends at the first that breaks a promise. */
export function prove(
  worlds: readonly World[],
  rules: Rules,
  budget: Budget,
  tell: (result: Result) => void,
): boolean {
  const startMs = budget.now();
  let states = 0;
  for (const [index, world] of worlds.entries()) {
    const left = worlds.length - index;
    const elapsedMsMax = (budget.elapsedMsMax - (budget.now() - startMs)) / left;
    const statesMax = Math.ceil((budget.statesMax - states) / left);
    if (elapsedMsMax <= 0 || statesMax <= 0) break;
    const result = proveWorld(world, rules, { ...budget, statesMax, elapsedMsMax });
    tell(result);
    if (result.counterexample !== undefined) return false;
    states += result.states;
  }
  return true;
}

function proveWorld(world: World, rules: Rules, budget: Budget): Result {
  const { now, seed, statesMax, elapsedMsMax } = budget;
  const startMs = now();
  const isOver = () => now() - startMs > elapsedMsMax * (1 - AFTERWARDS);
  const explorer = new Explorer(world, rules);
  let fault = explorer.explore({ statesMax, isOver, seed });
  const ends = fault === undefined
    ? new EndFinder(explorer).find(() => now() - startMs > elapsedMsMax)
    : { proved: 0 };
  fault ??= ends.fault;
  let folds = 0;
  while (fault === undefined && folds < FOLDS) {
    const state = (seed * 7_919 + folds * 104_729) % explorer.states.count;
    fault = foldFault(explorer, world, rules, state);
    folds += 1;
  }
  return {
    world,
    states: explorer.states.count,
    expanded: explorer.expanded,
    transitions: explorer.transitions,
    idle: explorer.idle,
    depth: explorer.depth,
    isFinished: explorer.isFinished,
    ends: ends.proved,
    folds,
    elapsedMs: now() - startMs,
    bytes: explorer.states.bytes,
    ...(fault && { counterexample: counterexample(explorer, world, rules, fault) }),
  };
}

function foldFault(
  explorer: Explorer,
  world: World,
  rules: Rules,
  state: number,
): Fault | undefined {
  try {
    checkFold(explorer, world, rules, state);
    return undefined;
  } catch (error) {
    return { text: textOf(error), state, action: -1 };
  }
}
