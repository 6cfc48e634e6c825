/**
 * What a checkpoint of a backup holds, and how much of it.
 *
 * A pass ends at its first failure, so that what is left mostly is the rest of the image and as
 * many gaps as there were tasks in flight. Writers beside the job, and the clusters of a single
 * layer, can scatter it much more: then a `top` says from where on the layer tells, and what cannot
 * be told in so few ranges is not told, and the job cannot go on from there.
 *
 * Used by `job.ts` and `preparation.ts`.
 */

import type { DirtyMap } from "../../block/dirty_map.ts";
import type { JsonValue } from "../driver.ts";

/** Most ranges that a checkpoint lists. */
export const RESUME_RANGES_MAX = 4_096;

/** What a checkpoint of a backup holds. */
export type ResumePoint = {
  /** All bytes before this are in the target and flushed, or are not to be copied. */
  readonly offset: number;
  /** What is still to be copied: `[offset, length]` in order. */
  readonly todo: readonly (readonly [number, number])[];
  /** From here on everything that the top layer holds is still to be copied, too. */
  readonly layerFrom?: number;
  /** True if what is left was in too many pieces to be listed. */
  readonly isScattered?: boolean;
  /** Size of the source in bytes. */
  readonly size: number;
  /** The source's stamp when the job began; absent if it has none. */
  readonly stamp?: string;
};

/** The point before anything was copied. */
export function firstPoint(
  start: Pick<ResumePoint, "todo"> & {
    readonly layerFrom: number | undefined;
    readonly stamp: string | undefined;
  },
  size: number,
): ResumePoint {
  const { todo, layerFrom, stamp } = start;
  return {
    offset: todo[0]?.[0] ?? layerFrom ?? size,
    todo,
    size,
    ...(layerFrom === undefined ? {} : { layerFrom }),
    ...(stamp === undefined ? {} : { stamp }),
  };
}

/** What a resume point is made of. */
export interface ResumeFacts {
  /** What is still to be copied, or is in work, or was not flushed yet. */
  readonly left: DirtyMap;
  /** Nothing from here on was touched by a pass. */
  readonly frontier: number;
  /** True if the top layer alone says what lies behind the frontier. */
  readonly isLayerWhole: boolean;
  /** The source's stamp when the job began. */
  readonly stamp: string | undefined;
}

/** Lists ranges until `end`; undefined if there are too many. */
function listUntil(left: DirtyMap, end: number): [number, number][] | undefined {
  const ranges: [number, number][] = [];
  for (const { offset, length } of left.areas()) {
    if (offset >= end) break;
    if (ranges.length === RESUME_RANGES_MAX) return undefined;
    ranges.push([offset, Math.min(length, end - offset)]);
  }
  return ranges;
}

/** Writes down what is still to be copied. */
export function resumePointOf(facts: ResumeFacts): ResumePoint {
  const { left, frontier, isLayerWhole, stamp } = facts;
  const { size } = left;
  const known = { size, ...(stamp === undefined ? {} : { stamp }) };
  const all = listUntil(left, Infinity);
  if (all !== undefined) return { offset: all[0]?.[0] ?? size, todo: all, ...known };
  const near = isLayerWhole ? listUntil(left, frontier) : undefined;
  if (near === undefined) return { offset: 0, todo: [], isScattered: true, ...known };
  return { offset: near[0]?.[0] ?? frontier, todo: near, layerFrom: frontier, ...known };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isRange(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 && value.every(isCount);
}

/** Reads a checkpoint back; undefined if it is not one of a backup. */
export function readResumePoint(value: JsonValue): ResumePoint | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { offset, todo, size, stamp, layerFrom, isScattered } = value as {
    readonly [name: string]: JsonValue | undefined;
  };
  if (!isCount(offset) || !isCount(size)) return undefined;
  if (!Array.isArray(todo) || !todo.every(isRange)) return undefined;
  return {
    offset,
    todo,
    size,
    ...(isCount(layerFrom) ? { layerFrom } : {}),
    ...(isScattered === true ? { isScattered } : {}),
    ...(typeof stamp === "string" ? { stamp } : {}),
  };
}
