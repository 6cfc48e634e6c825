/**
 * How an error leaves the command line: words and a hint, or one JSON object, on standard error;
 * and its exit status from the one table.
 */
import { ERROR_TABLE, type ErrorReport, EXIT, isErrorCode, reportOf } from "../errors.ts";
import { HELP_HINT } from "./arguments.ts";
import type { Terminal } from "./host.ts";

/** Writes an error and returns the exit status. */
export function reportFailure(terminal: Terminal, thrown: unknown, json: boolean): number {
  const report = readable(thrown);
  const { code, message, subject, expected, actual, hint, exit } = report;
  if (json) {
    const error = { code, message, subject, expected, actual, hint, exitStatus: EXIT[exit] };
    terminal.err(`${JSON.stringify({ error })}\n`);
  } else {
    terminal.err(`joblog: ${namingJob(report)}\n`);
    if (hint !== undefined) terminal.err(`hint: ${hint}\n`);
  }
  return EXIT[exit];
}

/** QEMU's words do not say which job it was that is not there. */
function namingJob({ code, message, subject }: ErrorReport): string {
  if (code !== "unknownJob" || subject === undefined || message.includes(subject)) return message;
  return `${message}: "${subject}"`;
}

/** On the command line the user and the program are one: a fault is told as it is. */
function readable(thrown: unknown): ErrorReport {
  const report = reportOf(thrown);
  // The contract of the HTTP front is nothing that this user has.
  if (report.code === "invalidRequest") return { ...report, hint: HELP_HINT };
  if (report.code !== "internal") return report;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const code = (thrown as { readonly code?: unknown } | null)?.code;
  // A driver's own refusal has a code of its own, and is a refusal all the same.
  if (thrown instanceof Error && thrown.name === "JoblogError" && !isErrorCode(code)) {
    return { ...ERROR_TABLE.verbRefused, code: "internal", message: text };
  }
  return { ...report, ...imageFailure(thrown), message: text };
}

/** An image that cannot be read or made is no fault of the program. */
function imageFailure(thrown: unknown): Partial<ErrorReport> {
  if (!(thrown instanceof Error) || thrown.name !== "BlockError") return {};
  const { subject, hint } = thrown as { readonly subject?: string; readonly hint?: string };
  const known = { ...(subject === undefined ? {} : { subject }) };
  return { ...known, ...(hint === undefined ? {} : { hint }), code: "openFailed", exit: "failed" };
}
