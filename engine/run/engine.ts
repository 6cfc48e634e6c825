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
import type { EventMetadata } from "../../events/log/event.ts";
import { JoblogError } from "../../events/log/errors.ts";
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
import { Background } from "./background.ts";
import { ClosingWork } from "./closing_work.ts";
import { Drivers } from "./drivers.ts";
import type { EngineOptions } from "./engine_options.ts";
import type { LiveDriver, TxnEntry } from "./entry.ts";
import { GraphHost } from "./graph_host.ts";
import type { RunnerHost } from "./host.ts";
import { jobHost } from "./job_host.ts";
import { BY_ENGINE, Ledger } from "./ledger.ts";
import { LogSpace } from "./log_space.ts";
import { refusalError } from "./refusal_error.ts";
import { Runner } from "./runner.ts";
import { Snapshots } from "./snapshots.ts";
import { Waits } from "./waits.ts";

const REOPEN_HINT =
  "Make room or mend the disk, then open the log again: it holds all that was answered.";

/** Decides, appends, and does the work that follows. */
export class Engine {
  /** What it was made of. */
  readonly options: EngineOptions;
  /** Appends and state. */
  readonly ledger: Ledger;
  /** Snapshots that are kept on the way. */
  readonly snapshots: Snapshots;
  /** Opened drivers. */
  readonly drivers: Drivers;
  /** Open nodes of images. */
  readonly nodes: GraphHost;
  readonly #closing: ClosingWork;
  readonly #space: LogSpace;
  /** Everybody who waits. */
  readonly waits = new Waits();
  #failure: Error | undefined;
  #isStopping = false;
  readonly #background = new Background((error) => this.#fail(error));

