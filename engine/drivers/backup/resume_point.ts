import type { DirtyMap } from "../../block/dirty_map.ts";
import type { JsonValue } from "../driver.ts";

/** What a checkpoint of a backup holds. */
export type ResumePoint = {
  /** All bytes before this are in the target and flushed. */
  readonly offset: number;
  /** What is still to be copied: `[offset, length]` in order; its first starts at `offset`. */
  readonly todo: readonly (readonly [number, number])[];
  /** Size of the source in bytes. */
  readonly size: number;
  /** The source's stamp when the job began; absent if it has none. */
  readonly stamp?: string;
};

/**
 * Writes down what is still to be copied.
 *
 * The list is short: a pass ends at its first failure, so that what is left consists of the rest of
 * the image and of at most as many gaps as there were tasks in flight.
 */
export function resumePointOf(
  dirty: DirtyMap,
  size: number,
  stamp: string | undefined,
): ResumePoint {
  const todo = [...dirty.areas()].map(({ offset, length }): [number, number] => [offset, length]);
  const offset = todo[0]?.[0] ?? size;
  return { offset, todo, size, ...(stamp === undefined ? {} : { stamp }) };
}

function isRange(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 &&
    value.every((part) => Number.isSafeInteger(part) && part >= 0);
}

/** Reads a checkpoint back; undefined if it is not one of a backup. */
export function readResumePoint(value: JsonValue): ResumePoint | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { offset, todo, size, stamp } = value as Record<string, JsonValue | undefined>;
  if (typeof offset !== "number" || typeof size !== "number") return undefined;
  if (!Array.isArray(todo) || !todo.every(isRange)) return undefined;
  return { offset, todo, size, ...(typeof stamp === "string" ? { stamp } : {}) };
}
