import type { MirrorState } from "../../block/mirror_state.ts";
import type { DriverContext } from "../driver.ts";
import type { MirrorCopyMode } from "./parameters.ts";

/**
 * Whether writers keep source and target in step by themselves, told when that changes.
 *
 * Source: QEMU 8.2 block/mirror.c mirror_change, MirrorBlockJob.actively_synced.
 */
export class ActiveSync {
  readonly #state: MirrorState;
  readonly #context: Pick<DriverContext, "syncChanged">;
  #isTold = false;

  /**
   * @param state knows whether writers wait
   * @param context is told
   */
  constructor(state: MirrorState, context: Pick<DriverContext, "syncChanged">) {
    this.#state = state;
    this.#context = context;
  }

  /** From now on writers wait for the target, or do not. */
  setMode(mode: MirrorCopyMode): void {
    this.#state.copyMode = mode;
  }

  /** Nothing is dirty or in flight: if writers wait, both stay in step from here on. */
  async tell(): Promise<void> {
    if (!this.#isTold && this.#state.isBlocking) await this.#note(true);
  }

  /** A writer's bytes did not reach the target. */
  async lose(): Promise<void> {
    if (this.#isTold) await this.#note(false);
  }

  async #note(isActivelySynced: boolean): Promise<void> {
    this.#isTold = isActivelySynced;
    await this.#context.syncChanged?.(isActivelySynced);
  }
}
