/**
 * Time travel: the state of all jobs and transactions at a position or an instant. Runs nothing.
 *
 * - Each job is folded by itself, from its newest snapshot; the facts of its transaction are few
 *   and folded beside it.
 * - A member's snapshot is used while its `run` goes on: until then no fact of the transaction
 *   stands in the member's stream (finalization, decision and later answers follow the end of a
 *   `run`, or stand before its start), so nothing is missed by leaving out what came before it.
 * - Without snapshots the fold starts from zero and gives the same state.
 */
import { evolveTxn, initialTxn, isJobEvent, type JobEvent } from "../job/mod.ts";
import { type JobState, type TxnState, txnStream } from "../job/mod.ts";
import type { EventReader } from "../log/store.ts";
import { type Place, positionOf } from "./place.ts";
import { type FoldChoice, foldJob, runIdAt } from "./job_states.ts";

/** How the past is looked at. */
export interface AtOptions extends Place {
  /** Whether snapshots are used. @default true */
  readonly snapshots?: boolean;
}

/** Jobs and transactions at one moment. */
export interface WorldState {
  /** The position that was looked at. */
  readonly position: number;
  /** Milliseconds since 1970 of the event there; 0 = before the first one. */
  readonly time: number;
  /** All jobs that were created until then, newest first, dismissed and internal ones included. */
  readonly jobs: readonly JobState[];
  /** Their transactions, newest first, those of lone jobs included. */
  readonly txns: readonly TxnState[];
  /** False if some event of these streams is not known to this program. */
  readonly isComplete: boolean;
}

/** One job and its transaction at one moment. */
export interface JobMoment {
  /** The position that was looked at. */
  readonly position: number;
  /** Milliseconds since 1970 of the event there. */
  readonly time: number;
  /** The job. */
  readonly job: JobState;
  /** Its transaction with all its members. */
  readonly txn: TxnState;
  /** False if some event of these streams is not known to this program. */
  readonly isComplete: boolean;
}

/** A job by the id that users know, or by its run id. */
export type JobName = { readonly id: string } | { readonly runId: string };

/** The members of each transaction, oldest first, in the order of the transactions. */
interface Members {
  readonly byTxn: Map<string, string[]>;
  readonly order: string[];
}

async function membersUntil(
  reader: EventReader,
  position: number,
  txnId?: string,
): Promise<Members> {
  const byTxn = new Map<string, string[]>();
  const order: string[] = [];
  for await (const event of reader.readAll({ to: position, types: ["JobCreated"] })) {
    const { runId, txnId: owner } = event.data as { runId: string; txnId: string };
    if (txnId !== undefined && owner !== txnId) continue;
    const runIds = byTxn.get(owner);
    if (runIds === undefined) byTxn.set(owner, [runId]);
    else runIds.push(runId);
    order.push(runId);
  }
  return { byTxn, order };
}

interface FoldedTxn {
  readonly txn: TxnState;
  readonly isComplete: boolean;
}

function isGroupFact({ type }: JobEvent): boolean {
  return type.startsWith("Txn") || type === "VerbAccepted" || type === "VerbAnswered";
}

/** Before the end of `run` a member's stream holds no fact of its transaction; see above. */
function holdsNoGroupFact(job: JobState): boolean {
  return job.isStarted && !job.hasRunReturned;
}

/** A member with the facts of its transaction that stand in its stream. */
interface FoldedMember {
  readonly job: JobState;
  readonly facts: readonly JobEvent[];
  readonly isComplete: boolean;
}

async function foldMember(
  reader: EventReader,
  runId: string,
  position: number,
  snapshots: boolean,
): Promise<FoldedMember | undefined> {
  const facts: JobEvent[] = [];
  const onEvent = (event: JobEvent) => {
    if (isGroupFact(event)) facts.push(event);
  };
  const choice: FoldChoice = { snapshots, isUsable: holdsNoGroupFact, onEvent };
  const found = await foldJob(reader, runId, position, choice);
  return found && { job: found.job, facts, isComplete: found.unknown.length === 0 };
}

