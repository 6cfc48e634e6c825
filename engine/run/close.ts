/**
 * Closes an engine: nothing runs afterwards, and nothing that was answered is lost.
 *
 * `park` (the default) leaves resumable jobs where they stand, to go on at the next opening, and
 * force-cancels the others; `cancel` force-cancels all and dismisses what has concluded. Closing
 * sequences that have begun are finished in both.
 *
 * Source: DESIGN.md, Processes; QEMU 7.2 job.c job_cancel_sync_all.
 */
import { isOverStatus, type JobState, memberOf } from "../../events/job/mod.ts";
import { JoblogError } from "../../events/log/errors.ts";
import { isClosing } from "../core/converge.ts";
import type { Engine } from "./engine.ts";
import type { TxnEntry } from "./entry.ts";

/** What happens to unfinished jobs when the engine closes. */
export type CloseMode = "park" | "cancel";

/** Ends all jobs, writes the engine snapshot and closes the log. */
export async function closeEngine(engine: Engine, mode: CloseMode): Promise<void> {
  const { store } = engine.options;
  engine.stopCommands();
  let isEnded = false;
  try {
    if (engine.failure === undefined) await endAll(engine, mode);
    isEnded = true;
  } catch (error) {
    if (engine.failure === undefined) throw error;
  } finally {
    await engine.untilIdle();
    for (const entry of engine.ledger.entries) {
      for (const live of entry.live) engine.closeDriver(live);
    }
    await engine.untilIdle();
    await engine.nodes.close();
    try {
      if (isEnded && engine.failure === undefined) await endLog(engine, mode);
    } finally {
      // Also without a snapshot: nobody may wait for ever, and the next writer must get in.
      engine.waits.end(new JoblogError("logClosed", "Cannot wait for a job: the engine is closed"));
      await store.close();
    }
  }
}

async function endAll(engine: Engine, mode: CloseMode): Promise<void> {
  // What was accepted before the close may have jobs that are not started in this process yet.
  await engine.options.store.flush();
  await Promise.all(engine.ledger.entries.map((entry) => endTxn(engine, entry, mode)));
  if (mode === "cancel") await dismissAll(engine);
}

/** The last record comes when nothing else can follow: drivers may still report their closing. */
async function endLog(engine: Engine, mode: CloseMode): Promise<void> {
  try {
    await engine.writeEngine("EngineClosed", { reason: mode });
    await engine.untilIdle();
  } catch (error) {
    if (engine.failure === undefined) throw error;
  }
  if (engine.failure === undefined) await engine.snapshots.atClose();
}

/** The members of a group end together, so that one that cannot be parked takes all with it. */
async function endTxn(engine: Engine, entry: TxnEntry, mode: CloseMode): Promise<void> {
  const unfinished = entry.head.jobs.toReversed().filter((job) => !isOverStatus(job.status));
  const ended = unfinished.filter((job) => mode === "cancel" || !canPark(job));
  if (engine.isRunning && ended.length > 0 && !isClosing(entry.head)) {
    for (const { runId } of ended) await engine.signal(entry, runId, { kind: "cancelled" });
    return await untilOver(engine, entry);
  }
  if (engine.isRunning && !isClosing(entry.head)) {
    const runners = unfinished.map((job) => entry.live.get(job.runId)?.runner);
    await Promise.all(runners.map((runner) => runner?.parkForGood()));
  }
  // A member may have failed on its way to a pause point, and aborted the others.
  if (isClosing(entry.head)) await untilOver(engine, entry);
}

function canPark(job: JobState): boolean {
  return job.isResumable || job.hasRunReturned || !job.isStarted;
}

async function untilOver(engine: Engine, entry: TxnEntry): Promise<void> {
  const isOver = (job: JobState) => isOverStatus(job.status);
  for (const { runId } of entry.head.jobs) await until(engine, entry.job(runId), isOver);
  await engine.options.store.flush();
}

async function dismissAll(engine: Engine): Promise<void> {
  for (const entry of engine.ledger.entries.toReversed()) {
    for (const job of entry.head.jobs.toReversed()) {
      await engine.signal(entry, job.runId, { kind: "dismissed" });
    }
  }
}

/** Waits until a job's durable state fulfils a condition. */
export async function until(
  engine: Engine,
  job: JobState,
  condition: (job: JobState) => boolean,
  signal?: AbortSignal,
): Promise<JobState> {
  const entry = engine.ledger.entryOfRun(job.runId);
  const now = entry === undefined ? job : memberOf(entry.durable, job.runId) ?? job;
  if (condition(now)) return now;
  signal?.throwIfAborted();
  return await engine.waits.until(job.runId, condition, signal);
}
