/**
 * The shell around the rules: decides commands and signals at the head, appends them, and does the
 * work that durable state asks for.
 *
 * - Commands are decided in the order of their arrival; those on a transaction in its closing
 *   sequence wait for its end, in order.
 * - A command's promise resolves when its answer is durable: at once for most verbs, at the end of
 *   the closing sequence for those that are answered later.
 * - Drivers hear of nothing that is not durable. Their callbacks never hold the engine up.
 * - When a commit fails the engine stops: it refuses everything and must be opened again.
 *
 * Source: DESIGN.md, The log, Head and durable; The job machine.
 */
import type { EventMetadata, JsonValue } from "../../events/log/event.ts";
import { JoblogError } from "../../events/log/errors.ts";
import type { EventStore } from "../../events/log/store.ts";
import {
  ENGINE_STREAM,
  type JobEvent,
  type JobEventData,
  type JobEventType,
  type JobState,
  jobStream,
  memberOf,
  runIdOfStream,
  type TxnState,
} from "../../events/job/mod.ts";
import { dueWork, isClosing } from "../core/converge.ts";
import type { Answer, Decision } from "../core/draft.ts";
import { decideStopped } from "../core/recover.ts";
import { decideSignal, type Signal } from "../core/signals.ts";
import type { Driver, IrreversibleAct } from "../drivers/driver.ts";
import { ClosingWork } from "./closing_work.ts";
import { Drivers } from "./drivers.ts";
import type { TxnEntry } from "./entry.ts";
import type { RunnerHost } from "./host.ts";
import { BY_ENGINE, Ledger } from "./ledger.ts";
import type { Ports, ProcessIdentity } from "./ports.ts";
import { refusalError } from "./refusal_error.ts";
import { Runner } from "./runner.ts";

/** Where the engine finds kinds of jobs. */
export interface DriverLookup {
  /** The driver of a type. @throws {JoblogError} code "unknownJobType" when there is none */
  get(type: string): Driver;
  /** All types. */
  readonly types: readonly string[];
}

/** What an engine is made of. */
export interface EngineOptions {
  /** The log, open for writing; the engine closes it. */
  readonly store: EventStore;
  /** Time, turns and ids. */
  readonly ports: Ports;
  /** Kinds of jobs. */
  readonly drivers: DriverLookup;
  /** Who this process is. */
  readonly identity: ProcessIdentity;
  /** Folder against which relative file names resolve. */
  readonly baseFolder: string;
  /** False = takes verbs and runs closing callbacks, but no job. @default true */
  readonly isRunning?: boolean;
}

const REOPEN_HINT =
  "Make room or mend the disk, then open the log again: it holds all that was answered.";

/** Told about each durable change of a job. */
export type JobListener = (job: JobState) => void;

/** Decides, appends, and does the work that follows. */
export class Engine {
  /** What it was made of. */
  readonly options: EngineOptions;
  /** Appends and state. */
  readonly ledger: Ledger;
  /** Opened drivers. */
  readonly drivers: Drivers;
  readonly #closing: ClosingWork;
  readonly #answers = new Map<string, (refusal: { code: string; text: string } | null) => void>();
  readonly #watchers = new Map<string, Set<JobListener>>();
  #failure: Error | undefined;
  readonly #waiting = new Set<(error: Error) => void>();
  #isStopping = false;

