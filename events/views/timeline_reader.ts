import { causeReads, EVENT_SCHEMAS, type JobEventType, jobStream, txnStream } from "../job/mod.ts";
import type { EventReader } from "../log/store.ts";
import { type Timeline, timeline, type TimelineState, timelineView } from "./timeline.ts";

/** Where a timeline ends and until when its last status is counted. */
export interface TimelineOptions {
  /** Last global position, inclusive. @default the end */
  readonly position?: number;
  /** Until when a status that still holds has lasted, in ms since 1970. @default the last event */
  readonly now?: number;
}

/**
 * Reads what happened to one job, and why, from a log.
 *
 * Reads the job's stream once and its group's, and looks causes in other streams up.
 *
 * @param reader the log
 * @param runId the life of the job
 * @returns undefined when there was no such job then
 */
export async function readTimeline(
  reader: EventReader,
  runId: string,
  options: TimelineOptions = {},
): Promise<Timeline | undefined> {
  const position = options.position ?? (await reader.end()).position;
  const projection = timeline(runId);
  const state = projection.initial();
  for await (const event of reader.readStream(jobStream(runId))) {
    if (event.position > position) break;
    projection.evolve(state, event);
  }
  if (state.job.version === 0) return undefined;
  await addGroup(reader, state, position);
  const events = [...state.spans, ...state.notes].map((item) => item.event);
  for (const read of causeReads(events, state.known)) {
    for await (const cause of reader.readAll(read)) state.known.add(cause);
  }
  return timelineView(state, state.known, options.now);
}

const GROUP_TYPES = (Object.keys(EVENT_SCHEMAS) as JobEventType[])
  .filter((type) => type.startsWith("Txn") || type.startsWith("Verb"));

/** The group's own facts stand in its stream; they are noted in the order of the log. */
async function addGroup(
  reader: EventReader,
  state: TimelineState,
  position: number,
): Promise<void> {
  const { txnId, runId } = state.job;
  if (txnId === runId || position === 0) return;
  const projection = timeline(runId);
  const { time } = state;
  for await (
    const event of reader.readAll({ stream: txnStream(txnId), to: position, types: GROUP_TYPES })
  ) projection.evolve(state, event);
  state.time = Math.max(state.time, time);
  state.notes.sort((one, other) => one.event.position - other.event.position);
}
