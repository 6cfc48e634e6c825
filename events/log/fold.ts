/**
 * Folds: pure functions from events to a state, and where their stored states live.
 *
 * Called by snapshots and projections, and by everybody who writes one.
 */
import type { JsonValue, RecordedEvent } from "./event.ts";

/**
 * A pure fold of events into a state.
 *
 * `evolve` must not change the state that it was given, must know no clock and no chance, and must
 * give the same state for the same events for ever, or get a new `foldVersion`.
 */
export interface Fold<State extends JsonValue> {
  /** Names the fold; stored states are found under it. */
  readonly name: string;
  /** Raised whenever `initial` or `evolve` change; states of another version are ignored. */
  readonly foldVersion: number;
  /** The state before the first event. */
  initial(): State;
  /** The state after one more event. */
  evolve(state: State, event: RecordedEvent): State;
  /**
   * Whether a stored value is a state of this fold; others are ignored, as if they were missing.
   * @default every value is
   */
  accepts?(state: JsonValue): boolean;
}

/** A state and where in the log it stands. */
export interface Folded<State> {
  /** The state. */
  readonly state: State;
  /** Position of the last event of the log that was looked at; 0 = none. */
  readonly position: number;
}
