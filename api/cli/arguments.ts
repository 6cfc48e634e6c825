/**
 * Arguments as people write them.
 */
import { JoblogError } from "../service.ts";

/** What helps whoever wrote a command that cannot be understood. */
export const HELP_HINT = 'Put "--help" behind the command to see what it takes.';

/** The error for an argument that cannot be understood. */
export function usageError(name: string, fault: string, actual: string): JoblogError<"usage"> {
  return new JoblogError("usage", `Cannot use ${name} "${actual}": it ${fault}`, {
    subject: name,
    actual,
    hint: HELP_HINT,
  });
}

const FACTORS: { readonly [suffix: string]: number } = {
  "": 1,
  K: 1_024,
  M: 1_024 ** 2,
  G: 1_024 ** 3,
  T: 1_024 ** 4,
};

/**
 * Bytes, with an optional suffix K, M, G or T of 1,024: `512K`, `1.5M`, `0`.
 *
 * A negative number passes: it is for the job layer to refuse, so that it is recorded.
 *
 * @throws {JoblogError} code "usage"
 */
export function bytesOf(name: string, text: string): number {
  const match = /^(-?\d{1,15}(?:\.\d{1,3})?)([KMGT]?)(?:i?B)?$/i.exec(text);
  const bytes = match === null
    ? NaN
    : Math.round(Number(match[1]) * FACTORS[match[2]!.toUpperCase()]!);
  if (Number.isSafeInteger(bytes)) return bytes;
  throw usageError(name, "is no number of bytes such as 0, 512K, 1.5M or 2T, below 8192T", text);
}

/**
 * A whole number of 0 or more.
 *
 * @throws {JoblogError} code "usage"
 */
export function countOf(name: string, text: string, max = Number.MAX_SAFE_INTEGER): number {
  const count = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(count) && count <= max) return count;
  const most = max === Number.MAX_SAFE_INTEGER ? "0 or more" : `0 to ${max}`;
  throw usageError(name, `is no whole number of ${most}`, text);
}

/**
 * The id of a job, as far as a path of the writer's socket can name it. What is no id otherwise is
 * for the job layer to refuse.
 *
 * @throws {JoblogError} code "usage"
 */
export function idOf(text: string): string {
  if (!/^\.{0,2}$/.test(text)) return text;
  throw usageError("id", "names no job", text);
}
