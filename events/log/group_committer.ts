/**
 * Storing one group: the batch, the tree's new subtrees, and what happens when the disk is full.
 *
 * Invariants:
 *
 * - calls are serial and in the order of positions, because the right edge of the tree grows;
 * - a full disk costs one retry, after the reserve was freed; every other error is final;
 * - the error that comes out has the code "fenced" or "commitFailed".
 *
 * Called by the appender only. Source: DESIGN.md, The log, Durability.
 */
import { JoblogError } from "./errors.ts";
import type { CommitBatch, StoreBackend, SubtreeRow } from "./backend.ts";
import type { Group } from "./group.ts";
import type { Frontier } from "./merkle.ts";

/** See the head of this file. */
export class GroupCommitter {
  readonly #backend: StoreBackend;
  readonly #frontier: Frontier;
  readonly #reserveListeners = new Set<() => void>();

  /** @param frontier right edge of the tree over everything that is durable */
  constructor(backend: StoreBackend, frontier: Frontier) {
    this.#backend = backend;
    this.#frontier = frontier;
  }

  /** See `EventStore.onReserveReleased`. */
  onReserveReleased(listener: () => void): () => void {
    this.#reserveListeners.add(listener);
    return () => void this.#reserveListeners.delete(listener);
  }

  /** Stores a group; resolves with the error that must stop the appender, if any. */
  async commit(group: Group): Promise<Error | undefined> {
    const { records, commands } = group;
    const subtrees: SubtreeRow[] = [];
    for (const record of records) this.#frontier.push(record.leaf, 0, subtrees);
    const batch: CommitBatch = { token: this.#backend.token, records, subtrees, commands };
    try {
      await this.#backend.commit(batch);
      return undefined;
    } catch (error) {
      return isDiskFull(error) ? await this.#retry(batch, error) : failureOf(error);
    }
  }

  async #retry(batch: CommitBatch, first: unknown): Promise<Error | undefined> {
    try {
      if (!(await this.#backend.releaseReserve())) return failureOf(first);
      await this.#backend.commit(batch);
    } catch (error) {
      return failureOf(error);
    }
    tell(this.#reserveListeners, undefined);
    return undefined;
  }
}

/** Calls listeners; what one throws surfaces as an uncaught error and stops nobody else. */
export function tell<Value>(listeners: ReadonlySet<(value: Value) => void>, value: Value): void {
  for (const listener of [...listeners]) {
    try {
      listener(value);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

function isDiskFull(error: unknown): boolean {
  return error instanceof JoblogError && error.code === "commitFailed" &&
    error.actual === "ENOSPC";
}

function failureOf(error: unknown): Error {
  if (error instanceof JoblogError && (error.code === "fenced" || error.code === "commitFailed")) {
    return error;
  }
  const text = error instanceof Error ? error.message : String(error);
  return new JoblogError("commitFailed", `Cannot commit: ${text}`, { cause: error });
}
