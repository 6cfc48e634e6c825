/**
 * Keeps snapshots while the engine runs: of a job every 250 events of its stream, of all
 * unfinished transactions every 50,000 events of the log (less often while there are more than
 * 12,500 of them) and at a clean close.
 *
 * A snapshot saves time and nothing else: one that cannot be kept is not missed, so that a full
 * disk meets the log's own commits and their reserve first.
 *
 * Source: DESIGN.md, The log, Evolution and snapshots.
 */
import type { SnapshotRow } from "../../events/log/backend.ts";
import type { EventStore } from "../../events/log/store.ts";
import { FOLD_VERSION, type JobState } from "../../events/job/mod.ts";
import { ENGINE_SNAPSHOT, isJobSnapshotDue, jobSnapshotRow } from "../../events/replay/mod.ts";
import { isFinished, snapshotState } from "./directory.ts";
import type { Ledger } from "./ledger.ts";

/** Events of the log between two snapshots of all unfinished transactions, at least. */
export const ENGINE_SNAPSHOT_EVERY = 50_000;

/**
 * Events between two of them for each transaction that is in one: a hundred thousand take 80 MiB
 * and a second, so that snapshots would else outgrow the log that they make shorter to read.
 */
export const ENGINE_SNAPSHOT_EVENTS_EACH = 4;

/** Keeps snapshots of one engine. */
export class Snapshots {
  readonly #store: EventStore;
  readonly #ledger: Ledger;
  readonly #every: number;
  #lastPosition: number | undefined;

  /**
   * @param store where they go
   * @param ledger the unfinished transactions
   * @param every events of the log between two snapshots of all of them
   */
  constructor(store: EventStore, ledger: Ledger, every = ENGINE_SNAPSHOT_EVERY) {
    this.#store = store;
    this.#ledger = ledger;
    this.#every = every;
  }

  /** Called with each durable change of a job, when everything up to it was told. */
  onDurable(before: JobState, after: JobState): void {
    if (isJobSnapshotDue(before.version, after.version)) this.#keep(jobSnapshotRow(after));
    this.#lastPosition ??= after.position;
    const least = ENGINE_SNAPSHOT_EVENTS_EACH * this.#ledger.entryCount;
    if (after.position - this.#lastPosition >= Math.max(this.#every, least)) {
      this.#keep(this.#engineRow(after.position));
    }
  }

  /** Keeps a snapshot of all unfinished transactions at the durable end of the log. */
  async atClose(): Promise<void> {
    const { position } = await this.#store.end();
    await this.#store.putSnapshot(this.#engineRow(position));
  }

  #engineRow(position: number): SnapshotRow {
    this.#lastPosition = position;
    const txns = this.#ledger.entries.map((entry) => entry.durable);
    // One whose creation is still on its way to the disk is in no fold up to here; neither is one
    // that this very event has finished, and that the ledger forgets next.
    const state = snapshotState(txns.filter((txn) => txn.position > 0 && !isFinished(txn)));
    return { name: ENGINE_SNAPSHOT, position, foldVersion: FOLD_VERSION, state };
  }

  #keep(row: SnapshotRow): void {
    this.#store.putSnapshot(row).catch(() => {});
  }
}
