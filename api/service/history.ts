/**
 * What the log says afterwards: timelines, reasons, and whether its bytes are those that were
 * written.
 */
import { type ExplainedField, type JobState, nameOf } from "../../events/job/mod.ts";
import type { RecordedEvent } from "../../events/log/event.ts";
import type { EventReader } from "../../events/log/store.ts";
import { why } from "../../events/replay/why.ts";
import { type EventViewValue, EXPLAINED_FIELDS } from "../contract.ts";
import { invalidRequest } from "./request.ts";

/** A reason as plain data. */
export interface FieldReason {
  /** The id; null = internal job. */
  readonly id: string | null;
  /** Run id. */
  readonly runId: string;
  /** The explained field. */
  readonly field: string;
  /** Its value. */
  readonly value: unknown;
  /** The event that set it. */
  readonly event: EventViewValue | null;
  /** Its causes, the direct one first. */
  readonly causes: readonly EventViewValue[];
  /** Who stands at the root. */
  readonly actor: string | null;
  /** The way in of the root. */
  readonly via: string | null;
  /** One sentence. */
  readonly text: string;
}

function plain(event: object): EventViewValue {
  return event as RecordedEvent;
}

/**
 * Why a field of a job has its value.
 *
 * @throws {JoblogError} code "invalidRequest" when the field is not explained
 */
export async function whyField(
  reader: EventReader,
  job: JobState,
  field: string,
): Promise<FieldReason> {
  const known = EXPLAINED_FIELDS.find((one): one is ExplainedField => one === field);
  if (known === undefined) {
    throw invalidRequest("field", `must be one of ${EXPLAINED_FIELDS.join(", ")}`, field);
  }
  const { id, runId } = job;
  const reason = await why(reader, { runId }, known, { position: job.position });
  if (reason === undefined) throw new Error(`Job ${nameOf(job)} is in the log, and is not`);
  const { value, event, chain, actor, via, text } = reason;
  return {
    id,
    runId,
    field,
    value,
    event: event === null ? null : plain(event),
    causes: chain.map(plain),
    actor,
    via,
    text,
  };
}