  /** @param options what it is made of; nothing is read or appended yet */
  constructor(options: EngineOptions) {
    this.options = options;
    this.ledger = new Ledger(options.store, (entry, event, before, after) => {
      this.#onDurable(entry, event, before, after);
    });
    this.snapshots = new Snapshots(options.store, this.ledger);
    this.nodes = new GraphHost(this);
    this.drivers = new Drivers(options, this.nodes);
    this.#closing = new ClosingWork(this.drivers, this);
    options.store.onFailure((error) => this.#fail(error));
    this.#space = new LogSpace(this);
    options.store.onReserveReleased(() => this.#space.pauseAll());
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
        hint: REOPEN_HINT,
      });
    }
    if (this.#isStopping) {
      throw new JoblogError("logClosed", "Cannot take commands: the engine is closing");
    }
  }

  /** Decides a signal and appends what it brings about. Never throws: rejects when it cannot. */
  // deno-lint-ignore require-await -- the decision is made at once, its failure is a rejection
  async signal(entry: TxnEntry, runId: string, signal: Signal): Promise<void> {
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

  /** Appends one event of a job's work; it may wait for company, as nobody waits for it. */
  writeWork<T extends "StepTaken" | "ProgressTotalChanged">(
    runId: string,
    type: T,
    data: JobEventData[T],
  ): Promise<void> {
    const event = { stream: jobStream(runId), type, data };
    return this.ledger.append([event], BY_ENGINE, { isPatient: true });
  }

  /** Appends one event of the engine's own stream. */
  writeEngine<T extends JobEventType>(type: T, data: JobEventData[T]): Promise<void> {
    return this.ledger.append([{ stream: ENGINE_STREAM, type, data }], BY_ENGINE);
  }

  /**
   * Appends a decided command and waits for its answer.
   *
   * @param place what appends it: the graph, when its events are among them
   * @throws {JoblogError} the refusal, with its code and text
   */
  async answer(
    decision: Decision,
    commandId: string,
    metadata: EventMetadata,
    isIdempotent: boolean,
    place: Pick<GraphHost, "append"> = this.ledger,
  ): Promise<void> {
    const later = decision.answer.kind === "later" ? this.waits.answer(commandId) : undefined;
    later?.catch(() => {});
    await place.append(decision.events, metadata, isIdempotent ? { commandId } : {});
    throwIfRefused(decision.answer);
    if (later !== undefined) await later;
  }

  /** True while an accepted command's later answer is still to come. */
  isAwaited(commandId: string): boolean {
    return this.ledger.entries.some(({ durable }) =>
      durable.awaited.some((answer) => answer.commandId === commandId)
    );
  }

  /**
   * Runs a command now, or after the closing sequence that its transaction is in and after the
   * commands that wait for that already.
   */
  whenNotClosing<T>(entry: () => TxnEntry | undefined, command: () => Promise<T>): Promise<T> {
    const current = entry();
    const isFree = current === undefined || current.queue.length === 0 && !isClosing(current.head);
    if (isFree) return command();
    const { promise, resolve } = Promise.withResolvers<T>();
    current.queue.push(() => resolve(this.whenNotClosing(entry, command)));
    return this.waits.orEnd(promise);
  }

  /** Starts a job's runner. */
  startRunner(entry: TxnEntry, runId: string): void {
    const live = entry.liveOf(runId);
    if (live.driver === undefined || live.runner !== undefined) return;
    live.runner = new Runner(this.host(entry, runId), live.driver, this.options.ports);
    this.background(live.runner.start());
  }

  /** The engine as the live half of one job sees it. */
  host(entry: TxnEntry, runId: string): RunnerHost {
    return jobHost(this, entry, runId);
  }

  /** Records that a callback threw which cannot change a job's result. */
  fault(runId: string, callback: JobEventData["DriverFaulted"]["callback"], error: unknown): void {
    const entry = this.ledger.entryOfRun(runId);
    if (entry === undefined || this.#failure !== undefined) return;
    const signal = { kind: "faulted", callback, error: this.drivers.errorOf(error) } as const;
    this.background(this.signal(entry, runId, signal));
  }

  #onDurable(entry: TxnEntry, event: JobEvent, before: TxnState, after: TxnState): void {
    if (event.type === "VerbAnswered") this.waits.resolve(event.data);
    if (event.type === "JobResumeRequested" && event.data.by === "user") this.#space.restore();
    const runId = runIdOfStream(event.stream);
    const job = runId === undefined ? undefined : memberOf(after, runId);
    if (runId !== undefined && job !== undefined) {
      const jobBefore = memberOf(before, runId) ?? job;
      this.#tellRunner(entry, event, jobBefore, job);
      this.waits.tell(job);
      this.snapshots.onDurable(jobBefore, job);
    }
    if (entry.head === after) this.#work(entry);
  }

  #tellRunner(entry: TxnEntry, event: JobEvent, before: JobState, after: JobState): void {
    const { runId } = after;
    const live = entry.live.get(runId);
    live?.runner?.onDurable(event.type, before, after);
    if (event.type === "JobStarted" || event.type === "JobRecovered") {
      const goesOn = event.type === "JobStarted" || event.data.action === "resumed";
      if (this.isRunning && goesOn) this.startRunner(entry, runId);
    }
    if (event.type === "JobCancelRequested" && event.data.by !== "group") live?.runner?.enter();
    const isOver = event.type === "JobConcluded" || event.type === "JobDismissed";
    if (isOver && live !== undefined) this.closeDriver(live);
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

  /** A force-cancelled job that no runner lives, or lives no more, will not end by itself. */
  #stopUnrun(entry: TxnEntry): void {
    for (const job of entry.head.jobs) {
      const runner = entry.live.get(job.runId)?.runner;
      const isUnrun = runner === undefined ? !this.isRunning : runner.isParked;
      if (!isUnrun || !job.isForceCancelled || !job.isStarted || job.hasRunReturned) continue;
      const decision = decideStopped(entry.head, job.runId, this.ledger.position);
      this.background(this.#appendSignal(entry, decision));
    }
  }

  /** Closes a job's driver; its failure is recorded while the log can be written. */
  closeDriver(live: LiveDriver): void {
    if (live.driver === undefined || this.drivers.dropUnheld(live)) return;
    const entry = this.ledger.entryOfRun(live.runId);
    const closing = this.#closeDriver(live);
    // A job that is dismissed at its end is over before its driver is closed.
    this.background(entry === undefined ? closing : this.ledger.keepWhile(entry, closing));
  }

  async #closeDriver(live: LiveDriver): Promise<void> {
    try {
      await this.drivers.close(live);
    } catch (error) {
      this.fault(live.runId, "close", error);
    }
  }

  /** Work that nobody awaits: `untilIdle` does, and a failure of it stops the engine. */
  background(work: Promise<void>): void {
    this.#background.add(work);
  }

  /** Resolves when no callback, no `run` and no append of the engine's own is under way. */
  untilIdle(): Promise<void> {
    return this.#background.untilIdle();
  }

  /** After a callback: the next work of the transaction, if any. */
  goOn(entry: TxnEntry): void {
    if (this.#failure === undefined) this.#work(entry);
  }

  /** The first failure is kept; what fails in its wake says nothing new. */
  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = error instanceof Error ? error : new Error(String(error));
    const text = "Cannot go on: a commit of the log failed";
    this.waits.end(new JoblogError("commitFailed", text, { cause: error, hint: REOPEN_HINT }));
    for (const entry of this.ledger.entries) {
      for (const live of entry.live) live.runner?.abandon();
    }
  }
}

function throwIfRefused(answer: Answer): void {
  if (answer.kind === "refused") throw refusalError(answer.refusal);
}
