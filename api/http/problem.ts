/**
 * Errors as problem documents.
 *
 * Source: RFC 9457, Problem Details for HTTP APIs.
 */
import type { ProblemValue } from "../contract.ts";
import { type ErrorReport, reportOf } from "../errors.ts";

/** Media type of a problem document. */
export const PROBLEM_TYPE = "application/problem+json";

/** The document of an error. */
export function problemOf(report: ErrorReport): ProblemValue {
  const { code, title, status, message, subject, expected, actual, hint } = report;
  return {
    type: `urn:joblog:error:${code}`,
    title,
    status,
    detail: message,
    code,
    ...(subject === undefined ? {} : { subject }),
    ...(expected === undefined ? {} : { expected }),
    ...(actual === undefined ? {} : { actual }),
    ...(hint === undefined ? {} : { hint }),
  };
}

/** The response for anything that was thrown. */
export function problemResponse(
  thrown: unknown,
  headers: { readonly [name: string]: string } = {},
): Response {
  const problem = problemOf(reportOf(thrown));
  return new Response(`${JSON.stringify(problem)}\n`, {
    status: problem.status,
    headers: { "content-type": PROBLEM_TYPE, "cache-control": "no-store", ...headers },
  });
}
