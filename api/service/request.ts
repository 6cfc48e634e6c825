/**
 * Checks what came in against the contract; every fault is an `invalidRequest` that names its
 * field.
 */
import { JoblogError } from "../../events/log/errors.ts";
import { check, type Moment, momentOf, type Output, type Schema } from "../contract.ts";

/** The error for a request that does not fit. */
export function invalidRequest(
  field: string,
  fault: string,
  actual?: string | number,
): JoblogError<"invalidRequest"> {
  const subject = field === "" ? "body" : field;
  return new JoblogError("invalidRequest", `Cannot take the request: "${subject}" ${fault}`, {
    subject,
    ...(actual === undefined ? {} : { actual }),
    hint: "The contract is at /v1/openapi.json.",
  });
}

/** What was found, in a few characters; objects are not shown, as they may be without end. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/**
 * Parses a value by a schema of the contract.
 *
 * @throws {JoblogError} code "invalidRequest"; `subject` is the path of the field, such as
 * `jobs.0.speed`
 */
export function parsed<S extends Schema>(schema: S, value: unknown): Output<S> {
  const result = check(schema, value);
  if ("output" in result) return result.output;
  const { field, fault, found } = result;
  if (found === undefined) throw invalidRequest(field, fault);
  throw invalidRequest(field, fault, shown(found));
}

/**
 * Reads a moment of the log.
 *
 * @throws {JoblogError} code "invalidRequest" when the text is neither position nor instant
 */
export function momentFrom(text: string): Moment {
  const moment = momentOf(text);
  if (moment !== undefined) return moment;
  const fault = "must be a position, ms since 1970, or an ISO 8601 instant with its zone";
  throw invalidRequest("at", fault, shown(text));
}
