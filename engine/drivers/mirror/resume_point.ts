import type { DirtyArea } from "../../block/dirty_map.ts";
import type { JsonValue } from "../driver.ts";

/** Ranges that a checkpoint names at most; more are joined, and then cover clean ones, too. */
export const RESUME_AREAS_MAX = 256;

/** What a checkpoint of a mirror holds. */
export type MirrorResumePoint = {
  /** What is still to be copied: `[offset, length]` in order. All else is flushed. */
  readonly todo: readonly (readonly [number, number])[];
  /** Size of the source in bytes. */
  readonly size: number;
  /** The source's stamp when `todo` was true; absent if it has none. */
  readonly stamp?: string;
};

/** Joins neighbours over the smallest gaps until few enough are left. */
function joined(areas: readonly DirtyArea[]): [number, number][] {
  const ranges = areas.map(({ offset, length }): [number, number] => [offset, length]);
  const excess = ranges.length - RESUME_AREAS_MAX;
  if (excess <= 0) return ranges;
  const gapAfter = (index: number) => {
    const [offset, length] = ranges[index]!;
    return ranges[index + 1]![0] - offset - length;
  };
  const order = ranges.slice(1).map((_, index) => index).sort((a, b) => gapAfter(a) - gapAfter(b));
  const bridged = new Set(order.slice(0, excess));
  const result: [number, number][] = [];
  ranges.forEach(([offset, length], index) => {
    const last = result.at(-1);
    if (last !== undefined && bridged.has(index - 1)) last[1] = offset + length - last[0];
    else result.push([offset, length]);
  });
  return result;
}

/** Writes down what is still to be copied. */
export function mirrorResumePoint(
  areas: Iterable<DirtyArea>,
  size: number,
  stamp: string | undefined,
): MirrorResumePoint {
  const todo = joined([...areas]);
  return { todo, size, ...(stamp === undefined ? {} : { stamp }) };
}

function isRange(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 &&
    value.every((part) => Number.isSafeInteger(part) && part >= 0);
}

/** Reads a checkpoint back; undefined if it is not one of a mirror. */
export function readMirrorResumePoint(value: JsonValue | undefined): MirrorResumePoint | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { todo, size, stamp } = value as Record<string, JsonValue | undefined>;
  if (typeof size !== "number" || !Array.isArray(todo) || !todo.every(isRange)) return undefined;
  return { todo, size, ...(typeof stamp === "string" ? { stamp } : {}) };
}
