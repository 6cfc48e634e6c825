/**
 * What is durably so: every commit of a log, folded as it happens, beside the engine.
 *
 * The checkers look here to say whether the engine has told somebody what was not durable yet, or
 * has called a driver for which nothing durable gave a reason. Positions, versions and times are
 * checked here too.
 */
import type { CommitBatch } from "../../events/log/mod.ts";
import {
  evolveTxn,
  initialTxn,
  isOverStatus,
  type JobEvent,
  type JobState,
  memberOf,
  runIdOfStream,
  type TxnState,
} from "../../events/job/mod.ts";
import { Directory } from "../../engine/run/directory.ts";
import type { Judge } from "./judge.ts";

/** The record of a command. */
export type CommandEvent = JobEvent & { readonly type: "VerbAccepted" | "VerbRefused" };

/** See the head of this file. */
export class Facts {
  /** Everything recorded. */
  readonly events: JobEvent[] = [];
  /** Unfinished transactions, as an opening folds them. */
  readonly directory = new Directory();
  /** Transactions, finished ones included. */
  readonly txns = new Map<string, TxnState>();
  /** Records by command id. */
  readonly records = new Map<string, CommandEvent>();
  /** Records by correlation id. */
  readonly recordsOf = new Map<string, CommandEvent[]>();
  /** Later answers by command id. */
  readonly answers = new Map<string, JobEvent & { readonly type: "VerbAnswered" }>();
  /** Changes of speed by run id. */
  readonly speedChanges = new Map<string, number>();
  readonly #judge: Judge;
  readonly #txnOfRun = new Map<string, string>();
  readonly #runOfName = new Map<string, string>();
  readonly #holders = new Map<string, string>();
  #spacePauses = 0;
  readonly #versions = new Map<string, number>();

  /** @param judge told of breaches */
  constructor(judge: Judge) {
    this.#judge = judge;
  }

  /** The transaction of a job. */
  txnOfRun(runId: string): TxnState | undefined {
    return this.txns.get(this.#txnOfRun.get(runId) ?? "");
  }

  /** The job whose script has a name. */
  jobOfName(name: string): JobState | undefined {
    const runId = this.#runOfName.get(name);
    const txn = runId === undefined ? undefined : this.txnOfRun(runId);
    return txn && memberOf(txn, runId!);
  }

  /** A commit has become durable. */
  apply(batch: CommitBatch): void {
    for (const record of batch.records) {
      const event = JSON.parse(record.text) as JobEvent;
      this.#place(event);
      this.events.push(event);
      this.#fold(event);
      this.#index(event);
    }
  }

  #place(event: JobEvent): void {
    const { position, stream, version, time } = event;
    const last = this.events.at(-1);
    const next = (this.#versions.get(stream) ?? 0) + 1;
    this.#versions.set(stream, version);
    this.#judge.check(position === this.events.length + 1, `position ${position} leaves a hole`);
    this.#judge.check(version === next, `version ${version} of ${stream} is not ${next}`);
    this.#judge.check(time >= (last?.time ?? 0), `time runs back at ${position}`);
  }

  #fold(event: JobEvent): void {
    this.directory.apply(event);
    const txnId = this.#txnIdOf(event);
    if (txnId === undefined) return;
    const isGroup = event.stream.startsWith("txn-") || !this.#txnOfRun.has(txnId);
    const txn = evolveTxn(this.txns.get(txnId) ?? initialTxn(txnId, isGroup), event);
    this.txns.set(txnId, txn);
    this.#converge(txn, event);
  }

