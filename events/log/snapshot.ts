/**
 * Snapshots: folding a stream or the whole log from the newest stored state instead of from zero.
 *
 * Invariants:
 *
 * - folding from a snapshot gives what folding from zero gives; a snapshot only saves time, and
 *   one that is missing, of another fold version or not accepted is passed over;
 * - a snapshot holds durable events only; it is kept beside earlier ones, never replaced.
 *
 * Called by whoever folds: the engine at opening, views, the replay room.
 * Source: DESIGN.md, The log, Evolution and snapshots.
 */
import type { JsonValue } from "./event.ts";
import type { Fold, Folded } from "./fold.ts";
import type { EventReader, EventStore } from "./store.ts";
import type { Upcast } from "./upcast.ts";

/** What is folded, and how far. */
export interface FoldOptions {
  /** Only this stream. @default the whole log */
  readonly stream?: string;
  /** Last position to look at, inclusive. @default the end */
  readonly to?: number;
  /** Whether stored snapshots are used. @default true */
  readonly snapshots?: boolean;
  /** Turns old event shapes into today's. */
  readonly upcast?: Upcast;
}

/** A folded state, and how much work it was. */
export interface FoldedFrom<State> extends Folded<State> {
  /** Position of the snapshot that it began from; 0 = from zero. */
  readonly snapshotPosition: number;
  /** How many events were folded after it. */
  readonly eventCount: number;
}

/** The name that a fold's snapshots are stored under. */
export function snapshotName<State extends JsonValue>(fold: Fold<State>, stream?: string): string {
  return stream === undefined ? fold.name : `${fold.name}/${stream}`;
}

async function newest<State extends JsonValue>(
  reader: EventReader,
  fold: Fold<State>,
  name: string,
  to: number,
): Promise<Folded<State>> {
  let before = to;
  while (before > 0) {
    const row = await reader.snapshot(name, fold.foldVersion, before);
    if (row === undefined) break;
    if (fold.accepts?.(row.state) ?? true) {
      return { state: row.state as State, position: row.position };
    }
    before = row.position - 1;
  }
  return { state: fold.initial(), position: 0 };
}

/**
 * Folds a stream or the whole log, beginning from the newest snapshot at or before `to`.
 *
 * @throws {JoblogError} code "unknownEvent" when a writer's upcast meets an unknown event
 *
 * @example How many events a stream has
 * ```ts
 * import { type EventReader, type Fold, foldLog } from "./mod.ts";
 * const counting: Fold<number> = {
 *   name: "count",
 *   foldVersion: 1,
 *   initial: () => 0,
 *   evolve: (count) => count + 1,
 * };
 * const countOf = async (reader: EventReader, stream: string) =>
 *   (await foldLog(reader, counting, { stream })).state;
 * if (typeof countOf !== "function") throw new Error("unreachable");
 * ```
 */
export async function foldLog<State extends JsonValue>(
  reader: EventReader,
  fold: Fold<State>,
  options: FoldOptions = {},
): Promise<FoldedFrom<State>> {
  const end = (await reader.end()).position;
  const to = Math.min(options.to ?? end, end);
  const name = snapshotName(fold, options.stream);
  const start = options.snapshots === false
    ? { state: fold.initial(), position: 0 }
    : await newest(reader, fold, name, to);
  let { state } = start;
  let eventCount = 0;
  if (start.position < to) {
    const events = reader.readAll({
      from: start.position + 1,
      to,
      ...(options.stream === undefined ? {} : { stream: options.stream }),
      ...(options.upcast === undefined ? {} : { upcast: options.upcast }),
    });
    for await (const event of events) {
      state = fold.evolve(state, event);
      eventCount++;
    }
  }
  return { state, position: to, snapshotPosition: start.position, eventCount };
}

/**
 * Stores a folded state, so that later folds begin from it.
 *
 * @throws {JoblogError} code "invalidArgument" when the position is not durable yet
 * @throws {JoblogError} code "invalidRecord" when the state is no JSON without floats
 */
export async function takeSnapshot<State extends JsonValue>(
  store: EventStore,
  fold: Fold<State>,
  folded: Folded<State>,
  stream?: string,
): Promise<void> {
  const { state, position } = folded;
  const { foldVersion } = fold;
  await store.putSnapshot({ name: snapshotName(fold, stream), position, foldVersion, state });
}

/**
 * Whether a snapshot is due: when the count of events passes a multiple of `every`.
 *
 * @param before how many events were in before, such as a stream's version
 * @param after how many are in now
 * @param every events between two snapshots, 1 or more; DESIGN.md has 250 for a stream
 */
export function snapshotDue(before: number, after: number, every: number): boolean {
  return Math.floor(after / every) > Math.floor(before / every);
}
