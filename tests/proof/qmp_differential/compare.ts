/** Where two servers differ: the first step in which they do, and how. */
import type { Played } from "./play.ts";
import { type JobNotes, notesOf, type Script, textOf } from "./script.ts";
import type { StepTrace } from "./trace.ts";

/** The first difference of one script. */
export interface Difference {
  /** Number of the step, from 0; that behind the last is the cleaning up. */
  readonly step: number;
  /** What differs. */
  readonly what: "replies" | "events" | "order" | "jobs" | "nodes" | "rest" | "left" | "place";
  /** Which command or job. */
  readonly subject: string;
  readonly qemu: string;
  readonly joblog: string;
}

type Found = Omit<Difference, "step">;

/** Commands that have told all events of theirs when they reply. */
const SYNCHRONOUS = /^(block-)?job-(finalize|dismiss)$/;

/**
 * Events of a job. Whether a member of a group was ready to end when another one failed is chance.
 */
function eventsOf({ events }: StepTrace, job: string, { groups }: JobNotes): readonly string[] {
  const own = events.get(job) ?? [];
  const others = (groups.get(job) ?? []).filter((id) => id !== job);
  const hasFailed = (id: string) =>
    events.get(id)?.some((text) => /^COMPLETED .*: /.test(text)) === true;
  const isBrokenOff = own.some((text) => text.startsWith("CANCELLED")) && others.some(hasFailed);
  return isBrokenOff ? own.filter((text) => text !== "waiting") : own;
}

/** The first lines that are not the same. */
function firstOther(
  qemu: readonly string[],
  joblog: readonly string[],
): { readonly qemu: string; readonly joblog: string } {
  const at = qemu.findIndex((text, index) => text !== joblog[index]);
  const index = at < 0 ? qemu.length : at;
  return { qemu: qemu[index] ?? "none", joblog: joblog[index] ?? "none" };
}

function differenceOf(
  step: Script["steps"][number],
  a: StepTrace,
  b: StepTrace,
  notes: JobNotes,
): Found | undefined {
  for (const [index, command] of step.entries()) {
    const [qemu, joblog] = [a.replies[index] ?? "none", b.replies[index] ?? "none"];
    if (qemu !== joblog) return { what: "replies", subject: textOf(command), qemu, joblog };
  }
  for (const job of new Set([...a.events.keys(), ...b.events.keys()])) {
    const [qemu, joblog] = [a, b].map((trace) => eventsOf(trace, job, notes).join(", "));
    if (qemu !== joblog) {
      return { what: "events", subject: job, qemu: qemu!, joblog: joblog! };
    }
  }
  if (a.rests !== b.rests) {
    const [qemu, joblog] = [a, b].map(({ rests, jobs }) => rests ? "rests" : jobs.join("; "));
    return { what: "rest", subject: "", qemu: qemu!, joblog: joblog! };
  }
  if (!a.rests) return undefined;
  const [qemu, joblog] = [a.jobs.join("\n"), b.jobs.join("\n")];
  if (qemu !== joblog) return { what: "jobs", subject: "", ...firstOther(a.jobs, b.jobs) };
  if (a.nodes.join("\n") !== b.nodes.join("\n")) {
    return { what: "nodes", subject: "", ...firstOther(a.nodes, b.nodes) };
  }
  if (step.length === 1 && SYNCHRONOUS.test(step[0]!.execute)) {
    const [one, other] = [a.ends.join(", "), b.ends.join(", ")];
    if (one !== other) return { what: "order", subject: "", qemu: one, joblog: other };
    const [before, ours] = [a.early.join(", "), b.early.join(", ")];
    if (before !== ours) return { what: "place", subject: "", qemu: before, joblog: ours };
  }
  return undefined;
}

/** @returns the first difference; undefined = there is none */
export function compare(script: Script, qemu: Played, joblog: Played): Difference | undefined {
  const notes = notesOf(script);
  for (const [index, step] of script.steps.entries()) {
    const [a, b] = [qemu.steps[index], joblog.steps[index]];
    if (a === undefined || b === undefined) break;
    const found = differenceOf(step, a, b, notes);
    if (found !== undefined) return { step: index, ...found };
  }
  const [a, b] = [qemu.left.join(", "), joblog.left.join(", ")];
  if (a === b) return undefined;
  return { step: script.steps.length, what: "left", subject: "", qemu: a, joblog: b };
}

/** The kind of a difference: what is left of it without names and numbers. */
export function kindOf({ what, subject, qemu, joblog }: Difference): string {
  const command = what === "replies" ? subject.split(" ")[0] : "";
  const words = (text: string) => text.replace(/\d+/g, "0").replace(/'[^']*'/g, "''");
  return `${what} ${command} [${words(qemu)}] [${words(joblog)}]`;
}

/** A difference as it is told. */
export function differenceText({ step, what, subject, qemu, joblog }: Difference): string {
  return `step ${step}, ${what} ${subject}\n    qemu:   ${qemu}\n    joblog: ${joblog}`;
}
