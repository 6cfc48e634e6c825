/**
 * Progress and throughput of each job, from the steps in the log.
 *
 * - Log time is the only clock: a view of the past shows the throughput of the past.
 * - A job costs at most {@linkcode SAMPLES_MAX} samples, whatever it copies.
 * - A job that is recovered goes back to its checkpoint; its samples start anew.
 */
import {
  isCompletedStatus,
  type JobEvent,
  type JobState,
  type Progress,
  runIdOfStream,
} from "../job/mod.ts";
import { jobs, type JobsState } from "./jobs.ts";
import type { Gaps, Projection } from "./projection.ts";

/** Milliseconds of log time over which the throughput is measured. */
export const THROUGHPUT_WINDOW_MS = 10_000;
/** Samples kept per job. */
export const SAMPLES_MAX = 40;
const SAMPLE_MS = THROUGHPUT_WINDOW_MS / (SAMPLES_MAX / 2);

/** How far a job was at an instant. */
export interface ProgressSample {
  /** Milliseconds since 1970, UTC. */
  readonly time: number;
  /** Work done, in the driver's unit. */
  readonly current: number;
}

/** The read model; ask it with {@linkcode progressOf}. */
export interface ProgressState {
  /** The jobs behind it. */
  readonly jobs: JobsState;
  /** Samples per run id, oldest first. */
  readonly samples: Map<string, ProgressSample[]>;
  /** Milliseconds since 1970 of the last event folded. */
  time: number;
  /** What could not be understood. */
  readonly gaps: Gaps;
}

/** Progress and throughput of each job. */
export const progress: Projection<ProgressState> = {
  name: "progress",
  foldVersion: 1,
  initial() {
    const state = jobs.initial();
    return { jobs: state, samples: new Map(), time: 0, gaps: state.gaps };
  },
  evolve(state, event) {
    jobs.evolve(state.jobs, event);
    state.time = event.time;
    const runId = runIdOfStream(event.stream);
    const job = runId === undefined ? undefined : state.jobs.runs.get(runId);
    if (job !== undefined) sample(state.samples, job, event as unknown as JobEvent);
    return state;
  },
};

function sample(samples: Map<string, ProgressSample[]>, job: JobState, event: JobEvent): void {
  if (event.type === "JobStarted" || event.type === "JobRecovered") {
    samples.set(job.runId, [{ time: event.time, current: job.progress.current }]);
  } else if (event.type === "StepTaken") {
    const list = samples.get(job.runId);
    if (list === undefined) return;
    const next = { time: event.time, current: job.progress.current };
    const before = list.at(-2);
    // The last sample moves along until it is far enough from the one before it.
    if (before !== undefined && event.time - before.time < SAMPLE_MS) list[list.length - 1] = next;
    else list.push(next);
    while (list.length > SAMPLES_MAX) list.shift();
  } else if (event.type === "JobConcluded") {
    samples.delete(job.runId);
  }
}

/** Progress of one job as numbers for people. */
export interface ProgressView {
  /** Work done, in the driver's unit. */
  readonly current: number;
  /** Work in all, as far as known. */
  readonly total: number;
  /** 0 to 100, one decimal; 100 only when nothing is left. */
  readonly percent: number;
  /** Units per second over the last {@linkcode THROUGHPUT_WINDOW_MS}; 0 = nothing moved. */
  readonly perSecond: number;
  /** Milliseconds until the end at this throughput; null = unknown. */
  readonly remainingMs: number | null;
}

/**
 * Percent of the work that is done, rounded down to one decimal, so that 100 means all of it.
 *
 * Nothing of nothing is everything once `run` has ended (0/0 is a valid end), and nothing before.
 *
 * @param progress the two numbers
 * @param hasEnded true if `run` has ended
 */
export function percentOf({ current, total }: Progress, hasEnded: boolean): number {
  if (total <= 0) return hasEnded || current > 0 ? 100 : 0;
  return Math.max(0, Math.min(100, Math.floor(current / total * 1_000) / 10));
}

/**
 * Progress of one job.
 *
 * @param now the instant to measure to, in ms since 1970. @default time of the last event folded
 * @returns undefined when there is no such job
 */
export function progressOf(
  state: ProgressState,
  runId: string,
  now: number = state.time,
): ProgressView | undefined {
  const job = state.jobs.runs.get(runId);
  if (job === undefined) return undefined;
  const { current, total } = job.progress;
  const hasEnded = job.hasRunReturned || isCompletedStatus(job.status);
  const perSecond = hasEnded ? 0 : throughput(state.samples.get(runId) ?? [], current, now);
  const left = Math.max(0, total - current);
  return {
    current,
    total,
    percent: percentOf(job.progress, hasEnded),
    perSecond,
    remainingMs: hasEnded ? 0 : perSecond === 0 ? null : Math.ceil(left / perSecond * 1_000),
  };
}

function throughput(samples: readonly ProgressSample[], current: number, now: number): number {
  const start = now - THROUGHPUT_WINDOW_MS;
  // The newest sample before the window is where the window's work began.
  let base = samples[0];
  for (const item of samples) {
    if (item.time > start) break;
    base = item;
  }
  if (base === undefined) return 0;
  const elapsedMs = now - Math.max(base.time, start);
  return elapsedMs <= 0 ? 0 : Math.round(Math.max(0, current - base.current) / elapsedMs * 1_000);
}
