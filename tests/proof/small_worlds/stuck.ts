/**
 * Proves that from every state some way leads to the end: all jobs dismissed, all commands
 * answered.
 *
 * The explorer keeps, for each expanded state, the next one when everybody does their part; these
 * ways are followed until the end or a state that is known to reach it. A way that comes back to
 * itself never ends. States that were not expanded are led to the end in the same way, as far as
 * the time allows.
 */
import { type Explorer, type Fault, textOf } from "./explorer.ts";

const UNKNOWN = 0;
const REACHES = 1;
const ON_WAY = 2;
const WAY_MAX = 500;

/** What was proved. */
export interface Ends {
  /** States from which the end is reached. */
  readonly proved: number;
  /** A state from which it is not. */
  readonly fault?: Fault;
}

/** Follows the ways of one explored world. */
export class EndFinder {
  readonly #explorer: Explorer;
  readonly #marks: Uint8Array;
  #proved = 0;

  /** @param explorer after it has explored */
  constructor(explorer: Explorer) {
    this.#explorer = explorer;
    this.#marks = new Uint8Array(explorer.states.count);
  }

  /**
   * Follows the way of every state, in the order of discovery.
   *
   * @param isOver true = no time is left
   */
  find(isOver: () => boolean): Ends {
    const { states } = this.#explorer;
    for (let state = 0; state < states.count; state++) {
      if (state % 256 === 0 && isOver()) break;
      const fault = this.#faultFrom(state);
      if (fault !== undefined) return { proved: this.#proved, fault };
    }
    return { proved: this.#proved };
  }

  #faultFrom(state: number): Fault | undefined {
    try {
      const stuck = this.#follow(state);
      const text = "From here nothing leads to the end, even if everybody does their part";
      return stuck < 0 ? undefined : { text, state: stuck, action: -1 };
    } catch (error) {
      return { text: `On the way to the end: ${textOf(error)}`, state, action: -1 };
    }
  }

  /** @returns a state that never ends, or -1 */
  #follow(start: number): number {
    const { states, expanded } = this.#explorer;
    const marks = this.#marks;
    const way: number[] = [];
    let state = start;
    while (marks[state] === UNKNOWN) {
      marks[state] = ON_WAY;
      way.push(state);
      const next = state < expanded ? states.onward(state) : this.#lead(state);
      if (next < 0) return state;
      if (next === state) break;
      state = next;
    }
    if (marks[state] === ON_WAY && state !== way.at(-1)) return state;
    for (const passed of way) marks[passed] = REACHES;
    this.#proved += way.length;
    return -1;
  }

  /** Leads a state that was not expanded to the end or to an expanded one. */
  #lead(state: number): number {
    const { codec, states, expanded } = this.#explorer;
    let scene = this.#explorer.scene(state);
    for (let count = 0; count < WAY_MAX; count++) {
      const after = this.#explorer.goOn(scene);
      if (after === undefined) return state;
      codec.pack(after);
      const { low, high } = codec;
      const known = states.find(low, high);
      if (known >= 0 && (known < expanded || this.#marks[known] === REACHES)) return known;
      scene = codec.unpack(low, high);
    }
    return -1;
  }
}
