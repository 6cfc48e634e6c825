/**
 * Checks what came in against the contract; every fault is an `invalidRequest` that names its field.
 */
import type { z } from "zod";
import { JoblogError } from "../../events/log/errors.ts";
import { type Moment, momentOf } from "../contract.ts";

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

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  let found = value;
  for (const key of path) {
    if (typeof found !== "object" || found === null) return undefined;
    found = (found as { readonly [key: PropertyKey]: unknown })[key];
  }
  return found;
}

/**
 * Parses a value by a schema of the contract.
 *
 * @throws {JoblogError} code "invalidRequest"; `subject` is the path of the field, such as
 * `jobs.0.speed`
 */
export function parsed<S extends z.ZodType>(schema: S, value: unknown): z.infer<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  if (issue.code === "unrecognized_keys") {
    throw invalidRequest([...issue.path, issue.keys[0]!].join("."), "is not known");
  }
  const found = at(value, issue.path);
  const field = issue.path.join(".");
  if (found === undefined && field !== "") throw invalidRequest(field, "is missing");
  const fault = field === "" && issue.code === "invalid_type" ? "must be an object" : issue.message;
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