async function foldTxn(
  reader: EventReader,
  txnId: string,
  members: readonly FoldedMember[],
  isGroup: boolean,
  position: number,
): Promise<FoldedTxn> {
  const facts = members.flatMap((member) => member.facts);
  let isComplete = members.every((member) => member.isComplete);
  if (isGroup) {
    for await (const event of reader.readStream(txnStream(txnId))) {
      if (event.position > position) break;
      if (isJobEvent(event)) facts.push(event);
      else isComplete = false;
    }
  }
  facts.sort((one, other) => one.position - other.position);
  const folded = facts.reduce(evolveTxn, initialTxn(txnId, isGroup));
  const jobs = members.map((member) => member.job);
  const last = Math.max(folded.position, ...jobs.map((job) => job.position));
  return { txn: { ...folded, jobs, position: last }, isComplete };
}

async function foldMembers(
  reader: EventReader,
  runIds: readonly string[],
  position: number,
  snapshots: boolean,
): Promise<readonly FoldedMember[]> {
  const members: FoldedMember[] = [];
  for (const runId of runIds) {
    const member = await foldMember(reader, runId, position, snapshots);
    if (member !== undefined) members.push(member);
  }
  return members;
}

/**
 * The state of everything at a position or an instant.
 *
 * @param reader the log
 * @param options where to look. @default the end
 * @throws {JoblogError} code "invalidArgument" when the place is no integer of 0 or more
 * @throws {JoblogError} code "forbiddenTransition" when the history breaks the transition table
 */
export async function at(reader: EventReader, options: AtOptions = {}): Promise<WorldState> {
  const position = await positionOf(reader, options);
  if (position === 0) return { position, time: 0, jobs: [], txns: [], isComplete: true };
  const { byTxn, order } = await membersUntil(reader, position);
  const snapshots = options.snapshots ?? true;
  const txns: TxnState[] = [];
  const jobs = new Map<string, JobState>();
  let isComplete = true;
  for (const [txnId, runIds] of byTxn) {
    const members = await foldMembers(reader, runIds, position, snapshots);
    const found = await foldTxn(reader, txnId, members, runIds[0] !== txnId, position);
    txns.push(found.txn);
    for (const job of found.txn.jobs) jobs.set(job.runId, job);
    isComplete &&= found.isComplete;
  }
  const newestFirst = order.reverse().flatMap((runId) => jobs.get(runId) ?? []);
  const time = await timeAt(reader, position);
  return { position, time, jobs: newestFirst, txns: txns.reverse(), isComplete };
}

/**
 * The state of one job and its transaction at a position or an instant.
 *
 * @param name an id means its newest life at that moment
 * @returns undefined when there was no such job then
 */
export async function atJob(
  reader: EventReader,
  name: JobName,
  options: AtOptions = {},
): Promise<JobMoment | undefined> {
  const position = await positionOf(reader, options);
  const snapshots = options.snapshots ?? true;
  const runId = "runId" in name ? name.runId : await runIdAt(reader, name.id, position);
  if (runId === undefined) return undefined;
  const found = await foldMember(reader, runId, position, snapshots);
  if (found === undefined) return undefined;
  const { job } = found;
  const { txnId } = job;
  const isGroup = txnId !== runId;
  let members: readonly FoldedMember[] = [found];
  if (isGroup) {
    const runIds = (await membersUntil(reader, position, txnId)).byTxn.get(txnId) ?? [];
    members = await foldMembers(reader, runIds, position, snapshots);
  }
  const { txn, isComplete } = await foldTxn(reader, txnId, members, isGroup, position);
  const time = await timeAt(reader, position);
  return { position, time, job, txn, isComplete };
}

async function timeAt(reader: EventReader, position: number): Promise<number> {
  for await (const event of reader.readAll({ from: position, to: position })) return event.time;
  return 0;
}
