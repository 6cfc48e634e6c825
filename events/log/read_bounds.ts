/**
 * Checks of the numbers that readers pass in.
 *
 * Called by `reader.ts`, `subscription.ts` and `event_store.ts`.
 */
import { JoblogError } from "./errors.ts";

/** The error for an option that is no safe integer of `least` or more. */
export function invalidArgument(
  name: string,
  value: unknown,
  least: number,
): JoblogError<"invalidArgument"> {
  return new JoblogError(
    "invalidArgument",
    `Cannot use option "${name}": ${String(value)} is no integer of ${least} or more`,
    { subject: name, expected: least, actual: String(value) },
  );
}

/**
 * The option, or its default.
 *
 * @throws {JoblogError} code "invalidArgument" when it is no safe integer of `least` or more
 */
export function bound(
  name: string,
  value: number | undefined,
  least: number,
  otherwise: number,
): number {
  if (value === undefined) return otherwise;
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw invalidArgument(name, value, least);
}
