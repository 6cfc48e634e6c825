import { instant } from "../job/mod.ts";
import type { Timeline, TimelineEntry } from "./timeline.ts";

/** One line of a timeline as data, for tables. */
export interface TimelineLine {
  /** ISO 8601 in UTC, with milliseconds. */
  readonly at: string;
  /** The status that begins, or the kind of a note. */
  readonly label: string;
  /** True for a status. */
  readonly isStatus: boolean;
  /** How long the status lasted, such as `12.3 s`; empty for a note and for a dismissed job. */
  readonly duration: string;
  /** Who, and over which way in. */
  readonly who: string;
  /** What happened and why. */
  readonly text: string;
  /** Global position of the event. */
  readonly position: number;
}

/**
 * A duration for people: `250 ms`, `12.3 s`, `5 min 10 s`, `3 h 20 min`.
 *
 * @param ms milliseconds, 0 or more
 */
export function durationText(ms: number): string {
  if (ms < 1_000) return `${ms} ms`;
  if (ms < 60_000) return `${Math.floor(ms / 100) / 10} s`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3_600)} h ${Math.floor(seconds % 3_600 / 60)} min`;
}

/** A dismissed job stays so for ever: how long that is says nothing. */
function spanText({ status, until, durationMs }: TimelineEntry): string {
  if (status === "null") return "";
  return durationText(durationMs) + (until === null ? " so far" : "");
}

/** The lines of a timeline: statuses and notes in the order of the log. */
export function timelineLines(view: Timeline): readonly TimelineLine[] {
  const statuses = view.entries.map((entry): TimelineLine => ({
    at: instant(entry.since),
    label: entry.status,
    isStatus: true,
    duration: spanText(entry),
    who: `${entry.actor} over ${entry.via}`,
    text: entry.error === null ? entry.why : `${entry.why} [${entry.error.errno}]`,
    position: entry.position,
  }));
  const notes = view.notes.map((note): TimelineLine => ({
    at: instant(note.at),
    label: note.kind,
    isStatus: false,
    duration: "",
    who: `${note.actor} over ${note.via}`,
    text: note.text,
    position: note.position,
  }));
  return [...statuses, ...notes].sort((one, other) => one.position - other.position);
}
