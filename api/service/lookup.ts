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

/** The error for a transaction that is not there. */
export function unknownTxn(id: string): JoblogError<"unknownTxn"> {
  return new JoblogError("unknownTxn", `Cannot find transaction "${id}": there is none`, {
    subject: id,
    hint: "The field txnId of a job names its transaction.",
  });
}

async function lifeAt(
  reader: EventReader,
  id: string,
  position: number,
): Promise<string | undefined> {
  if (!isRunId(id)) return await runIdAt(reader, id, position);
  return await reader.streamVersion(jobStream(id)) > 0 ? id : undefined;
}

/**
 * Finds the run id of a job: a run id itself, or the newest life of an id.
 *
 * @throws {JoblogError} code "unknownJob"
 */
export async function runOf(reader: EventReader, id: string): Promise<string> {
  const runId = await lifeAt(reader, id, (await reader.end()).position);
  if (runId === undefined) throw unknownJob(id, undefined);
  return runId;
}

/**
 * Folds one job, from its newest snapshot on.
 *
 * @param upTo where to look. @default the end of the log as it is now
 * @returns the job, and the position that this is true of
 * @throws {JoblogError} code "unknownJob" when there is none, or was none yet at this position
 */
export async function jobOf(
  reader: EventReader,
  id: string,
  upTo?: number,
): Promise<{ readonly job: JobState; readonly position: number }> {
  const position = upTo ?? (await reader.end()).position;
  const runId = await lifeAt(reader, id, position);
  const found = runId && await foldJob(reader, runId, position, { snapshots: true });
  if (!found) throw unknownJob(id, upTo);
  return { job: found.job, position };
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
