/**
 * The fold behind an opening: every transaction that is not finished, and nothing else.
 *
 * A transaction is finished once all its jobs are dismissed and all its answers are given; its
 * history stays in the log. The fold is kept as an engine snapshot, so that an opening reads only
 * what came after it.
 */
import type { JsonValue, RecordedEvent } from "../../events/log/event.ts";
import { JoblogError } from "../../events/log/errors.ts";
import {
  ENGINE_STREAM,
  evolveTxn,
  FOLD_VERSION,
  initialTxn,
  isJobEvent,
  type JobEvent,
  runIdOfStream,
  type TxnState,
} from "../../events/job/mod.ts";
import type { EventReader } from "../../events/log/store.ts";
import { ENGINE_SNAPSHOT } from "../../events/replay/mod.ts";

/** True once nothing more can happen to a transaction. */
export function isFinished(txn: TxnState): boolean {
  if (txn.awaited.length > 0 || (txn.isGroup && !txn.isConcluded)) return false;
  return txn.jobs.every((job) => job.status === "null");
}

/** Unfinished transactions by id, folded in global order. */
export class Directory {
  readonly #txns = new Map<string, TxnState>();
  readonly #txnOfRun = new Map<string, string>();

  /** The unfinished transactions, oldest first. */
  get txns(): readonly TxnState[] {
    return [...this.#txns.values()];
  }

  /** Takes over what a snapshot holds. */
  load(txns: readonly TxnState[]): void {
    for (const txn of txns) {
      this.#txns.set(txn.txnId, txn);
      for (const job of txn.jobs) this.#txnOfRun.set(job.runId, txn.txnId);
    }
  }

  /** Folds the next event. */
  apply(event: JobEvent): void {
    if (event.stream === ENGINE_STREAM) return;
    const txn = this.#txnOf(event);
    if (txn === undefined) return;
    const next = evolveTxn(txn, event);
    if (!isFinished(next)) return void this.#txns.set(next.txnId, next);
    this.#txns.delete(next.txnId);
    for (const job of next.jobs) this.#txnOfRun.delete(job.runId);
  }

  #txnOf(event: JobEvent): TxnState | undefined {
    if (event.type === "TxnCreated") return initialTxn(event.data.txnId, true);
    const runId = runIdOfStream(event.stream);
    if (runId === undefined) return this.#txns.get(event.stream.slice("txn-".length));
    if (event.type !== "JobCreated") return this.#txns.get(this.#txnOfRun.get(runId) ?? "");
    const { txnId } = event.data;
    this.#txnOfRun.set(runId, txnId);
    return this.#txns.get(txnId) ?? initialTxn(txnId, false);
  }
}

/**
 * Folds the log into its unfinished transactions, from the newest snapshot on.
 *
 * @throws {JoblogError} code "unknownEvent" when the log has a type or schema that is not known:
 * a writer must not go on from a history that it understands in part
 */
export async function readDirectory(reader: EventReader): Promise<Directory> {
  const directory = new Directory();
  const snapshot = await reader.snapshot(ENGINE_SNAPSHOT, FOLD_VERSION);
  const txns = snapshot && txnsOf(snapshot.state);
  if (txns !== undefined) directory.load(txns);
  const from = txns === undefined ? 1 : snapshot!.position + 1;
  for await (const page of reader.readPages({ from })) {
    for (const event of page) {
      assertKnown(event);
      directory.apply(event as RecordedEvent & JobEvent);
    }
  }
  return directory;
}

/** What an engine snapshot keeps. */
export function snapshotState(txns: readonly TxnState[]): JsonValue {
  return { txns: txns as unknown as JsonValue };
}

/** Undefined when the snapshot was damaged: then everything is folded from zero. */
function txnsOf(state: JsonValue): readonly TxnState[] | undefined {
  const txns = (state as unknown as { readonly txns?: readonly TxnState[] } | null)?.txns;
  return Array.isArray(txns) ? txns : undefined;
}

function assertKnown(event: RecordedEvent): void {
  if (isJobEvent(event)) return;
  throw new JoblogError(
    "unknownEvent",
    `Cannot open the log for writing: event ${event.position} has type "${event.type}" in ` +
      `schema ${event.schema}`,
    { subject: event.type, hint: "Open it with the version of joblog that wrote it, or newer." },
  );
}
