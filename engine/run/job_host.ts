/**
 * The engine as the live half of one job sees it.
 */
import type { FaultedCallback, JobEventData, JobState } from "../../events/job/mod.ts";
import type { EventStore } from "../../events/log/store.ts";
import type { TxnEntry } from "./entry.ts";
import type { RunnerHost } from "./host.ts";
import type { Signal } from "../core/signals.ts";

type Work = "StepTaken" | "ProgressTotalChanged";
type Fact = "CheckpointTaken" | "ActAnnounced" | "ActConfirmed";

/** What is asked of the engine. */
export interface JobHostEngine {
  /** Its log, for reading what state does not keep. */
  readonly options: { readonly store: EventStore };
  /** Decides a signal. */
  signal(entry: TxnEntry, runId: string, signal: Signal): Promise<void>;
  /** Appends one event of a job's work. */
  writeWork<T extends Work>(runId: string, type: T, data: JobEventData[T]): Promise<void>;
  /** Appends one event of a job that needs no decision. */
  write<T extends Fact>(runId: string, type: T, data: JobEventData[T]): Promise<void>;
  /** Records that a callback threw. */
  fault(runId: string, callback: FaultedCallback, error: unknown): void;
}

/** Makes the host of one job. */
export function jobHost(engine: JobHostEngine, entry: TxnEntry, runId: string): RunnerHost {
  return {
    job: () => entry.job(runId),
    signal: (signal) => engine.signal(entry, runId, signal),
    writeStep: (step) => engine.writeWork(runId, "StepTaken", { ...step }),
    writeTotal: (total) => engine.writeWork(runId, "ProgressTotalChanged", { total }),
    writeCheckpoint: (resumeFrom) => engine.write(runId, "CheckpointTaken", { resumeFrom }),
    writeAct(type, { kind, subject, before, after }) {
      const data = type === "ActAnnounced" ? { kind, subject, before, after } : { kind, subject };
      return engine.write(runId, type, data as JobEventData["ActAnnounced"]);
    },
    openAct: () => readOpenAct(engine.options.store, entry.job(runId)),
    fault: (callback, error) => engine.fault(runId, callback, error),
  };
}

/** State keeps the place of an announcement only; what it said stands in the log. */
async function readOpenAct(
  store: EventStore,
  job: JobState,
): Promise<{ readonly kind: string; readonly subject: string } | undefined> {
  const at = job.openAct;
  if (at === null) return undefined;
  for await (const event of store.readAll({ from: at, to: at })) {
    return event.data as unknown as JobEventData["ActAnnounced"];
  }
  return undefined;
}
