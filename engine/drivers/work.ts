/** How a driver tells of its work: steps, progress, and what the limit lets it do. */

import type { JsonObject } from "../../events/log/event.ts";

/** What is recorded about one unit of work. */
export interface DriverStep {
  /**
   * What was done: `copied`, `zeroed`, `skipped`, `hole` for the four storage drivers; a driver of
   * another kind chooses its own word (1 to 32 characters of `a-z 0-9 -`). Neighbouring steps of
   * the mergeable kinds `zeroed`, `skipped` and `hole` are recorded as one.
   */
  readonly kind: string;
  /** Where the unit starts, in the driver's unit (bytes for the four). 0 or more. */
  readonly offset: number;
  /** How long it is. 0 or more. */
  readonly length: number;
  /** How much it adds to the progress's `current`. @default length */
  readonly work?: number;
  /** More that is worth knowing later. Kept small; never a guest's data. */
  readonly detail?: JsonObject;
}

/** A place in the order of steps, taken when parallel work is issued. */
export interface StepTicket {
  /** The work is done: it is recorded as soon as all work issued before it is done or dropped. */
  done(step: DriverStep): void;
  /** The work was not done: nothing is recorded. */
  drop(): void;
}

/** The two numbers of a job's progress; both 0 at the start. */
export interface ProgressMeter {
  /** Work done. Never decreases, but for a recovery that goes back to a checkpoint. */
  readonly current: number;
  /** Work in all, as far as known; may rise and fall. */
  readonly total: number;
  /** total = current + remaining. */
  setRemaining(remaining: number): void;
  /** total += delta. */
  increaseRemaining(delta: number): void;
}

/** The job's own limiter, with QEMU's slices of 100 ms. */
export interface SpeedLimit {
  /** Bytes per second; 0 = unlimited. */
  readonly bytesPerSecond: number;
  /**
   * Accounts `length` bytes as dispatched and says how long to wait. `account(0)` only asks.
   *
   * @returns milliseconds to sleep before more is dispatched; 0 = none
   */
  account(length: number): number;
}
