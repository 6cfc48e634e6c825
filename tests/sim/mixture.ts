/**
 * What can happen in a simulated world, and how often in this one.
 */
import type { Chance } from "./chance.ts";

/** One thing that happens next. */
export type Action =
  | "unit"
  | "command"
  | "time"
  | "subscriber"
  | "check"
  | "eio"
  | "enospc"
  | "snapshot"
  | "crash"
  | "close"
  | "second";

/** Each run has its own mixture, so that rare things happen often in some; a few have no faults. */
export function weightsOf(chance: Chance): readonly (readonly [number, Action])[] {
  const isCalm = chance.isOneIn(4);
  const rare = (weight: number): number =>
    isCalm || chance.isOneIn(2) ? 0 : chance.between(1, weight);
  return [
    [chance.between(400, 1_600), "unit"],
    [chance.between(80, 480), "command"],
    [chance.between(20, 240), "time"],
    [chance.between(40, 240), "subscriber"],
    [80, "check"],
    [rare(4), "eio"],
    [rare(8), "enospc"],
    [rare(8), "snapshot"],
    [rare(16), "crash"],
    [rare(12), "close"],
    [rare(4), "second"],
  ];
}
