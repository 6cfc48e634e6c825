/**
 * Walks the way to a state once more, this time with everything that packing drops: positions,
 * instants, the whole history.
 *
 * It prints counterexamples, and it proves for single states that a fold of all their events from
 * the first one, read back from JSON, is the state that the way led to and the state that was kept.
 */
import { evolveTxn, initialTxn, type JobEvent } from "../../../events/job/mod.ts";
import { describeAction } from "./actions.ts";
import { type Explorer, type Fault, textOf } from "./explorer.ts";
import { must, type Rules, type Scene } from "./scene.ts";
import { recorded, Shell } from "./shell.ts";
import { NOWHERE } from "./state_set.ts";
import type { World } from "./world.ts";

/** Actions from the start to a state. */
export function wayTo({ states }: Explorer, state: number): number[] {
  const way: number[] = [];
  for (let at = state; states.parent(at) !== NOWHERE; at = states.parent(at)) {
    way.push(states.action(at));
  }
  return way.reverse();
}

/** Performs actions one after the other, from the creation on, and keeps every event. */
class Walk {
  scene: Scene;
  readonly events: JobEvent[] = [];
  readonly #shell: Shell;

  constructor(world: World, rules: Rules) {
    this.#shell = new Shell(world, rules);
    const { after, events } = this.#shell.create();
    this.scene = after;
    for (const event of events) this.events.push(recorded(event, this.events.length + 1));
  }

  /** @returns the events of this action */
  take(action: number): readonly JobEvent[] {
    const start = this.events.length;
    const { after, events } = this.#shell.perform(this.scene, action, start);
    this.scene = after;
    for (const event of events) this.events.push(recorded(event, this.events.length + 1));
    return this.events.slice(start);
  }
}

/** Proves that the fold of a state's whole history is that state. */
export function checkFold(explorer: Explorer, world: World, rules: Rules, state: number): void {
  const walk = new Walk(world, rules);
  for (const action of wayTo(explorer, state)) walk.take(action);
  const { txn } = walk.scene;
  const read = JSON.parse(JSON.stringify(walk.events)) as readonly JobEvent[];
  const folded = read.reduce(evolveTxn, initialTxn(txn.txnId, txn.isGroup));
  const [one, other] = [JSON.stringify(folded), JSON.stringify(txn)];
  must(one === other, `The fold of the history is ${one} and not ${other}`);
  explorer.codec.pack(walk.scene);
  const { low, high } = explorer.codec;
  const isKept = explorer.states.low(state) === low && explorer.states.high(state) === high;
  must(isKept, "The way to a state leads elsewhere when it is walked with its whole history");
}

/** The lines of a counterexample: each action with its events, then what did not hold. */
export function counterexample(
  explorer: Explorer,
  world: World,
  rules: Rules,
  fault: Fault,
): string[] {
  const way = fault.state === NOWHERE ? [] : wayTo(explorer, fault.state);
  if (fault.action >= 0) way.push(fault.action);
  const lines = [`world: ${world.name}`];
  try {
    const walk = new Walk(world, rules);
    lines.push("0. creation", ...walk.events.map(lineOf));
    way.forEach((action, index) => {
      lines.push(`${index + 1}. ${describeAction(action)}`);
      lines.push(...walk.take(action).map(lineOf));
    });
    lines.push(...walk.scene.txn.jobs.map((job) => `   ${job.id} is ${job.status}`));
  } catch (error) {
    lines.push(`   ${textOf(error)}`);
  }
  return [...lines, `broken: ${fault.text}`];
}

function lineOf({ position, stream, type, data }: JobEvent): string {
  const text = JSON.stringify(data);
  return `   ${position} ${stream} ${type} ${
    text.length > 120 ? `${text.slice(0, 117)}...` : text
  }`;
}
