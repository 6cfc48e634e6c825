/** What a log says, gathered in one pass, to be held against files and against what was told. */
import type { EventReader } from "../../../events/log/mod.ts";
import { type JobEvent, runIdOfStream } from "../../../events/job/mod.ts";

/** One job as the log has it. */
export interface JobFacts {
  readonly runId: string;
  readonly type: string;
  readonly txnId: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Callbacks whose end is recorded. */
  readonly returned: Set<string>;
  /** What recoveries did with it. */
  readonly recoveries: string[];
  /** Return code once it has concluded. */
  ret: number | undefined;
  /** Somebody asked it to stop: a user, or the engine when it closed. */
  isCancelled: boolean;
}

/** One transaction as the log has it. */
export interface TxnFacts {
  readonly txnId: string;
  readonly jobs: JobFacts[];
  decision: "commit" | "abort" | undefined;
  /** Position at which finalization began. */
  finalizingAt: number | undefined;
  /** True if the log was opened again between finalization and decision. */
  wasInterrupted: boolean;
}

/** See the head of this file. */
export class History {
  /** Jobs by run id. */
  readonly jobs = new Map<string, JobFacts>();
  /** Transactions by id; a lone job's is its run id. */
  readonly txns = new Map<string, TxnFacts>();
  /** Correlation ids of commands, and whether they were accepted. */
  readonly answers = new Map<string, boolean>();
  /** How often the log was opened. */
  openings = 0;
  /** Events in all. */
  size = 0;

  /** Reads a log from its beginning. */
  static async read(reader: EventReader): Promise<History> {
    const history = new History();
    for await (const event of reader.readAll()) history.#take(event as unknown as JobEvent);
    return history;
  }

  #take(event: JobEvent): void {
    this.size = event.position;
    const runId = runIdOfStream(event.stream);
    if (event.type === "JobCreated") return this.#create(event.data);
    if (event.type === "EngineOpened") return this.#reopen();
    const { correlationId } = event.metadata;
    if (correlationId !== undefined && /^Verb(Accepted|Refused)$/.test(event.type)) {
      this.answers.set(correlationId, event.type === "VerbAccepted");
    }
    const job = runId === undefined ? undefined : this.jobs.get(runId);
    if (job !== undefined) this.#takeOfJob(job, event);
    const txnId = job?.txnId ?? event.stream.slice("txn-".length);
    const txn = this.txns.get(txnId);
    if (txn === undefined) return;
    if (event.type === "TxnFinalizing") txn.finalizingAt = event.position;
    if (event.type === "TxnDecided") txn.decision = event.data.decision;
  }

  #create(data: Extract<JobEvent, { readonly type: "JobCreated" }>["data"]): void {
    const { runId, jobType, txnId, parameters } = data;
    const job: JobFacts = {
      runId,
      type: jobType,
      txnId,
      parameters,
      returned: new Set(),
      recoveries: [],
      ret: undefined,
      isCancelled: false,
    };
    this.jobs.set(runId, job);
    const txn = this.txns.get(txnId);
    if (txn !== undefined) return void txn.jobs.push(job);
    const fresh = { decision: undefined, finalizingAt: undefined, wasInterrupted: false };
    this.txns.set(txnId, { txnId, jobs: [job], ...fresh });
  }

  #reopen(): void {
    this.openings += 1;
    for (const txn of this.txns.values()) {
      if (txn.finalizingAt !== undefined && txn.decision === undefined) txn.wasInterrupted = true;
    }
  }

  #takeOfJob(job: JobFacts, event: JobEvent): void {
    if (event.type.endsWith("Returned")) job.returned.add(event.type);
    if (event.type === "JobRecovered") job.recoveries.push(event.data.action);
    if (event.type === "JobConcluded") job.ret = event.data.ret;
    if (event.type === "JobCancelRequested" && event.data.by !== "group") job.isCancelled = true;
  }
}
