import type { After } from "./sse.ts";

/** How long stopped commands of one actor are counted before the count is recorded. */
export const TALLY_MS = 60_000;

/** Records so many stopped commands of an actor. */
export type RecordThrottled = (actor: string, count: number, windowMs: number) => Promise<void>;

/**
 * Counts the commands that were stopped before the door, and has them recorded: one count per actor
 * and minute, so that a flood leaves a trace in the log and not a second flood.
 */
export class ThrottleTally {
  readonly #record: RecordThrottled;
  readonly #after: After;
  readonly #counts = new Map<string, { count: number; cancel: () => void }>();

  /**
   * @param record puts a count on record; a rejection is not the client's business
   * @param after timers
   */
  constructor(record: RecordThrottled, after: After) {
    this.#record = record;
    this.#after = after;
  }

  /** Counts one command. */
  add(actor: string): void {
    const tally = this.#counts.get(actor);
    if (tally !== undefined) tally.count += 1;
    else {
      const cancel = this.#after(TALLY_MS, () => this.#flush(actor));
      this.#counts.set(actor, { count: 1, cancel });
    }
  }

  /** Has everything recorded that was counted; for the end of the server. */
  end(): void {
    for (const actor of [...this.#counts.keys()]) this.#flush(actor);
  }

  #flush(actor: string): void {
    const tally = this.#counts.get(actor);
    if (tally === undefined) return;
    this.#counts.delete(actor);
    tally.cancel();
    // The log can be closed or full by now; the command itself was refused all the same.
    this.#record(actor, tally.count, TALLY_MS).catch(() => {});
  }
}
