import type { z } from "zod";
import type { Plain } from "./values.ts";

/** A schema of the contract. */
export type Schema = z.ZodType;

/** What a schema lets through. */
export type Output<S extends Schema> = Plain<z.infer<S>>;

/** What does not fit. */
export interface Misfit {
  /** Path of the field, such as `jobs.0.speed`; empty for the value as a whole. */
  readonly field: string;
  /** What is wrong with it, to be read after its name. */
  readonly fault: string;
  /** What was found there. */
  readonly found: unknown;
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  let found = value;
  for (const key of path) {
    if (typeof found !== "object" || found === null) return undefined;
    found = (found as { readonly [key: PropertyKey]: unknown })[key];
  }
  return found;
}

/** Checks a value by a schema of the contract; of several faults the first is told. */
export function check<S extends Schema>(
  schema: S,
  value: unknown,
): { readonly output: Output<S> } | Misfit {
  const result = schema.safeParse(value);
  if (result.success) return { output: result.data as Output<S> };
  const issue = result.error.issues[0]!;
  if (issue.code === "unrecognized_keys") {
    const field = [...issue.path, issue.keys[0]!].join(".");
    return { field, fault: "is not known", found: undefined };
  }
  const found = at(value, issue.path);
  const field = issue.path.join(".");
  if (found === undefined && field !== "") return { field, fault: "is missing", found };
  const isBody = field === "" && issue.code === "invalid_type";
  return { field, fault: isBody ? "must be an object" : issue.message, found };
}
