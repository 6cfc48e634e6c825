/**
 * `joblog run`: jobs that a person starts and watches.
 *
 * If another process writes the log, a job is handed to it and only watched from here. If not, this
 * process becomes the writer, serves the socket beside the log, and stays until all its jobs are
 * over. Ctrl-C parks what can go on later.
 */
import { resolve } from "node:path";
import type { JobViewValue } from "../contract.ts";
import { EXIT } from "../errors.ts";
import type { Connection } from "./connection.ts";
import type { Invocation } from "./invocation.ts";
import { endText, progressText } from "./text.ts";
import { watch, type Watched } from "./watch.ts";

/** Options of every job. */
export interface JobOptions {
  /** Id of the job. */
  readonly id?: string;
  /** Bytes per second. */
  readonly speed?: number;
  /** Wait in pending for finalize. */
  readonly manualFinalize?: boolean;
  /** Stay in concluded until dismiss. */
  readonly manualDismiss?: boolean;
}

/** Options of a backup. */
export interface BackupOptions extends JobOptions {
  /** The image. */
  readonly source: string;
  /** The copy. */
  readonly target: string;
  /** What is copied. */
  readonly sync?: string;
  /** A bitmap of the image. */
  readonly bitmap?: string;
  /** What becomes of it. */
  readonly bitmapMode?: string;
  /** How the target comes to be. */
  readonly mode?: string;
  /** Format of the target. */
  readonly format?: string;
  /** Format of the source. */
  readonly sourceFormat?: string;
  /** Who suffers when a copy before a write fails. */
  readonly onCbwError?: string;
  /** Least unit of copying. */
  readonly minClusterSize?: number;
  /** Writes compressed clusters. */
  readonly compress?: boolean;
  /** Bytes of a task. */
  readonly maxChunk?: number;
  /** Tasks in flight. */
  readonly maxWorkers?: number;
  /** Error policy of reads. */
  readonly onSourceError?: string;
  /** Error policy of writes. */
  readonly onTargetError?: string;
}

/** Without the members that are undefined. */
export function defined(object: { readonly [name: string]: unknown }): object {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

/** The request for one job. */
export function jobBody(type: string, options: JobOptions, parameters: object) {
  return {
    type,
    parameters,
    ...defined({ id: options.id, speed: options.speed }),
    autoFinalize: options.manualFinalize !== true,
    autoDismiss: options.manualDismiss !== true,
  };
}

/** A name for a job whose user gave none: the type and the lowest number that is free. */
async function freeId(connection: Connection, type: string): Promise<string> {
  const { jobs } = await connection.service.jobs();
  const taken = new Set(jobs.map((job) => job.id));
  let number = 0;
  while (taken.has(`${type}${number}`)) number += 1;
  return `${type}${number}`;
}

function parkedText(jobs: readonly JobViewValue[], resume: string): string {
  const lines = jobs.filter((job) => job.outcome === null).map((job) =>
    job.isResumable
      ? `${job.id} is parked at ${progressText(job.progress)}`
      : `${job.id} is cancelled: it cannot go on in another process`
  );
  return [...lines, `go on with: ${resume}`].join("\n");
}

function ended(
  invocation: Invocation,
  { jobs, isInterrupted }: Watched,
  isOwn: boolean,
): number {
  const isOver = jobs.every((job) => job.outcome !== null);
  if (isInterrupted && !isOver) {
    invocation.note(
      isOwn
        ? parkedText(jobs, invocation.callOf("run --resume"))
        : "no longer watched: the job goes on in the process that writes the log",
    );
    return EXIT.interrupted;
  }
  for (const job of jobs) {
    // A job that had nothing to do has no progress to tell.
    const { current, total } = job.progress;
    const done = current === 0 && total === 0 ? "" : `: ${progressText(job.progress)}`;
    invocation.tell(job, () => `${job.id} ${endText(job)}${done}\n`);
  }
  return jobs.every((job) => job.outcome === "completed" && job.ret === 0) ? EXIT.ok : EXIT.failed;
}

/** Works as whoever writes the log; the user may end it until everything is closed. */
async function interruptible(
  invocation: Invocation,
  work: (connection: Connection, signal: AbortSignal) => Promise<number>,
): Promise<number> {
  const stop = new AbortController();
  const unlisten = invocation.host.terminal.onInterrupt(() => stop.abort());
  try {
    return await invocation.command(true, (connection) => work(connection, stop.signal));
  } finally {
    unlisten();
  }
}

/** Creates a job, here or in the process that writes the log, and watches it to its end. */
export async function runJob(invocation: Invocation, type: string, body: object): Promise<number> {
  return await interruptible(invocation, async (connection, signal) => {
    const id = "id" in body ? {} : { id: await freeId(connection, type) };
    const { jobs } = await connection.commands.create({ ...body, ...id });
    const watched = await watch(invocation, connection, jobs.map((job) => job.runId), signal);
    return ended(invocation, watched, connection.isOwn);
  });
}

/** `joblog run backup`. */
export async function runBackup(invocation: Invocation, options: BackupOptions): Promise<number> {
  // Another process may run it, in another folder.
  const parameters = defined({
    source: resolve(options.source),
    target: resolve(options.target),
    sync: options.sync,
    bitmap: options.bitmap,
    "bitmap-mode": options.bitmapMode,
    mode: options.mode,
    format: options.format,
    "source-format": options.sourceFormat,
    "on-cbw-error": options.onCbwError,
    "min-cluster-size": options.minClusterSize,
    compress: options.compress,
    "max-chunk": options.maxChunk,
    "max-workers": options.maxWorkers,
    "on-source-error": options.onSourceError,
    "on-target-error": options.onTargetError,
  });
  return await runJob(invocation, "backup", jobBody("backup", options, parameters));
}

/** `joblog run --resume`: takes up what an earlier process left, and stays until it is over. */
export async function resumeJobs(invocation: Invocation): Promise<number> {
  return await interruptible(invocation, async (connection, signal) => {
    const { jobs } = await connection.service.jobs();
    const open = jobs.filter((job) => job.outcome === null && job.status !== "created");
    if (open.length === 0) {
      invocation.note("nothing to go on with");
      return EXIT.ok;
    }
    const watched = await watch(invocation, connection, open.map((job) => job.runId), signal);
    return ended(invocation, watched, connection.isOwn);
  });
}
