/**
 * Storing one group: the batch, the tree's new subtrees, and what happens when the disk is full.
 *
 * Invariants:
 *
 * - calls are serial and in the order of positions, because the right edge of the tree grows;
 * - a full disk costs a retry for each piece of the reserve that is freed, the later ones after a
 *   wait, in which those who fill the disk come to rest; every other error is final;
 * - the error that comes out has the code "fenced" or "commitFailed".
 *
 * Called by the appender only. Source: DESIGN.md, The log, Durability.
 */
import { JoblogError } from "./errors.ts";
import type { CommitBatch, StoreBackend, SubtreeRow } from "./backend.ts";
import type { Group } from "./group.ts";
import type { Frontier } from "./merkle.ts";

/** A store that never runs out of reserve would never fail. */
const RESERVE_PIECES_MAX = 8;

/** See the head of this file. */
export class GroupCommitter {
  readonly #backend: StoreBackend;
  readonly #frontier: Frontier;
  readonly #rest: () => Promise<void>;
  readonly #reserveListeners = new Set<() => void>();

  /**
   * @param frontier right edge of the tree over everything that is durable
   * @param rest waits until writers who met the full disk have noticed
   */
  constructor(backend: StoreBackend, frontier: Frontier, rest: () => Promise<void>) {
    this.#backend = backend;
    this.#frontier = frontier;
    this.#rest = rest;
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
    let error = first;
    for (let piece = 0; piece < RESERVE_PIECES_MAX && isDiskFull(error); piece++) {
      if (piece > 0) await this.#rest();
      try {
        if (!(await this.#backend.releaseReserve())) break;
        await this.#backend.commit(batch);
        tell(this.#reserveListeners, undefined);
        return undefined;
      } catch (failure) {
        error = failure;
      }
    }
    return failureOf(error);
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
