/**
 * What the engine does when the disk of its log is full: the appender has freed the reserve and got
 * one commit through; all jobs pause until somebody has made room.
 *
 * Source: DESIGN.md, The log, Durability.
 */
import type { Signal } from "../core/signals.ts";
import type { TxnEntry } from "./entry.ts";
import type { Ledger } from "./ledger.ts";

/** What is asked of the engine. */
export interface SpaceHost {
  /** Its unfinished transactions. */
  readonly ledger: Ledger;
  /** Its log, as far as the reserve is concerned. */
  readonly options: { readonly store: { restoreReserve(): Promise<boolean> } };
  /** Decides a signal. */
  signal(entry: TxnEntry, runId: string, signal: Signal): Promise<void>;
  /** Records that the disk was full. */
  writeEngine(type: "LogSpaceLow", data: { readonly pausedJobs: number }): Promise<void>;
  /** Keeps an eye on work that nobody awaits. */
  background(work: Promise<void>): void;
}

/** The reserve and the jobs that depend on it. */
export class LogSpace {
  readonly #engine: SpaceHost;
  #hasReserve = true;

  /** @param engine whose jobs are paused */
  constructor(engine: SpaceHost) {
    this.#engine = engine;
  }

  /** Pauses every job that works, and records why. */
  pauseAll(): void {
    const engine = this.#engine;
    this.#hasReserve = false;
    let pausedJobs = 0;
    for (const entry of engine.ledger.entries) {
      for (const job of entry.head.jobs) {
        if (job.isUserPaused || job.hasRunReturned || !job.isStarted) continue;
        pausedJobs += 1;
        const signal = { kind: "pauseRequested", by: "logSpace" } as const;
        engine.background(engine.signal(entry, job.runId, signal));
      }
    }
    engine.background(engine.writeEngine("LogSpaceLow", { pausedJobs }));
  }

  /** A user's resume says that room was made; without a reserve the next full disk is the end. */
  restore(): void {
    if (this.#hasReserve) return;
    const restored = this.#engine.options.store.restoreReserve()
      .then((isThere) => void (this.#hasReserve = isThere));
    this.#engine.background(restored.catch(() => {}));
  }
}
