/**
 * The checks of snapshots: each one must be what the fold from zero gives at its position.
 *
 * The list of a job's snapshots is read when the job is created, and each snapshot once more when
 * the fold has come to its position, so that no states are kept.
 */
import { FOLD_VERSION, type JobState, type TxnState } from "../job/mod.ts";
import type { JsonValue } from "../log/event.ts";
import { equalJson } from "../log/equal.ts";
import type { EventReader } from "../log/store.ts";
import type { Faults } from "./faults.ts";
import { jobSnapshotName } from "./job_states.ts";
import type { JobCheck } from "./verify_jobs.ts";

/** Name that the snapshots of all unfinished transactions are kept under. */
export const ENGINE_SNAPSHOT = "engine";

/** See the head of this file. */
export class SnapshotCheck {
  /** Snapshots compared so far. */
  count = 0;
  readonly #reader: EventReader;
  readonly #faults: Faults;
  /** Names of the snapshots at a position. */
  readonly #due = new Map<number, string[]>();
  readonly #beyond: { readonly name: string; readonly position: number }[] = [];

  /**
   * @param reader where snapshots are read
   * @param faults where findings go
   */
  constructor(reader: EventReader, faults: Faults) {
    this.#reader = reader;
    this.#faults = faults;
  }

  /**
   * Lists the snapshots of a name.
   *
   * @param from position of the first event that can be in one
   * @param size last position that is verified
   */
  async list(name: string, from: number, size: number): Promise<void> {
    let before = Number.MAX_SAFE_INTEGER;
    while (before > 0) {
      const row = await this.#reader.snapshot(name, FOLD_VERSION, before);
      if (row === undefined) return;
      if (row.position > size) this.#beyond.push({ name, position: row.position });
      else if (row.position < from) this.#misplaced(name, row.position);
      else {
        const names = this.#due.get(row.position);
        if (names === undefined) this.#due.set(row.position, [name]);
        else names.push(name);
      }
      before = row.position - 1;
    }
  }

  #misplaced(name: string, position: number): void {
    const expected = "an event of its own at its position";
    this.#faults.add("snapshot", position, `snapshot "${name}"`, expected, "none");
  }

  /** True when the fold has come to a position with snapshots. */
  isDue(position: number): boolean {
    return this.#due.has(position);
  }

  /** Compares the snapshots at a position with the fold. */
  async compare(position: number, jobs: JobCheck): Promise<void> {
    const names = this.#due.get(position) ?? [];
    this.#due.delete(position);
    for (const name of names) {
      const row = await this.#reader.snapshot(name, FOLD_VERSION, position);
      this.count += 1;
      if (name === ENGINE_SNAPSHOT) this.#compareEngine(row?.state, position, jobs.unfinished);
      else this.#compareJob(name, row?.state, position, jobs);
    }
  }

  #compareJob(name: string, state: JsonValue | undefined, position: number, jobs: JobCheck): void {
    const runId = name.slice(jobSnapshotName("").length);
    const job = jobs.job(runId);
    if (job === undefined || job.position !== position) return this.#misplaced(name, position);
    if (equalJson(state, job)) return;
    this.#differs(name, position, differingField(job, state));
  }

  #compareEngine(
    state: JsonValue | undefined,
    position: number,
    unfinished: readonly TxnState[],
  ): void {
    const found = (state as { readonly txns?: unknown } | null | undefined)?.txns;
    const stored: readonly (TxnState | null)[] = Array.isArray(found) ? found : [];
    const byId = new Map(stored.map((txn) => [txn?.txnId, txn]));
    for (const txn of unfinished) {
      if (!equalJson(byId.get(txn.txnId), txn)) {
        return this.#differs(ENGINE_SNAPSHOT, position, `transaction "${txn.txnId}"`);
      }
      byId.delete(txn.txnId);
    }
    const [rest] = byId.keys();
    if (rest !== undefined) this.#differs(ENGINE_SNAPSHOT, position, `transaction "${rest}"`);
  }

  #differs(name: string, position: number, where: string): void {
    const what = `snapshot "${name}"`;
    this.#faults.add("snapshot", position, what, "the fold from zero", `another ${where}`);
  }

  /**
   * Settles what is left at the end.
   *
   * @param end last position of the log as it is now; it may have grown meanwhile
   */
  finish(end: number): void {
    for (const [position, names] of this.#due) {
      for (const name of names) this.#misplaced(name, position);
    }
    for (const { name, position } of this.#beyond) {
      if (position <= end) continue;
      const found = `snapshot "${name}" of position ${position}`;
      this.#faults.add("truncated", 0, "its end", `${position} records or more`, found);
    }
  }
}

function differingField(job: JobState, state: JsonValue | undefined): string {
  const stored = (state ?? {}) as Record<string, unknown>;
  const field = Object.entries(job).find(([key, value]) => !equalJson(stored[key], value));
  return field === undefined ? "set of members" : `"${field[0]}"`;
}
