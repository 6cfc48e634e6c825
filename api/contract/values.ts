/**
 * The small values of the contract: ids, speeds, positions, JSON.
 *
 * Ranges that the job layer itself refuses (a malformed id, a negative speed) pass here: they are
 * commands, are refused with the job layer's own text, and are recorded.
 */
import { z } from "zod";

/** Deepest nesting of a job's parameters. */
export const PARAMETERS_DEPTH_MAX = 32;

/** Longest text of an id, a type or a key. */
export const NAME_LENGTH_MAX = 200;

/** First number that is an instant and not a position: ms since 1970 of March 1973. */
export const FIRST_INSTANT_MS = 100_000_000_000;

/** A schema's output with everything in it read-only: what the service hands out. */
export type Plain<T> = T extends (infer Item)[] ? readonly Plain<Item>[]
  : T extends object ? { readonly [K in keyof T]: Plain<T[K]> }
  : T;

/** A whole number that JSON carries without loss. */
export const wholeNumber = z.number({ error: "must be a number" })
  .refine((value) => Number.isSafeInteger(value), { error: "must be a safe integer" })
  .meta({ type: "integer" });

/** A position in the log. */
export const position = wholeNumber.describe("Position in the log: 1, 2, 3 ...; 0 = before all");

/** An instant. */
export const instant = wholeNumber.describe("Milliseconds since 1970 UTC");

/** A name that a person chose. */
export const name = z.string({ error: "must be a string" }).min(1, { error: "must not be empty" })
  .max(NAME_LENGTH_MAX, { error: `must have at most ${NAME_LENGTH_MAX} characters` });

/** A speed as it is asked for; the job layer refuses a negative one. */
export const speed = wholeNumber.describe("Bytes per second; 0 = unlimited");

/** Where a value stands that no record can hold, in words; undefined if all is well. */
function recordFault(value: unknown, path: string, depth: number): string | undefined {
  if (value === null || typeof value === "boolean") return undefined;
  if (typeof value === "string") return value.isWellFormed() ? undefined : `${path} is no text`;
  if (typeof value === "number") {
    return Number.isSafeInteger(value) ? undefined : `${path} is no safe integer`;
  }
  if (typeof value !== "object") return `${path} is no JSON`;
  if (depth >= PARAMETERS_DEPTH_MAX) return `${path} is nested too deeply`;
  for (const [key, member] of Object.entries(value)) {
    const fault = recordFault(member, `${path}.${key}`, depth + 1);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** A driver's parameters: any JSON object without floats. */
export const parameters = z.record(z.string(), z.unknown(), { error: "must be an object" })
  .superRefine((value, context) => {
    const fault = recordFault(value, "it", 0);
    if (fault !== undefined) {
      context.addIssue({ code: "custom", message: `cannot be kept: ${fault}` });
    }
  })
  .describe("The driver's parameters: JSON without floats");

/** A moment of the log: a position or an instant. */
export type Moment = { readonly position: number } | { readonly time: number };

const WITH_ZONE = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?$/;

/**
 * Reads a moment: an integer below 100,000,000,000 is a position, one from there on is ms since
 * 1970 UTC, anything else an ISO 8601 instant with its zone (or a date, which is midnight UTC).
 *
 * @returns undefined when the text is none of these
 */
export function momentOf(text: string): Moment | undefined {
  if (/^\d{1,16}$/.test(text)) {
    const value = Number(text);
    if (!Number.isSafeInteger(value)) return undefined;
    return value < FIRST_INSTANT_MS ? { position: value } : { time: value };
  }
  if (!WITH_ZONE.test(text)) return undefined;
  const time = Date.parse(text);
  return Number.isNaN(time) || time < 0 ? undefined : { time };
}
