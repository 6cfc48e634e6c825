/**
 * Finds jobs in the log by id or run id, now or at a moment.
 */
import { JoblogError } from "../../events/log/errors.ts";
import type { EventReader } from "../../events/log/store.ts";
import { type JobState, jobStream } from "../../events/job/mod.ts";
import { foldJob, runIdAt } from "../../events/replay/job_states.ts";
import type { Moment } from "../contract.ts";

const RUN_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Job ids begin with a letter, run ids of the engine with a digit: a caller may use either. */
export function isRunId(text: string): boolean {
  return RUN_ID.test(text);
}

function unknownJob(id: string, position: number | undefined): JoblogError<"unknownJob"> {
  const when = position === undefined ? "" : ` at position ${position}`;
  return new JoblogError("unknownJob", `Cannot find job "${id}"${when}: there is none`, {
    subject: id,
    hint: "List the jobs, also the dismissed ones.",
  });
}

/**
 * Finds the run id of a job: a run id itself, or the newest life of an id.
 *
 * @param upTo only lives that were created at this position or before
 * @throws {JoblogError} code "unknownJob"
 */
export async function runOf(reader: EventReader, id: string, upTo?: number): Promise<string> {
  if (isRunId(id)) {
    if (await reader.streamVersion(jobStream(id)) > 0) return id;
    throw unknownJob(id, upTo);
  }
  const runId = await runIdAt(reader, id, upTo ?? (await reader.end()).position);
  if (runId === undefined) throw unknownJob(id, upTo);
  return runId;
}

/**
 * Folds one job, from its newest snapshot on.
 *
 * @throws {JoblogError} code "unknownJob" when there is none, or was none yet at this position
 */
export async function jobOf(reader: EventReader, id: string, upTo?: number): Promise<JobState> {
  const runId = await runOf(reader, id, upTo);
  const position = upTo ?? (await reader.end()).position;
  const found = await foldJob(reader, runId, position, { snapshots: true });
  if (found === undefined) throw unknownJob(id, upTo);
  return found.job;
}

/**
 * The position of a moment: the last event at or before it.
 *
 * @throws {JoblogError} code "unknownPosition" when it is beyond the end of the log
 */
export async function positionOf(reader: EventReader, moment: Moment): Promise<number> {
  if ("time" in moment) return await reader.positionAt(moment.time);
  const { position } = await reader.end();
  if (moment.position <= position) return moment.position;
  const text = `Cannot look at position ${moment.position}: the log ends at ${position}`;
  throw new JoblogError("unknownPosition", text, {
    expected: position,
    actual: moment.position,
    hint: "Choose a position of the log, or an instant.",
  });
}
