/**
 * Numbers, instants and statuses for people, and tables of them.
 */
import type { JobViewValue, WriterViewValue } from "../contract.ts";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** A number of bytes: `0 B`, `1.5 MiB`. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1_024 && unit < UNITS.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

/** A speed limit: `unlimited`, or bytes per second. */
export function speedText(speed: number): string {
  return speed === 0 ? "unlimited" : `${bytesText(speed)}/s`;
}

/** An instant: ISO 8601 in UTC, to the second. */
export function instantText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}

/** An instant with its milliseconds. */
export function preciseText(ms: number): string {
  return new Date(ms).toISOString();
}

/** A duration: `250 ms`, `12.3 s`, `5 min 10 s`, `3 h 20 min`. */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${ms} ms`;
  if (ms < 60_000) return `${Math.floor(ms / 100) / 10} s`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3_600)} h ${Math.floor(seconds % 3_600 / 60)} min`;
}

/** Done of all, in bytes. */
export function progressText({ current, total, percent }: JobViewValue["progress"]): string {
  if (total === 0 && current === 0) return "-";
  return `${percent.toFixed(1)} % (${bytesText(current)} of ${bytesText(total)})`;
}

const RESTING: ReadonlySet<string> = new Set(["concluded", "null"]);

/** A status as a word; `null` is that of a dismissed job. */
export function statusWord(job: JobViewValue): string {
  return job.status === "null" ? "dismissed" : job.status;
}

/** A job's status; one that needs a process is never shown bare when there is none. */
export function statusText(job: JobViewValue, writer: WriterViewValue): string {
  const status = statusWord(job);
  const full = job.pausedBy === "logSpace" ? " [the disk of the log is full]" : "";
  const why = job.ioStatus === "ok" ? full : ` [${job.ioStatus}]${full}`;
  if (RESTING.has(job.status)) return `${status}${outcomeText(job)}`;
  if (writer.isAlive && writer.isRunning) return `${status}${why}`;
  if (writer.isAlive) return `${status}${why} (its process only takes verbs)`;
  const since = writer.since === null ? "" : ` since ${instantText(writer.since)}`;
  return `${status}${why} (no process runs this job${since})`;
}

/** How a job ended: completed, failed with its error, or cancelled; its status before that. */
export function endText(job: JobViewValue): string {
  if (job.outcome === null) return job.status;
  if (job.outcome === "cancelled" || job.error === null) return job.outcome;
  return `failed: ${job.error.text}`;
}

/** The end of a job in brackets, behind its status; nothing before it. */
export function outcomeText(job: JobViewValue): string {
  return job.outcome === null ? "" : ` (${endText(job)})`;
}

/** Columns of text, aligned, two blanks apart; the last one is as wide as it likes. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines.map((line) =>
    `${line.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()}\n`
  ).join("");
}

/** Names and values, aligned. */
export function facts(pairs: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length)) + 2;
  return pairs.map(([name, value]) => `${name.padEnd(width)}${value}\n`).join("");
}
