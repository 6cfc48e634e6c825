/**
 * The directory of all jobs: by run id, by id, newest first, past lives included.
 *
 * - Memory is that of the jobs, not of their events.
 * - An id names one life at a time; its current life is the newest. A dismissed life stays here,
 *   because history is never forgotten, but the list of jobs leaves it out.
 * - What the query functions hand out are copies that later events do not change.
 */
import { applyToJob, INITIAL_JOB, isInternal, type JobDraft, type JobState } from "../job/mod.ts";
import { runIdOfStream } from "../job/mod.ts";
import { type Gaps, isUnderstood, noGaps, type Projection } from "./projection.ts";

/** The read model; use the functions of this file to ask it. */
export interface JobsState {
  /** State per run id, in the order of creation. */
  readonly runs: Map<string, JobDraft>;
  /** Run ids per id, oldest first. */
  readonly lives: Map<string, string[]>;
  /** Position of the last event folded. */
  position: number;
  /** What could not be understood. */
  readonly gaps: Gaps;
}

/** The directory of all jobs. */
export const jobs: Projection<JobsState> = {
  name: "jobs",
  foldVersion: 1,
  initial: () => ({ runs: new Map(), lives: new Map(), position: 0, gaps: noGaps() }),
  evolve(state, event) {
    state.position = event.position;
    if (!isUnderstood(event, state.gaps)) return state;
    const runId = runIdOfStream(event.stream);
    if (runId === undefined) return state;
    let job = state.runs.get(runId);
    if (job === undefined) {
      job = { ...INITIAL_JOB, runId };
      state.runs.set(runId, job);
      if (event.type === "JobCreated" && event.data.id !== null) {
        const lives = state.lives.get(event.data.id);
        if (lives === undefined) state.lives.set(event.data.id, [runId]);
        else lives.push(runId);
      }
    }
    applyToJob(job, event);
    return state;
  },
};

/** The job of one run id, dismissed or not. */
export function jobOfRun(state: JobsState, runId: string): JobState | undefined {
  const job = state.runs.get(runId);
  return job === undefined ? undefined : { ...job };
}

/** The current life of an id: its newest, dismissed or not. */
export function currentJob(state: JobsState, id: string): JobState | undefined {
  const runId = state.lives.get(id)?.at(-1);
  return runId === undefined ? undefined : jobOfRun(state, runId);
}

/** All lives of an id, newest first; the first one is the current life. */
export function livesOf(state: JobsState, id: string): readonly JobState[] {
  const runIds = state.lives.get(id) ?? [];
  return runIds.toReversed().map((runId) => ({ ...state.runs.get(runId)! }));
}

/** What a list of jobs holds. */
export interface ListOptions {
  /** True: dismissed jobs too. @default false */
  readonly all?: boolean;
  /** True: internal jobs (those without an id) too. @default false */
  readonly internal?: boolean;
}

/**
 * Lists jobs, newest first, as QEMU's query-jobs does: internal jobs and dismissed ones are left
 * out unless asked for.
 *
 * Source: QEMU 7.2 job-qmp.c qmp_query_jobs.
 */
export function listJobs(state: JobsState, options: ListOptions = {}): readonly JobState[] {
  const list: JobState[] = [];
  for (const job of state.runs.values()) {
    if (job.status === "null" && options.all !== true) continue;
    if (isInternal(job) && options.internal !== true) continue;
    list.push({ ...job });
  }
  return list.reverse();
}
