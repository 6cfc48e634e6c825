import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { DecidedEvent, Decision } from "../../engine/core/mod.ts";
import { ACTS } from "./small_worlds/actions.ts";
import { prove, type Result } from "./small_worlds/prove.ts";
import { RULES, type Rules } from "./small_worlds/scene.ts";
import { NOWHERE, StateSet } from "./small_worlds/state_set.ts";
import { ALL_ABILITIES, sketch, type World, WORLDS } from "./small_worlds/world.ts";

const CLOSING = ["prepare", "commit", "abort", "clean"] as const;

/** Two jobs that can do enough to break any promise, and are small enough to be finished. */
const PAIR: World = {
  name: "pair of the test",
  jobs: [
    sketch(["pause", "fails", "faults", "soft"], { callbacks: CLOSING, isResumable: true }),
    sketch(["fails"], { callbacks: ["commit"], autoFinalize: false, autoDismiss: false }),
  ],
  isGroup: true,
  isStarted: true,
  crashes: true,
  offline: true,
};

function proveOne(world: World, rules: Rules, seed = 1): Result {
  const results: Result[] = [];
  const budget = { statesMax: 1e6, elapsedMsMax: Infinity, seed, now: () => 0 };
  prove([world], rules, budget, (result) => results.push(result));
  return results[0]!;
}

type Change = (event: DecidedEvent) => readonly DecidedEvent[];

/** The product's rules with every decision changed event by event; positions move, causes go. */
function broken(change: Change): Rules {
  const uncaused = ({ stream, type, data }: DecidedEvent) => ({ stream, type, data });
  const changed = (decision: Decision) => ({
    ...decision,
    events: decision.events.flatMap(change).map(uncaused),
  });
  return {
    ...RULES,
    decideVerb: (...args) => changed(RULES.decideVerb(...args)),
    decideSignal: (...args) => changed(RULES.decideSignal(...args)),
    decideRecovery: (...args) => changed(RULES.decideRecovery(...args)),
    decideStopped: (...args) => changed(RULES.decideStopped(...args)),
  };
}

const without = (type: string): Change => (event) => event.type === type ? [] : [event];

const BROKEN: readonly { name: string; rules: Rules; says: RegExp }[] = [
  {
    name: "forget to resume a job before it aborts",
    rules: broken(without("JobResumed")),
    says: /A run ended in paused/,
  },
  {
    name: "conclude before the decision",
    rules: broken(without("TxnDecided")),
    says: /before the decision|Cancelled undecided/,
  },
  {
    name: "soften a force cancel",
    rules: broken((event) => {
      if (event.type !== "JobCancelRequested") return [event];
      return [{ ...event, data: { ...event.data, force: false } } as DecidedEvent];
    }),
    says: /A force cancel left no mark/,
  },
  {
    name: "leave a refused command out of the log",
    rules: broken(without("VerbRefused")),
    says: /The command has 0 records/,
  },
  {
    name: "never answer a finalize",
    rules: broken(without("VerbAnswered")),
    says: /A later answer got lost|Nothing can go on/,
  },
  {
    name: "overturn a decision at a recovery",
    rules: {
      ...RULES,
      decideRecovery: (txn, cannot, position) =>
        RULES.decideRecovery({ ...txn, decision: null }, cannot, position),
    },
    says: /Decided twice|overturned/,
  },
  {
    name: "forget that clean is due",
    rules: {
      ...RULES,
      dueWork(txn) {
        const due = RULES.dueWork(txn);
        return due?.kind === "callback" && due.callback === "clean" ? undefined : due;
      },
    },
    says: /Nothing can go on, and this is no end/,
  },
  {
    name: "take up internal pauses that nobody will end",
    rules: broken(without("JobResumeRequested")),
    says: /A resume left a pause|nobody woke it|outlived/,
  },
];

describe("small worlds", () => {
  it("hold every promise in a finished world, and each state reaches the end", () => {
    const result = proveOne(PAIR, RULES);
    assertEquals(result.counterexample, undefined);
    assert(result.isFinished && result.states > 500, `${result.states} states`);
    assertEquals(result.ends, result.states);
    assertEquals(result.expanded, result.states);
  });

  it("explore the same whatever the seed", () => {
    const [one, other] = [proveOne(PAIR, RULES, 1), proveOne(PAIR, RULES, 2)];
    assertEquals([one.states, one.depth], [other.states, other.depth]);
  });

  for (const { name, rules, says } of BROKEN) {
    it(`find rules that ${name}`, () => {
      const lines = proveOne(PAIR, rules).counterexample ?? [];
      assertMatch(lines.at(-1) ?? "nothing was found", says);
      assertEquals(lines[0], `world: ${PAIR.name}`);
    });
  }

  it("differ from each other, so that their states may be added up", () => {
    const plans = WORLDS.map(({ jobs, isGroup, isStarted }) =>
      JSON.stringify([isGroup, isStarted, jobs.map((job) => ({ ...job, abilities: 0 }))])
    );
    assertEquals(new Set(plans).size, WORLDS.length);
  });

  it("try every ability somewhere", () => {
    const used = new Set(WORLDS.flatMap(({ jobs }) => jobs.flatMap((job) => [...job.abilities])));
    assertEquals([...used].sort(), [...ALL_ABILITIES].sort());
    assert(ACTS.length < 64, "an action's code must fit in 16 bits, its kind in bits of a mask");
  });
});

describe("StateSet", () => {
  it("keeps each pair of halves once, with the edge by which it was found first", () => {
    const states = new StateSet();
    const known = new Map<string, number>();
    let chance = 7;
    const next = (bound: number) =>
      (chance = Math.imul(chance, 1_664_525) + 1_013_904_223 >>> 0) % bound;
    for (let i = 0; i < 50_000; i++) {
      const [low, high] = [next(200), next(200) + 0xffff_ff00 >>> 0];
      const key = `${low} ${high}`;
      const added = states.add(low, high, i === 0 ? NOWHERE : 0, i % 60_000);
      assertEquals(added, known.get(key) ?? -1 - known.size);
      if (!known.has(key)) known.set(key, known.size);
    }
    assertEquals(states.count, known.size);
    for (const [key, index] of known) {
      const [low, high] = key.split(" ").map(Number) as [number, number];
      assertEquals([states.find(low, high), states.low(index)], [index, low]);
    }
    assertEquals(states.find(201, 0), -1);
  });
});
