/**
 * The disk of a simulated log: it outlives processes, takes its time, and fails as it is told.
 *
 * - A process that dies at a commit leaves it either done or not begun: a commit is atomic.
 * - A commit fails with EIO, or with ENOSPC: then once more after the reserve was freed.
 * - Keeping a snapshot can fail by itself.
 */
import { JoblogError, type StoreBackend } from "../../events/log/mod.ts";
import type { CommitBatch, SnapshotRow } from "../../events/log/mod.ts";
import { createMemoryLog } from "../../events/store/memory/mod.ts";
import type { Facts } from "./facts.ts";
import type { Judge } from "./judge.ts";
import type { Life } from "./life.ts";

/** An error that a disk can meet. */
export type DiskError = "EIO" | "ENOSPC";

/** What is said when a snapshot cannot be kept. */
export const NO_SNAPSHOT = "Cannot keep a snapshot: EIO";

/** See the head of this file. */
export class SimDisk {
  /** The log. */
  readonly log = createMemoryLog({ logId: "0".repeat(32) });
  /** Errors that the next commits meet, in order. */
  readonly commitErrors: DiskError[] = [];
  /** How many of the next snapshots cannot be kept. */
  snapshotErrors = 0;
  /** True while there is a reserve to be freed. */
  hasReserve = true;
  readonly #facts: Facts;
  readonly #judge: Judge;

  /**
   * @param facts told of each commit
   * @param judge told the story
   */
  constructor(facts: Facts, judge: Judge) {
    this.#facts = facts;
    this.#judge = judge;
  }

  /** The log as one process writes it. */
  open(life: Life): StoreBackend {
    const backend = this.log.open();
    return new Proxy(backend, {
      get: (target, name) => {
        if (name === "commit") return (batch: CommitBatch) => this.#commit(life, target, batch);
        if (name === "putSnapshot") return (row: SnapshotRow) => this.#keep(life, target, row);
        if (name === "releaseReserve") return () => this.#release(life);
        if (name === "restoreReserve") return () => this.#restore(life);
        const value = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        if (name === "watch") return value.bind(target);
        return async (...args: unknown[]) => {
          await life.touch();
          const answer = await value.apply(target, args);
          await life.touch();
          return answer;
        };
      },
    });
  }

  async #commit(life: Life, backend: StoreBackend, batch: CommitBatch): Promise<void> {
    await life.touch();
    const actual = this.commitErrors.shift();
    if (actual !== undefined) {
      this.#judge.tell(`  commit of process ${life.no} meets ${actual}`);
      if (actual === "EIO" || !this.hasReserve) life.excuse = actual;
      throw new JoblogError("commitFailed", `Cannot commit: ${actual}`, { actual });
    }
    await backend.commit(batch);
    for (const { text } of batch.records) this.#judge.tell(`  + ${text}`);
    this.#facts.apply(batch);
    life.untold += 1;
    await life.touch();
    life.untold -= 1;
  }

  async #keep(life: Life, backend: StoreBackend, row: SnapshotRow): Promise<void> {
    await life.touch();
    if (this.snapshotErrors > 0) {
      this.snapshotErrors -= 1;
      this.#judge.tell(`  snapshot ${row.name} at ${row.position} cannot be kept`);
      throw new JoblogError("commitFailed", NO_SNAPSHOT, { actual: "EIO" });
    }
    await backend.putSnapshot(row);
    await life.touch();
  }

  async #release(life: Life): Promise<boolean> {
    await life.touch();
    const { hasReserve } = this;
    this.hasReserve = false;
    // Another writer may have needed it first.
    if (!hasReserve) life.excuse ??= "ENOSPC";
    return hasReserve;
  }

  async #restore(life: Life): Promise<boolean> {
    await life.touch();
    this.hasReserve = true;
    return true;
  }
}
