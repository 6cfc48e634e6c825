import type { EventReader } from "../log/store.ts";
import { JoblogError } from "../log/errors.ts";

/** A place in a log: a global position, or an instant in ms since 1970 UTC. Default: the end. */
export interface Place {
  /** Global position, inclusive; 0 = before the first event. */
  readonly position?: number;
  /** Milliseconds since 1970 UTC, inclusive. Ignored when a position is given. */
  readonly time?: number;
}

/**
 * The position that a place means, not beyond the end of the log.
 *
 * @throws {JoblogError} code "invalidArgument" when it is no integer of 0 or more
 */
export async function positionOf(reader: EventReader, place: Place): Promise<number> {
  const { position: end } = await reader.end();
  const { position, time } = place;
  for (const [name, value] of [["position", position], ["time", time]] as const) {
    if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) continue;
    throw new JoblogError("invalidArgument", `Cannot look at ${name} ${value}: it is no instant`, {
      subject: name,
      expected: "an integer of 0 or more",
      actual: value,
    });
  }
  if (position !== undefined) return Math.min(position, end);
  if (time !== undefined) return await reader.positionAt(time);
  return end;
}