  #txnIdOf(event: JobEvent): string | undefined {
    if (event.type === "JobCreated") {
      const { runId, txnId, parameters } = event.data;
      this.#txnOfRun.set(runId, txnId);
      this.#runOfName.set(String(parameters["name"]), runId);
    }
    const runId = runIdOfStream(event.stream);
    if (runId !== undefined) return this.#txnOfRun.get(runId);
    return event.stream.startsWith("txn-") ? event.stream.slice(4) : undefined;
  }

  /** Members end on one side, the decided one, each after its own callbacks. */
  #converge(txn: TxnState, { position, type }: JobEvent): void {
    const check = (isSound: boolean, text: string) =>
      this.#judge.check(isSound, () => `${text} in transaction ${txn.txnId} at ${position}`);
    const closing = ["CommitReturned", "AbortReturned", "CleanReturned", "JobConcluded"];
    if (closing.includes(type)) check(txn.decision !== null, `${type} before a decision`);
    const ended = txn.jobs.filter(({ outcome }) => outcome !== null);
    check(new Set(ended.map(({ ret }) => ret === 0)).size < 2, "members end on both sides");
    for (const job of txn.jobs) {
      const closed: readonly string[] = job.closed;
      check(!(closed.includes("commit") && closed.includes("abort")), "commit and abort");
      check(job.pauseCount >= (job.isUserPaused ? 1 : 0), "pauses do not add up");
      check(job.isCancelRequested || !job.isForceCancelled, "forced and not cancelled");
      if (job.outcome === null) continue;
      check(txn.decision?.decision === (job.ret === 0 ? "commit" : "abort"), "undecided end");
      for (const callback of [job.ret === 0 ? "commit" : "abort", "clean"] as const) {
        const isDone = closed.includes(callback) || !job.callbacks.includes(callback);
        check(isDone, `${job.id} ended without ${callback}`);
      }
    }
    if (txn.isConcluded) check(txn.jobs.every((job) => isOverStatus(job.status)), "early end");
  }

  /** A record says what was so at its position: the status, and whether an id was held. */
  #checkRecord({ type, stream, data, position }: CommandEvent): void {
    const check = (isSound: boolean, text: string) =>
      this.#judge.check(isSound, () => `${text} in the record at ${position}`);
    const runId = runIdOfStream(stream);
    const { status, verb, subject } = data;
    if (status !== undefined) {
      check(status === this.#statusBefore(runId ?? ""), `${verb} in a wrong status`);
    }
    if (type !== "VerbRefused") return;
    const ids = subject.split(",");
    const isHeld = ids.some((id) => this.#holders.has(id)) || new Set(ids).size < ids.length;
    if (data.code === "duplicateJobId") check(isHeld, `${subject} is no duplicate`);
    if (data.code === "unknownJob") check(!this.#holders.has(subject), `${subject} is known`);
  }

  /** A verb's record comes before its effects. */
  #statusBefore(runId: string): string | undefined {
    const txn = this.txnOfRun(runId);
    return txn && memberOf(txn, runId)?.status;
  }

  #hold(event: JobEvent): void {
    const runId = runIdOfStream(event.stream);
    if (event.type === "JobCreated" && event.data.id !== null) {
      const { id } = event.data;
      this.#judge.check(!this.#holders.has(id), `id ${id} is given twice at ${event.position}`);
      this.#holders.set(id, event.data.runId);
    }
    if (event.type !== "JobDismissed") return;
    for (const [id, holder] of this.#holders) if (holder === runId) this.#holders.delete(id);
  }

  /** A job that does not run takes no steps; a full disk pauses as many jobs as it says. */
  #checkWork(event: JobEvent): void {
    const { position, stream, type, data } = event;
    if (type === "JobPauseRequested" && data.by === "logSpace") this.#spacePauses += 1;
    if (type === "LogSpaceLow") {
      const isSame = data.pausedJobs === this.#spacePauses;
      this.#judge.check(isSame, () => `${this.#spacePauses} jobs are paused at ${position}`);
      this.#spacePauses = 0;
    }
    if (type !== "StepTaken") return;
    const runId = runIdOfStream(stream)!;
    const txn = this.txnOfRun(runId);
    const job = txn && memberOf(txn, runId);
    const isSound = job?.isStarted === true && !job.hasRunReturned;
    this.#judge.check(isSound, () => `a step of a job that does not run at ${position}`);
  }

  #index(event: JobEvent): void {
    this.#hold(event);
    this.#checkWork(event);
    const { correlationId } = event.metadata;
    if (event.type === "VerbAnswered") this.answers.set(event.data.commandId, event);
    if (event.type === "JobSpeedChanged") {
      const runId = runIdOfStream(event.stream)!;
      this.speedChanges.set(runId, (this.speedChanges.get(runId) ?? 0) + 1);
    }
    if (event.type !== "VerbAccepted" && event.type !== "VerbRefused") return;
    const { commandId } = event.data;
    this.#judge.check(!this.records.has(commandId), `command ${commandId} has two records`);
    this.records.set(commandId, event);
    this.#checkRecord(event);
    const list = this.recordsOf.get(correlationId ?? "") ?? [];
    this.recordsOf.set(correlationId ?? "", [...list, event]);
  }
}
