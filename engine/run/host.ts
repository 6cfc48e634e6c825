/**
 * What the live half of a job asks of the engine.
 */
import type { JsonValue } from "../../events/log/event.ts";
import type { FaultedCallback, JobState } from "../../events/job/mod.ts";
import type { Signal } from "../core/signals.ts";
import type { IrreversibleAct } from "../drivers/driver.ts";
import type { NodeChange } from "../drivers/nodes.ts";
import type { StepSink } from "./steps.ts";

/** The engine as one job's runner sees it. Every promise resolves when its events are durable. */
export interface RunnerHost extends StepSink {
  /** The job's durable state. */
  job(): JobState;
  /** Decides a signal. */
  signal(signal: Signal): Promise<void>;
  /** Records a checkpoint. */
  writeCheckpoint(resumeFrom: JsonValue): Promise<void>;
  /** Records that somebody else is about to write the job's source. */
  writeSourceWritten(): Promise<void>;
  /** Announces or confirms an irreversible act, in one append with changes of the graph. */
  writeAct(
    type: "ActAnnounced" | "ActConfirmed",
    act: IrreversibleAct,
    changes?: readonly NodeChange[],
  ): Promise<void>;
  /** The act that was announced and not confirmed: what it is, and to what. */
  openAct(): Promise<{ readonly kind: string; readonly subject: string } | undefined>;
  /** Records that a callback threw which cannot change the job's result. */
  fault(callback: FaultedCallback, error: unknown): void;
}
