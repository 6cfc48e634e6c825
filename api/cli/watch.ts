/**
 * Watches jobs until they are over, with live progress.
 */
import type { JobViewValue } from "../contract.ts";
import { JoblogError } from "../service.ts";
import { type Progress, progressOn } from "./bars.ts";
import type { Connection } from "./connection.ts";
import type { Invocation } from "./invocation.ts";

/** How often the state is looked at, in milliseconds. */
const LOOK_MS = 100;

/** Statuses in which nothing more happens by itself. */
const OVER: ReadonlySet<string> = new Set(["concluded", "null"]);

/** How a watch ended. */
export interface Watched {
  /** The jobs that were asked for, as they were last. */
  readonly jobs: readonly JobViewValue[];
  /** True if a signal ended it. */
  readonly isInterrupted: boolean;
}

function isOver(job: JobViewValue): boolean {
  return OVER.has(job.status);
}

function hintFor(job: JobViewValue, invocation: Invocation): string | undefined {
  const command = (verb: string) => invocation.callOf(`${verb} ${job.id}`);
  if (job.status === "pending" && !job.autoFinalize) {
    return `${job.id} waits to be finalized: ${command("finalize")}`;
  }
  if (job.isUserPaused && (job.status === "paused" || job.status === "standby")) {
    return `go on with: ${command("resume")}`;
  }
  return undefined;
}

class Watch {
  readonly #connection: Connection;
  readonly #invocation: Invocation;
  readonly #progress: Progress;
  readonly #hinted = new Map<string, string>();
  readonly #going = new Set<string>();

  constructor(connection: Connection, invocation: Invocation, progress: Progress) {
    this.#connection = connection;
    this.#invocation = invocation;
    this.#progress = progress;
  }

  /** Looks once; true while something is still to come. */
  async look(runIds: readonly string[], signal: AbortSignal): Promise<JobViewValue[] | undefined> {
    const { service, isOwn } = this.#connection;
    const replies = await Promise.all(runIds.map((runId) => service.job(runId)));
    const asked = replies.map(({ job }) => job);
    const others = isOwn ? await this.#others(runIds) : [];
    const jobs = [...asked, ...others];
    this.#progress.show(jobs);
    for (const job of jobs) await this.#hint(job);
    if (!isOwn && asked.some((job) => !isOver(job)) && !replies[0]!.writer.isAlive) {
      throw new JoblogError("writerUnreachable", "Cannot watch on: the writer of the log is gone", {
        hint: `Go on with: ${this.#invocation.callOf("run --resume")}`,
      });
    }
    return signal.aborted || jobs.every(isOver) ? asked : undefined;
  }

  /**
   * Jobs that this process runs beside those that were asked for. Once seen, a job is shown to its
   * end, also when it is off the list by then.
   */
  async #others(asked: readonly string[]): Promise<readonly JobViewValue[]> {
    const { service } = this.#connection;
    const { jobs } = await service.jobs();
    for (const job of jobs) {
      if (asked.includes(job.runId) || job.status === "created" || isOver(job)) continue;
      this.#going.add(job.runId);
    }
    const going = [...this.#going];
    const shown = await Promise.all(going.map(async (runId) => (await service.job(runId)).job));
    for (const job of shown) if (isOver(job)) this.#going.delete(job.runId);
    return shown;
  }

  async #hint(job: JobViewValue): Promise<void> {
    const hint = hintFor(job, this.#invocation);
    const last = this.#hinted.get(job.runId);
    if (hint === undefined || hint === last) {
      if (hint === undefined) this.#hinted.delete(job.runId);
      return;
    }
    this.#hinted.set(job.runId, hint);
    if (job.status === "pending") return this.#progress.say(hint);
    const { text } = await this.#connection.service.why(job.runId, "pause");
    this.#progress.say(`${job.id} is paused: ${text}\n${hint}`);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}

/**
 * Watches until the jobs are over, or a signal asks to end.
 *
 * As the writer it also waits for the other jobs that this process runs, because they would stop
 * with it.
 *
 * @throws {JoblogError} code "commitFailed" when this process can no longer write the log
 */
export async function watch(
  invocation: Invocation,
  connection: Connection,
  runIds: readonly string[],
  signal: AbortSignal,
): Promise<Watched> {
  const { terminal } = invocation.host;
  const stream = invocation.json ? undefined : terminal.bars;
  const progress = progressOn(stream, (line) => invocation.note(line));
  const view = new Watch(connection, invocation, progress);
  try {
    for (;;) {
      const jobs = await view.look(runIds, signal);
      if (jobs !== undefined) return { jobs, isInterrupted: signal.aborted };
      const { isHealthy } = await connection.service.health();
      if (!isHealthy) {
        throw new JoblogError("commitFailed", "Cannot go on: the log could not be written", {
          hint: `Make room or mend the disk, then go on with: ${invocation.callOf("run --resume")}`,
        });
      }
      await pause(LOOK_MS, signal);
    }
  } finally {
    progress.stop();
  }
}