  /** @param options what it is made of; nothing is read or appended yet */
  constructor(options: EngineOptions) {
    this.options = options;
    this.ledger = new Ledger(options.store, (entry, event, before, after) => {
      this.#onDurable(entry, event, before, after);
    });
    this.drivers = new Drivers(options);
    this.#closing = new ClosingWork(this.drivers, this);
    options.store.onFailure((error) => this.#fail(error));
    options.store.onReserveReleased(() => this.#pauseAllForSpace());
  }

  /** True if this process runs jobs. */
  get isRunning(): boolean {
    return this.options.isRunning !== false;
  }

  /** Why the engine stopped, if it did. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Refuses commands from now on; signals still pass, so that jobs can end. */
  stopCommands(): void {
    this.#isStopping = true;
  }

  /** @throws {JoblogError} code "logClosed" when the engine has stopped or is closing */
  assertOpen(): void {
    if (this.#failure !== undefined) {
      throw new JoblogError("logClosed", "Cannot take commands: a commit of the log failed", {
        cause: this.#failure,
        hint:
          "Make room or mend the disk, then open the log again: it holds all that was answered.",
      });
    }
    if (this.#isStopping) {
      throw new JoblogError("logClosed", "Cannot take commands: the engine is closing");
    }
  }

  /** Decides a signal and appends what it brings about. */
  signal(entry: TxnEntry, runId: string, signal: Signal): Promise<void> {
    const decision = decideSignal(entry.head, runId, signal, this.ledger.position);
    return this.#appendSignal(entry, decision);
  }

  #appendSignal(entry: TxnEntry, decision: Decision): Promise<void> {
    if (decision.events.length === 0) this.#work(entry);
    return this.ledger.append(decision.events, BY_ENGINE);
  }

  /** Appends one event of a job that needs no decision. */
  write<T extends JobEventType>(runId: string, type: T, data: JobEventData[T]): Promise<void> {
    return this.ledger.append([{ stream: jobStream(runId), type, data }], BY_ENGINE);
  }

  /** Appends one event of the engine's own stream. */
  writeEngine<T extends JobEventType>(type: T, data: JobEventData[T]): Promise<void> {
    return this.ledger.append([{ stream: ENGINE_STREAM, type, data }], BY_ENGINE);
  }

  /**
   * Appends a decided command and waits for its answer.
   *
   * @throws {JoblogError} the refusal, with its code and text
   */
  async answer(
    decision: Decision,
    commandId: string,
    metadata: EventMetadata,
    isIdempotent: boolean,
  ): Promise<void> {
    const later = decision.answer.kind === "later" ? this.awaitAnswer(commandId) : undefined;
    later?.catch(() => {});
    await this.ledger.append(decision.events, metadata, isIdempotent ? commandId : undefined);
    throwIfRefused(decision.answer);
    if (later !== undefined) await later;
  }

  /** Resolves with the later answer to an accepted command; rejects if that is a refusal. */
  async awaitAnswer(commandId: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<{ code: string; text: string } | null>();
    this.#answers.set(commandId, resolve);
    const refusal = await this.orFailure(promise);
    if (refusal !== null) throw refusalError(refusal);
  }

  /** Runs a command now, or after the closing sequence that its transaction is in. */
  whenNotClosing<T>(entry: () => TxnEntry | undefined, command: () => Promise<T>): Promise<T> {
    const current = entry();
    if (current === undefined || !isClosing(current.head)) return command();
    const { promise, resolve } = Promise.withResolvers<T>();
    current.queue.push(() => resolve(this.whenNotClosing(entry, command)));
    return this.orFailure(promise);
  }

  /** Calls back after each durable change of a job. @returns stops it */
  watch(runId: string, listener: JobListener): () => void {
    let listeners = this.#watchers.get(runId);
    if (listeners === undefined) this.#watchers.set(runId, listeners = new Set());
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#watchers.delete(runId);
    };
  }

