/**
 * Breadth-first through one small world: every action in every state, until no new state is found
 * or the bound is reached.
 *
 * - States are numbered in the order of their discovery, so that the way to a state is a shortest
 *   one.
 * - An action that changed nothing for a member's state (a refused verb, an ignored error) is not
 *   repeated for every state of its siblings, except in one state of `RECHECK_EVERY`.
 * - For each state the next one on the way to the end is kept: `findStuck` follows these ways.
 */
import { actOf, Choices, LOCAL_COUNT } from "./actions.ts";
import { Codec, type Unpacked } from "./codec.ts";
import { isEnd, must, type Rules, type Scene } from "./scene.ts";
import { checkLate, checkScene } from "./scene_checks.ts";
import { Shell } from "./shell.ts";
import { NOWHERE, StateSet } from "./state_set.ts";
import type { World } from "./world.ts";

/** Last position of the log in front of every decision; unpacked states know none. */
const POSITION = 1_000;
const RECHECK_EVERY = 64;
const BREATH = 1_024;

/** A broken promise and the way there. */
export interface Fault {
  /** What did not hold. */
  readonly text: string;
  /** State in which the last action was tried. */
  readonly state: number;
  /** That action; -1 = the state itself is the fault. */
  readonly action: number;
}

/** Bounds of one exploration. */
export interface Bounds {
  /** Distinct states at most. */
  readonly statesMax: number;
  /** Asked now and then; true = no time is left. */
  readonly isOver: () => boolean;
  /** Chooses the states that are looked at more closely. */
  readonly seed: number;
}

/** Explores one world. */
export class Explorer {
  /** States found. */
  readonly states = new StateSet();
  /** Packs them. */
  readonly codec = new Codec();
  /** Decisions asked for. */
  transitions = 0;
  /** Actions left out because they are known to change nothing. */
  idle = 0;
  /** Length of the longest shortest way. */
  depth = 0;
  /** States of which everything was tried. */
  expanded = 0;
  readonly #rules: Rules;
  readonly #choices: Choices;
  readonly #shell: Shell;
  readonly #codes: number[] = [];
  /** Per member and its state: bits of actions tried, and of those that changed nothing. */
  readonly #tried: number[][] = [[], [], []];
  readonly #still: number[][] = [[], [], []];

  /**
   * @param world what to explore
   * @param rules the rules under proof
   */
  constructor(world: World, rules: Rules) {
    this.#rules = rules;
    this.#choices = new Choices(world, rules);
    this.#shell = new Shell(world, rules);
  }

  /** True if every state was expanded. */
  get isFinished(): boolean {
    return this.expanded === this.states.count;
  }

  /** The scene of a state. */
  scene(index: number): Unpacked {
    return this.codec.unpack(this.states.low(index), this.states.high(index));
  }

  /** Explores until the world or the bounds end; a fault ends it too. */
  explore(bounds: Bounds): Fault | undefined {
    try {
      this.#start();
    } catch (error) {
      return { text: textOf(error), state: NOWHERE, action: -1 };
    }
    let levelEnd = 1;
    while (this.expanded < this.states.count && this.states.count < bounds.statesMax) {
      if (this.expanded % BREATH === 0 && bounds.isOver()) return undefined;
      if (this.expanded === levelEnd) {
        this.depth += 1;
        levelEnd = this.states.count;
      }
      const fault = this.#expand(this.expanded, bounds.seed);
      if (fault !== undefined) return fault;
      this.expanded += 1;
    }
    return undefined;
  }

  /** One step on the way to the end; undefined = this is the end. */
  goOn(scene: Unpacked): Scene | undefined {
    const onward = this.#choices.onward(scene);
    must(onward >= 0 || isEnd(scene), "Nothing can go on, and this is no end");
    return onward < 0 ? undefined : this.#shell.perform(scene, onward, POSITION).after;
  }

  #start(): void {
    const { after } = this.#shell.create();
    checkScene(after, this.#rules);
    this.codec.pack(after);
    this.states.add(this.codec.low, this.codec.high, NOWHERE, 0);
  }

  #expand(state: number, seed: number): Fault | undefined {
    const scene = this.scene(state);
    const isClose = (state + seed) % RECHECK_EVERY === 0;
    let action = -1;
    try {
      if (isClose) checkLate(scene, this.#rules, POSITION);
      const onward = this.#choices.onward(scene);
      must(onward >= 0 || isEnd(scene), "Nothing can go on, and this is no end");
      if (onward < 0) this.states.setOnward(state, state);
      const codes = this.#codes;
      this.#choices.list(scene, codes);
      for (let at = 0; at < codes.length; at++) {
        action = codes[at]!;
        if (!isClose && action !== onward && this.#isStill(scene, action)) {
          this.idle += 1;
          continue;
        }
        const next = this.#try(state, scene, action);
        if (action === onward) this.states.setOnward(state, next);
      }
      action = onward;
      if (onward >= 0 && this.states.onward(state) === NOWHERE) {
        this.states.setOnward(state, this.#try(state, scene, onward));
      }
    } catch (error) {
      return { text: textOf(error), state, action };
    }
    return undefined;
  }

  /** Performs an action; gives the place of the state that it leads to. */
  #try(state: number, scene: Unpacked, action: number): number {
    this.transitions += 1;
    const { after } = this.#shell.perform(scene, action, POSITION);
    this.codec.pack(after, scene);
    const { low, high } = this.codec;
    const added = this.states.add(low, high, state, action);
    const place = added < 0 ? -1 - added : added;
    if (action >> 3 < LOCAL_COUNT) this.#remember(scene, action, place === state);
    if (added < 0) checkScene(after, this.#rules);
    if (actOf(action).kind.startsWith("reopen")) this.#checkRepeated(after, action, low, high);
    return place;
  }

  /** A crash during a recovery changes nothing: the next one comes to the same. */
  #checkRepeated(scene: Scene, action: number, low: number, high: number): void {
    if (isEnd(scene)) return;
    const { after } = this.#shell.perform(scene, action, POSITION + 500);
    this.codec.pack(after);
    const isSame = this.codec.low === low && this.codec.high === high;
    must(isSame, "A second recovery came to something else");
  }

  #isStill(scene: Unpacked, action: number): boolean {
    const kind = action >> 3;
    if (kind >= LOCAL_COUNT) return false;
    const still = this.#still[action & 7]![scene.numbers[action & 7]!] ?? 0;
    return (still >>> kind & 1) === 1;
  }

  /** What was once seen to change nothing must never change anything. */
  #remember(scene: Unpacked, action: number, isStill: boolean): void {
    const [slot, bit] = [action & 7, 1 << (action >> 3)];
    const member = scene.numbers[slot]!;
    const tried = this.#tried[slot]![member] ?? 0;
    const still = this.#still[slot]![member] ?? 0;
    const isNew = (tried & bit) === 0;
    must(
      isNew || isStill === ((still & bit) !== 0),
      "Whether a verb or an error changes anything depends on other members",
    );
    if (!isNew) return;
    this.#tried[slot]![member] = tried | bit;
    this.#still[slot]![member] = isStill ? still | bit : still;
  }
}

/** The words of anything thrown. */
export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
