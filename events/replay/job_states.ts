/**
 * The state of one job at a position: its newest snapshot that is not later, and the events behind.
 *
 * - A snapshot is named after the stream, `job-<run id>`, and made with `FOLD_VERSION`; one that
 *   does not fit is passed over, because snapshots are always discardable.
 * - At most the events between two snapshots are read; without any, all of the stream.
 *
 * Source: DESIGN.md, The log, Evolution and snapshots.
 */
import {
  applyToJob,
  FOLD_VERSION,
  INITIAL_JOB,
  isJobEvent,
  type JobEvent,
  type JobState,
  jobStream,
} from "../job/mod.ts";
import type { SnapshotRow } from "../log/backend.ts";
import type { JsonValue, RecordedEvent } from "../log/event.ts";
import { snapshotDue } from "../log/snapshot.ts";
import type { EventReader } from "../log/store.ts";

type Draft<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Events of a job's stream between two snapshots of it. The events of jobs that run side by side
 * lie on pages of their own: each costs a read, so that 1,000 of them took 5 ms to fold.
 */
export const SNAPSHOT_EVERY = 250;

/** Events that are read at a time: half of them lie behind the position, for nothing. */
const READ_AT_ONCE = 64;

/** Name that the snapshots of a job are kept under. */
export function jobSnapshotName(runId: string): string {
  return jobStream(runId);
}

/** Whether a writer should keep a snapshot, after a job's stream grew between two versions. */
export function isJobSnapshotDue(versionBefore: number, versionAfter: number): boolean {
  return snapshotDue(versionBefore, versionAfter, SNAPSHOT_EVERY);
}

/** The snapshot of a job, ready to be put; its events must be durable. */
export function jobSnapshotRow(job: JobState): SnapshotRow {
  return {
    name: jobSnapshotName(job.runId),
    position: job.position,
    foldVersion: FOLD_VERSION,
    state: { ...job } as unknown as JsonValue,
  };
}

/** How a state is to be found. */
export interface FoldChoice {
  /** Whether snapshots are used. @default true */
  readonly snapshots?: boolean;
  /** Which snapshots may be used; older ones are tried then. @default every one */
  readonly isUsable?: (job: JobState) => boolean;
  /** Sees each event that is folded after the snapshot. */
  readonly onEvent?: (event: JobEvent) => void;
}

async function newestSnapshot(
  reader: EventReader,
  runId: string,
  position: number,
  choice: FoldChoice,
): Promise<JobState | undefined> {
  let before = choice.snapshots === false ? 0 : position;
  while (before > 0) {
    const row = await reader.snapshot(jobSnapshotName(runId), FOLD_VERSION, before);
    if (row === undefined) return undefined;
    const { state } = row;
    if (isJobState(state, runId, row.position) && (choice.isUsable?.(state) ?? true)) return state;
    before = row.position - 1;
  }
  return undefined;
}

/** A store keeps any JSON under any name: only what looks like this job's state is used. */
function isJobState(state: unknown, runId: string, position: number): state is JobState {
  if (typeof state !== "object" || state === null || Array.isArray(state)) return false;
  const found = state as { readonly [K in keyof JobState]?: unknown };
  return found.runId === runId && found.position === position &&
    Number.isSafeInteger(found.version) && typeof found.setBy === "object" &&
    typeof found.progress === "object";
}

/** A job at a position. */
export interface FoldedJob {
  /** The folded state. */
  readonly job: JobState;
  /** Positions of events of its stream that this program does not know, at most the first 10. */
  readonly unknown: readonly number[];
  /** Position of the snapshot it began from; 0 = from zero. */
  readonly snapshotPosition: number;
}

/** A stream's events after a version, up to a position; little is read beyond it. */
async function* eventsAfter(
  reader: EventReader,
  stream: string,
  version: number,
  position: number,
): AsyncGenerator<RecordedEvent> {
  let from = version + 1;
  let left = 0;
  while (left === 0) {
    left = READ_AT_ONCE;
    for await (const event of reader.readStream(stream, { from, limit: READ_AT_ONCE })) {
      if (event.position > position) return;
      yield event;
      from = event.version + 1;
      left -= 1;
    }
  }
}

/**
 * The state of one run at a position; undefined when it did not exist then. Runs nothing.
 *
 * @param reader the log
 * @param runId the run
 * @param position global position, inclusive
 * @throws {JoblogError} code "forbiddenTransition" when the history breaks the transition table
 */
export async function foldJob(
  reader: EventReader,
  runId: string,
  position: number,
  choice: FoldChoice = {},
): Promise<FoldedJob | undefined> {
  const snapshot = await newestSnapshot(reader, runId, position, choice);
  const job: Draft<JobState> = { ...(snapshot ?? INITIAL_JOB) };
  const unknown: number[] = [];
  for await (const event of eventsAfter(reader, jobStream(runId), job.version, position)) {
    if (isJobEvent(event)) {
      applyToJob(job, event);
      choice.onEvent?.(event);
    } else {
      job.version = event.version;
      job.position = event.position;
      if (unknown.length < 10) unknown.push(event.position);
    }
  }
  if (job.version === 0) return undefined;
  return { job, unknown, snapshotPosition: snapshot?.position ?? 0 };
}

/**
 * The run that an id meant at a position: its newest life then.
 *
 * @returns undefined when no job had this id yet
 */
export async function runIdAt(
  reader: EventReader,
  id: string,
  position: number,
): Promise<string | undefined> {
  if (position === 0) return undefined;
  const types = ["JobCreated"];
  for await (const event of reader.readAll({ direction: "backwards", from: position, types })) {
    if (event.data["id"] === id) return String(event.data["runId"]);
  }
  return undefined;
}