  /** Starts a job's runner. */
  startRunner(entry: TxnEntry, runId: string): void {
    const live = entry.liveOf(runId);
    if (live.driver === undefined || live.runner !== undefined) return;
    live.runner = new Runner(this.host(entry, runId), live.driver, this.options.ports);
    live.runner.start().catch((error) => this.#ignoreAfterFailure(error));
  }

  /** The engine as the live half of one job sees it. */
  host(entry: TxnEntry, runId: string): RunnerHost {
    return {
      job: () => entry.job(runId),
      signal: (signal) => this.signal(entry, runId, signal),
      writeStep: (step) => this.write(runId, "StepTaken", { ...step }),
      writeTotal: (total) => this.write(runId, "ProgressTotalChanged", { total }),
      writeCheckpoint: (resumeFrom: JsonValue) =>
        this.write(runId, "CheckpointTaken", { resumeFrom }),
      writeAct: (type, act: IrreversibleAct) => {
        const { kind, subject, before, after } = act;
        const data = type === "ActAnnounced" ? { kind, subject, before, after } : { kind, subject };
        return this.write(runId, type, data as JobEventData["ActAnnounced"]);
      },
    };
  }

  /** Records that a callback threw which cannot change a job's result. */
  fault(runId: string, callback: JobEventData["DriverFaulted"]["callback"], error: unknown): void {
    const entry = this.ledger.entryOfRun(runId);
    if (entry === undefined || this.#failure !== undefined) return;
    const signal = { kind: "faulted", callback, error: this.drivers.errorOf(error) } as const;
    this.signal(entry, runId, signal).catch((failed) => this.#ignoreAfterFailure(failed));
  }

  #onDurable(entry: TxnEntry, event: JobEvent, before: TxnState, after: TxnState): void {
    if (event.type === "VerbAnswered") this.#resolveAnswer(event.data);
    const runId = runIdOfStream(event.stream);
    const job = runId === undefined ? undefined : memberOf(after, runId);
    if (runId !== undefined && job !== undefined) {
      this.#tellRunner(entry, event, memberOf(before, runId) ?? job, job);
      for (const listener of this.#watchers.get(runId) ?? []) listener(job);
    }
    if (entry.head === after) this.#work(entry);
  }

  #resolveAnswer(data: JobEventData["VerbAnswered"]): void {
    const { commandId, code, text } = data;
    const resolve = this.#answers.get(commandId);
    this.#answers.delete(commandId);
    resolve?.(code === undefined ? null : { code, text: text ?? code });
  }

  #tellRunner(entry: TxnEntry, event: JobEvent, before: JobState, after: JobState): void {
    const { runId } = after;
    const live = entry.live.get(runId);
    try {
      live?.runner?.onDurable(event.type, before, after);
    } catch (error) {
      this.fault(runId, callbackOf(event.type), error);
    }
    if (event.type === "JobStarted" || event.type === "JobRecovered") {
      const goesOn = event.type === "JobStarted" || event.data.action === "resumed";
      if (this.isRunning && goesOn) this.startRunner(entry, runId);
    }
    if (event.type === "JobCancelRequested" && event.data.by !== "group") live?.runner?.enter();
    if (event.type === "JobConcluded" || event.type === "JobDismissed") {
      this.drivers.close(live).catch((error) => this.fault(runId, "close", error));
    }
  }

  /** Does what durable state asks for: wake a member, stop one that nobody runs, a callback. */
  #work(entry: TxnEntry): void {
    this.#stopUnrun(entry);
    const due = dueWork(entry.durable);
    if (due?.kind === "enter") entry.live.get(due.runId)?.runner?.enter();
    if (due?.kind === "callback" && entry.head === entry.durable) this.#closing.start(entry, due);
    if (entry.queue.length > 0 && !isClosing(entry.head)) {
      for (const next of entry.queue.splice(0)) next();
    }
  }

  /** A force-cancelled job that no runner lives will not end by itself. */
  #stopUnrun(entry: TxnEntry): void {
    for (const job of entry.head.jobs) {
      const isStuck = job.isForceCancelled && job.isStarted && !job.hasRunReturned;
      const live = entry.live.get(job.runId);
      if (!isStuck || live?.runner !== undefined || this.isRunning) continue;
      const decision = decideStopped(entry.head, job.runId, this.ledger.position);
      this.#appendSignal(entry, decision).catch((error) => this.#ignoreAfterFailure(error));
    }
  }

  /** After a callback: the next work of the transaction, if any. */
  goOn(entry: TxnEntry): void {
    if (this.#failure === undefined) this.#work(entry);
  }

  #pauseAllForSpace(): void {
    let pausedJobs = 0;
    for (const entry of this.ledger.entries) {
      for (const job of entry.head.jobs) {
        if (job.isUserPaused || job.hasRunReturned || !job.isStarted) continue;
        pausedJobs += 1;
        const signal = { kind: "pauseRequested", by: "logSpace" } as const;
        this.signal(entry, job.runId, signal).catch((error) => this.#ignoreAfterFailure(error));
      }
    }
    this.writeEngine("LogSpaceLow", { pausedJobs })
      .catch((error) => this.#ignoreAfterFailure(error));
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    const stopped = new JoblogError("commitFailed", "Cannot go on: a commit of the log failed", {
      cause: error,
      hint: REOPEN_HINT,
    });
    for (const reject of this.#waiting) reject(stopped);
    for (const entry of this.ledger.entries) {
      for (const live of entry.live.values()) live.runner?.controller.abort();
    }
  }

  /** A promise that also rejects when the engine fails, so that nobody waits for ever. */
  orFailure<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject);
      promise.then(resolve, reject).finally(() => this.#waiting.delete(reject));
    });
  }

  /** After a failed commit every pending promise rejects; its cause is told once, by `failure`. */
  #ignoreAfterFailure(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#fail(error instanceof Error ? error : new Error(String(error)));
  }
}

function callbackOf(type: JobEventType): JobEventData["DriverFaulted"]["callback"] {
  if (type === "JobSpeedChanged") return "setSpeed";
  if (type === "JobCompleteRequested") return "complete";
  return type === "JobCancelRequested" ? "cancel" : "userResume";
}

function throwIfRefused(answer: Answer): void {
  if (answer.kind === "refused") throw refusalError(answer.refusal);
}
