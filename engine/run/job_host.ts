/**
 * The engine as the live half of one job sees it.
 */
import {
  type FaultedCallback,
  type JobEventData,
  type JobState,
  jobStream,
} from "../../events/job/mod.ts";
import type { EventStore } from "../../events/log/store.ts";
import type { JsonValue } from "../../events/log/event.ts";
import type { DriverStep, IrreversibleAct } from "../drivers/driver.ts";
import type { NodeChange } from "../drivers/nodes.ts";
import type { DecidedEvent } from "../core/draft.ts";
import type { TxnEntry } from "./entry.ts";
import type { RunnerHost } from "./host.ts";
import type { Signal } from "../core/signals.ts";

type Work = "StepTaken" | "ProgressTotalChanged";
type Fact = "CheckpointTaken" | "SourceWritten" | "ActAnnounced" | "ActConfirmed";

/** What is asked of the engine. */
export interface JobHostEngine {
  /** Its log, for reading what state does not keep. */
  readonly options: { readonly store: EventStore };
  /** Appends an event and changes of the graph together. */
  readonly nodes: {
    writeWith(event: DecidedEvent, changes: readonly NodeChange[]): Promise<void>;
  };
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
  return new JobHost(engine, entry, runId);
}

/** A class, because a hundred thousand jobs would else have as many copies of each function. */
class JobHost implements RunnerHost {
  readonly #engine: JobHostEngine;
  readonly #entry: TxnEntry;
  readonly #runId: string;

  constructor(engine: JobHostEngine, entry: TxnEntry, runId: string) {
    this.#engine = engine;
    this.#entry = entry;
    this.#runId = runId;
  }

  job(): JobState {
    return this.#entry.job(this.#runId);
  }

  signal(signal: Signal): Promise<void> {
    return this.#engine.signal(this.#entry, this.#runId, signal);
  }

  writeStep(step: DriverStep): Promise<void> {
    return this.#engine.writeWork(this.#runId, "StepTaken", { ...step });
  }

  writeTotal(total: number): Promise<void> {
    return this.#engine.writeWork(this.#runId, "ProgressTotalChanged", { total });
  }

  writeCheckpoint(resumeFrom: JsonValue): Promise<void> {
    return this.#engine.write(this.#runId, "CheckpointTaken", { resumeFrom });
  }

  writeSourceWritten(): Promise<void> {
    return this.#engine.write(this.#runId, "SourceWritten", {});
  }

  writeAct(
    type: "ActAnnounced" | "ActConfirmed",
    { kind, subject, before, after }: IrreversibleAct,
    changes: readonly NodeChange[] = [],
  ): Promise<void> {
    const data = type === "ActAnnounced" ? { kind, subject, before, after } : { kind, subject };
    if (changes.length > 0) {
      const event = { stream: jobStream(this.#runId), type, data };
      return this.#engine.nodes.writeWith(event as DecidedEvent, changes);
    }
    return this.#engine.write(this.#runId, type, data as JobEventData["ActAnnounced"]);
  }

  openAct(): Promise<{ readonly kind: string; readonly subject: string } | undefined> {
    return readOpenAct(this.#engine.options.store, this.job());
  }

  fault(callback: FaultedCallback, error: unknown): void {
    this.#engine.fault(this.#runId, callback, error);
  }
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
