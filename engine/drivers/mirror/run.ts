import type { DirtyArea } from "../../block/dirty_map.ts";
import type { MirrorState } from "../../block/mirror_state.ts";

/** A run of granules, handed out from its beginning on. */
export class Run {
  readonly #state: MirrorState;
  #rest: DirtyArea | undefined;

  /** @param area what was taken of the state */
  constructor(state: MirrorState, area: DirtyArea) {
    this.#state = state;
    this.#rest = area;
  }

  /** What was not handed out. */
  get rest(): DirtyArea | undefined {
    return this.#rest;
  }

  /** Hands out its next bytes; whoever gets them settles them. */
  take(length: number): DirtyArea {
    const rest = this.#rest!;
    if (length >= rest.length) {
      this.#rest = undefined;
      return rest;
    }
    const [first, second] = this.#state.cut(rest, length);
    this.#rest = second;
    return first;
  }

  /** What was not handed out is dirty again. */
  giveBack(): void {
    if (this.#rest !== undefined) this.#state.settle(this.#rest, false);
  }
}
