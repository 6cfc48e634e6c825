import { acceptsVerb, JOB_VERBS, type JobEventData, type JobState } from "../../events/job/mod.ts";
import type { EventReader } from "../../events/log/store.ts";
import { jobView } from "../../events/views/mod.ts";
import type { JobViewValue } from "../contract.ts";

type PausedBy = JobViewValue["pausedBy"];

function viewOf(job: JobState, pausedBy: PausedBy): JobViewValue {
  const view = jobView(job);
  const { setBy, ...rest } = view;
  const verbs: string[] = JOB_VERBS.filter((verb) => acceptsVerb(view.status, verb));
  if (view.status === "created") verbs.unshift("start");
  return { ...rest, pausedBy, setBy: { ...setBy }, isResumable: job.isResumable, verbs };
}

/** Where the request stands by which a job is paused, or about to be. */
function pauseOf(job: JobState): number | undefined {
  return job.isStarted && job.pauseCount > 0 ? job.setBy.pause : undefined;
}

/** Who paused, by the position of the request: one read, however many jobs are paused. */
async function pausesAt(
  reader: EventReader,
  positions: readonly number[],
): Promise<ReadonlyMap<number, PausedBy>> {
  const pauses = new Map<number, PausedBy>();
  if (positions.length === 0) return pauses;
  const [from, to] = [Math.min(...positions), Math.max(...positions)];
  for await (const event of reader.readAll({ from, to, types: ["JobPauseRequested"] })) {
    pauses.set(event.position, (event.data as JobEventData["JobPauseRequested"]).by);
  }
  return pauses;
}

/** Jobs as all ways in show them: with who paused them, and the verbs that their status accepts. */
export async function viewsOf(
  reader: EventReader,
  jobs: readonly JobState[],
): Promise<JobViewValue[]> {
  const pauses = await pausesAt(reader, jobs.flatMap((job) => pauseOf(job) ?? []));
  return jobs.map((job) => viewOf(job, pauses.get(pauseOf(job) ?? 0) ?? null));
}
