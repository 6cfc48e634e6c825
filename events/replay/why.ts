/**
 * Why a field of a job has its value, and why a verb would be refused.
 *
 * Both are look-ups: the folded state keeps the position of the event that set each explained
 * field, and the verb table says what a status accepts.
 *
 * Source: DESIGN.md, What users of such systems ask for; QEMU 7.2 job.c JobVerbTable.
 */
import {
  acceptsVerb,
  causeReads,
  explain,
  type ExplainedField,
  instant,
  isJobEvent,
  type JobEvent,
  type JobState,
  type JobStatus,
  type JobVerb,
  KnownCauses,
  nameOf,
  VERB_TABLE,
  verbRefusalText,
} from "../job/mod.ts";
import type { JsonValue, Via } from "../log/event.ts";
import type { EventReader } from "../log/store.ts";
import { atJob, type AtOptions, type JobName } from "./at.ts";

/** Where a field's value came from. */
export interface Reason {
  /** The field. */
  readonly field: ExplainedField;
  /** Its value at that moment. */
  readonly value: JsonValue;
  /** The event that set it; null = nothing did, it has its first value. */
  readonly event: JobEvent | null;
  /** The causes of that event, the direct one first, the root last. */
  readonly chain: readonly JobEvent[];
  /** Who stands at the root; null when nothing set the field. */
  readonly actor: string | null;
  /** The way in of the root; null when nothing set the field. */
  readonly via: Via | null;
  /** One sentence without a full stop. */
  readonly text: string;
}

async function eventAt(reader: EventReader, position: number): Promise<JobEvent | undefined> {
  for await (const event of reader.readAll({ from: position, to: position })) {
    if (isJobEvent(event)) return event;
  }
  return undefined;
}

function valueOf(job: JobState, field: ExplainedField): JsonValue {
  switch (field) {
    case "status":
    case "speed":
    case "parameters":
    case "ioStatus":
    case "error":
      return job[field];
    case "pause":
    case "resume":
      return { pauseCount: job.pauseCount, isUserPaused: job.isUserPaused };
    case "cancel":
      return { isRequested: job.isCancelRequested, isForced: job.isForceCancelled };
    case "complete":
      return job.isCompleteRequested;
    case "total":
      return job.progress.total;
    case "checkpoint":
      return job.checkpoint;
  }
}

/**
 * Explains a field of a job at a position or an instant.
 *
 * @param name an id means its newest life at that moment
 * @param field the explained field
 * @returns undefined when there was no such job then
 *
 * @example Why does the job have its status?
 * ```ts ignore
 * const reason = await why(reader, { id: "backup0" }, "status");
 * console.log(reason?.text); // it reached a pause point, because ann asked for "pause" over cli
 * ```
 */
export async function why(
  reader: EventReader,
  name: JobName,
  field: ExplainedField,
  options: AtOptions = {},
): Promise<Reason | undefined> {
  const moment = await atJob(reader, name, options);
  if (moment === undefined) return undefined;
  const { job } = moment;
  const value = valueOf(job, field);
  const position = job.setBy[field];
  const event = position === undefined ? undefined : await eventAt(reader, position);
  if (event === undefined) {
    const text = `nothing has set "${field}" of "${nameOf(job)}": it has its first value`;
    return { field, value, event: null, chain: [], actor: null, via: null, text };
  }
  const known = new KnownCauses();
  for (const read of causeReads([event], known)) {
    for await (const cause of reader.readAll(read)) known.add(cause);
  }
  const { text, actor, via, chain } = explain(event, job.runId, known);
  return { field, value, event, chain, actor, via, text };
}

/** Whether a verb would be accepted by the table, and what stands against it. */
export interface VerbOutlook {
  /** The verb. */
  readonly verb: JobVerb;
  /** True if the verb table refuses it now. */
  readonly isRefused: boolean;
  /** The exact text of the refusal; null when the table accepts. */
  readonly refusal: string | null;
  /** The status that decides. */
  readonly status: JobStatus;
  /** Milliseconds since 1970 since when. */
  readonly since: number;
  /** Global position of the event that brought the status; null = before the first. */
  readonly position: number | null;
  /** Statuses that accept the verb. */
  readonly acceptedIn: readonly JobStatus[];
  /** One sentence without a full stop. */
  readonly text: string;
}

/**
 * Says from the state alone whether the verb table refuses a verb, and since when.
 *
 * The table is the first check of most verbs and not the only one: an accepted verb can still be
 * refused by what the state or the live driver says, such as a second pause.
 */
export function verbOutlook(job: JobState, verb: JobVerb): VerbOutlook {
  const { status, statusAt: since } = job;
  const isRefused = !acceptsVerb(status, verb);
  const name = nameOf(job);
  const acceptedIn = VERB_TABLE[verb];
  const place = `"${name}" is "${status}" since ${instant(since)}`;
  return {
    verb,
    isRefused,
    refusal: isRefused ? verbRefusalText(name, status, verb) : null,
    status,
    since,
    position: job.setBy.status ?? null,
    acceptedIn,
    text: isRefused
      ? `"${verb}" is refused: ${place}, and it needs ${acceptedIn.join(" or ")}`
      : `"${verb}" is accepted by the verb table: ${place}`,
  };
}

/** {@linkcode VerbOutlook} with the event that brought the status and its causes. */
export interface WhyNot extends VerbOutlook {
  /** Why the job has the status that decides. */
  readonly reason: Reason;
}

/**
 * Says whether a verb would be refused at a position or an instant, since when and why.
 *
 * @returns undefined when there was no such job then
 */
export async function whyNot(
  reader: EventReader,
  name: JobName,
  verb: JobVerb,
  options: AtOptions = {},
): Promise<WhyNot | undefined> {
  const moment = await atJob(reader, name, options);
  if (moment === undefined) return undefined;
  const outlook = verbOutlook(moment.job, verb);
  const { position } = moment;
  const reason = await why(reader, { runId: moment.job.runId }, "status", { ...options, position });
  return { ...outlook, reason: reason!, text: `${outlook.text}; ${reason!.text}` };
}
