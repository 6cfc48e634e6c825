import type { JobEvent } from "../job/mod.ts";
import { isJobEvent } from "../job/mod.ts";
import type { RecordedEvent } from "../log/event.ts";

/**
 * A pure fold of events into a read model.
 *
 * `evolve` owns the state that it gets: it may change it in place and return the same object, so
 * nobody else keeps one between two events. What the query functions of a view hand out is a copy
 * and never changes afterwards.
 *
 * @typeParam State the read model; not shared between folds
 */
export interface Projection<State> {
  /** Name of the read model, such as `jobs`. */
  readonly name: string;
  /** Version of the fold; a state made by another one is of no use. */
  readonly foldVersion: number;
  /** The state before the first event. */
  initial(): State;
  /** Folds the next event, in global order. Unknown types only leave a mark in `gaps`. */
  evolve(state: State, event: RecordedEvent): State;
}

/** Events that a fold met and could not understand; a view with gaps is incomplete. */
export interface Gaps {
  /** How many. */
  count: number;
  /** Global position of the first; null = the view is complete. */
  firstPosition: number | null;
}

/** No gaps yet. */
export function noGaps(): Gaps {
  return { count: 0, firstPosition: null };
}

/**
 * Says whether an event can be folded, and leaves a mark if not.
 *
 * Streams of rooms that have no jobs in them are not a gap: only `job-`, `txn-` and `engine` are.
 */
export function isUnderstood(event: RecordedEvent, gaps: Gaps): event is RecordedEvent & JobEvent {
  if (isJobEvent(event)) return true;
  if (/^(job-|txn-|engine$)/.test(event.stream)) {
    gaps.count += 1;
    gaps.firstPosition ??= event.position;
  }
  return false;
}

/**
 * Folds events from the beginning.
 *
 * @example Count the events of a list
 * ```ts
 * import { fold } from "./projection.ts";
 * import { statistics } from "./statistics.ts";
 * if (fold(statistics, []).eventCount !== 0) throw new Error("there was none");
 * ```
 */
export function fold<State>(
  projection: Projection<State>,
  events: Iterable<RecordedEvent>,
): State {
  let state = projection.initial();
  for (const event of events) state = projection.evolve(state, event);
  return state;
}

/** {@linkcode fold} over events that arrive one by one, such as a read of a log. */
export async function foldAll<State>(
  projection: Projection<State>,
  events: AsyncIterable<RecordedEvent>,
): Promise<State> {
  let state = projection.initial();
  for await (const event of events) state = projection.evolve(state, event);
  return state;
}
