/**
 * Transactions: their members, their decision, and what stands between them and their end.
 *
 * - A lone job is a transaction of one; its id is the run id of the job.
 * - The fold is that of `events/job`; steps alone are folded in place, because there are many.
 * - What `txnById` hands out is a copy that later events do not change.
 */
import {
  applyToJob,
  evolveTxn,
  initialTxn,
  type JobEvent,
  type JobState,
  type PauseCause,
  runIdOfStream,
  type TxnState,
} from "../job/mod.ts";
import type { Via } from "../log/event.ts";
import { type Gaps, isUnderstood, noGaps, type Projection } from "./projection.ts";

/** Who paused a job last. */
export interface PauseNote {
  /** Kind of cause. */
  readonly by: PauseCause;
  /** Who asked. */
  readonly actor: string;
  /** The way in. */
  readonly via: Via;
  /** Milliseconds since 1970 of the request. */
  readonly at: number;
  /** Global position of the request. */
  readonly position: number;
}

/** The read model; use the functions of this file to ask it. */
export interface TxnsState {
  /** Transactions by id, in the order of creation. */
  readonly txns: Map<string, TxnState>;
  /** Transaction id of each run id. */
  readonly txnOfRun: Map<string, string>;
  /** Last request to pause per run id, while the job may still be paused. */
  readonly pauses: Map<string, PauseNote>;
  /** Position of the last event folded. */
  position: number;
  /** What could not be understood. */
  readonly gaps: Gaps;
}

/** All transactions with their members. */
export const txns: Projection<TxnsState> = {
  name: "txns",
  foldVersion: 1,
  initial: () => ({
    txns: new Map(),
    txnOfRun: new Map(),
    pauses: new Map(),
    position: 0,
    gaps: noGaps(),
  }),
  evolve(state, event) {
    state.position = event.position;
    if (!isUnderstood(event, state.gaps)) return state;
    const txnId = txnIdOf(state, event);
    if (txnId === undefined) return state;
    const runId = runIdOfStream(event.stream);
    const txn = state.txns.get(txnId) ?? initialTxn(txnId, txnId !== runId);
    if (runId !== undefined) notePause(state, runId, event);
    if (event.type === "StepTaken" && runId !== undefined) {
      const job = txn.jobs.find((member) => member.runId === runId);
      if (job !== undefined) {
        // The members are this view's own: everything handed out is a copy.
        applyToJob(job, event);
        (txn as { position: number }).position = event.position;
        return state;
      }
    }
    state.txns.set(txnId, evolveTxn(txn, event));
    return state;
  },
};

function txnIdOf(state: TxnsState, event: JobEvent): string | undefined {
  if (event.stream.startsWith("txn-")) return event.stream.slice(4);
  const runId = runIdOfStream(event.stream);
  if (runId === undefined) return undefined;
  if (event.type !== "JobCreated") return state.txnOfRun.get(runId);
  state.txnOfRun.set(runId, event.data.txnId);
  return event.data.txnId;
}

function notePause(state: TxnsState, runId: string, event: JobEvent): void {
  if (event.type === "JobPauseRequested") {
    const { metadata: { actor, via }, time: at, position } = event;
    state.pauses.set(runId, { by: event.data.by, actor, via, at, position });
  } else if (event.type === "JobResumed" || event.type === "JobConcluded") {
    state.pauses.delete(runId);
  }
}

/** The transaction with this id. */
export function txnById(state: TxnsState, txnId: string): TxnState | undefined {
  const txn = state.txns.get(txnId);
  return txn === undefined ? undefined : copyTxn(txn);
}

/** The transaction of a job. */
export function txnOfJob(state: TxnsState, runId: string): TxnState | undefined {
  const txnId = state.txnOfRun.get(runId);
  return txnId === undefined ? undefined : txnById(state, txnId);
}

/** All transactions, newest first. Groups only, unless `lone` is true. */
export function listTxns(
  state: TxnsState,
  options: { readonly lone?: boolean } = {},
): readonly TxnState[] {
  const list = [...state.txns.values()].filter((txn) => txn.isGroup || options.lone === true);
  return list.reverse().map(copyTxn);
}

function copyTxn(txn: TxnState): TxnState {
  return { ...txn, jobs: txn.jobs.map((job): JobState => ({ ...job })) };
}
