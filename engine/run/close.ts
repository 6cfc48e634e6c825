/**
 * Closes an engine: nothing runs afterwards, and nothing that was answered is lost.
 *
 * `park` (the default) leaves resumable jobs where they stand, to go on at the next opening, and
 * force-cancels the others; `cancel` force-cancels all and dismisses what has concluded. Closing
 * sequences that have begun are finished in both.
 *
 * Source: DESIGN.md, Processes; QEMU 7.2 job.c job_cancel_sync_all.
 */
import { FOLD_VERSION, isOverStatus, type JobState } from "../../events/job/mod.ts";
import { isClosing } from "../core/converge.ts";
import { ENGINE_SNAPSHOT, snapshotState } from "./directory.ts";
import type { Engine } from "./engine.ts";
import type { TxnEntry } from "./entry.ts";

/** What happens to unfinished jobs when the engine closes. */
export type CloseMode = "park" | "cancel";

/** Ends all jobs, writes the engine snapshot and closes the log. */
export async function closeEngine(engine: Engine, mode: CloseMode): Promise<void> {
  const { store } = engine.options;
  engine.stopCommands();
  if (engine.failure === undefined) {
    try {
      await endJobs(engine, mode);
      await engine.writeEngine("EngineClosed", { reason: mode });
      await keepSnapshot(engine);
    } catch (error) {
      if (engine.failure === undefined) throw error;
    }
  }
  for (const entry of engine.ledger.entries) {
    for (const live of entry.live.values()) await engine.drivers.close(live);
  }
  await store.close();
}

async function endJobs(engine: Engine, mode: CloseMode): Promise<void> {
  if (engine.isRunning) {
    await Promise.all(engine.ledger.entries.map((entry) => endTxn(engine, entry, mode)));
  }
  const closing = engine.ledger.entries.filter((entry) => isClosing(entry.durable));
  if (engine.isRunning) await Promise.all(closing.map((entry) => untilClosed(engine, entry)));
  if (mode === "cancel") await dismissAll(engine);
}

async function endTxn(engine: Engine, entry: TxnEntry, mode: CloseMode): Promise<void> {
  const parked: Promise<void>[] = [];
  for (const job of entry.head.jobs.toReversed()) {
    if (isOverStatus(job.status)) continue;
    const runner = entry.live.get(job.runId)?.runner;
    const canPark = mode === "park" && (job.isResumable || job.hasRunReturned || !job.isStarted);
    if (!canPark) await engine.signal(entry, job.runId, { kind: "cancelled" });
    else if (runner !== undefined && !job.hasRunReturned) parked.push(runner.parkForGood());
  }
  await Promise.all(parked);
}

async function untilClosed(engine: Engine, entry: TxnEntry): Promise<void> {
  for (const job of entry.durable.jobs) await until(engine, job, (now) => isOverStatus(now.status));
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
export function until(
  engine: Engine,
  job: JobState,
  condition: (job: JobState) => boolean,
  signal?: AbortSignal,
): Promise<JobState> {
  const { promise, resolve, reject } = Promise.withResolvers<JobState>();
  const now = engine.ledger.entryOfRun(job.runId)?.durable.jobs
    .find((member) => member.runId === job.runId) ?? job;
  if (condition(now)) return Promise.resolve(now);
  if (signal?.aborted) return Promise.reject(signal.reason);
  const stop = engine.watch(job.runId, (state) => {
    if (condition(state)) resolve(state);
  });
  const abort = () => reject(signal?.reason);
  signal?.addEventListener("abort", abort);
  return engine.orFailure(promise).finally(() => {
    stop();
    signal?.removeEventListener("abort", abort);
  });
}

async function keepSnapshot(engine: Engine): Promise<void> {
  const { store } = engine.options;
  const { position } = await store.end();
  const state = snapshotState(engine.ledger.entries.map((entry) => entry.durable));
  await store.putSnapshot({ name: ENGINE_SNAPSHOT, position, foldVersion: FOLD_VERSION, state });
}
