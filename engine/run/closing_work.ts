/**
 * Calls closing callbacks, one at a time per transaction, and reports their end.
 *
 * A callback starts from durable state only and is started again if the process dies before its
 * end is durable; that is why drivers make them idempotent.
 */
import type { JobError } from "../../events/job/mod.ts";
import type { DueWork } from "../core/converge.ts";
import type { Signal } from "../core/signals.ts";
import type { Drivers } from "./drivers.ts";
import type { TxnEntry } from "./entry.ts";
import type { RunnerHost } from "./host.ts";
import { closingContext } from "./run_context.ts";

/** What the closing work needs of the engine. */
export interface ClosingHost {
  /** The engine as one job sees it. */
  host(entry: TxnEntry, runId: string): RunnerHost;
  /** Reports a callback's end. */
  signal(entry: TxnEntry, runId: string, signal: Signal): Promise<void>;
  /** Looks for the next work. */
  goOn(entry: TxnEntry): void;
  /** Keeps an eye on work that nobody awaits. */
  background(work: Promise<void>): void;
}

type DueCallback = DueWork & { readonly kind: "callback" };

/** Runs the callbacks that `dueWork` names. */
export class ClosingWork {
  readonly #drivers: Drivers;
  readonly #host: ClosingHost;

  /**
   * @param drivers opens a driver that is not open
   * @param host the engine
   */
  constructor(drivers: Drivers, host: ClosingHost) {
    this.#drivers = drivers;
    this.#host = host;
  }

  /** Starts a callback, unless the transaction is at one already. */
  start(entry: TxnEntry, due: DueCallback): void {
    if (entry.isWorking) return;
    entry.isWorking = true;
    const done = () => {
      entry.isWorking = false;
      this.#host.goOn(entry);
    };
    this.#host.background(this.#runThen(entry, due, done));
  }

  /** No `Promise.finally`, which takes another number of turns on each runtime. */
  async #runThen(entry: TxnEntry, due: DueCallback, done: () => void): Promise<void> {
    try {
      await this.#run(entry, due);
    } finally {
      done();
    }
  }

  async #run(entry: TxnEntry, due: DueCallback): Promise<void> {
    const { runId, callback } = due;
    const error = await this.#call(entry, due);
    const signal: Signal = { kind: "callbackReturned", callback };
    await this.#host.signal(entry, runId, error === undefined ? signal : { ...signal, error });
  }

  async #call(entry: TxnEntry, due: DueCallback): Promise<JobError | undefined> {
    const { runId, callback } = due;
    try {
      const driver = await this.#drivers.ensure(entry.liveOf(runId), entry.job(runId));
      const context = closingContext(this.#host.host(entry, runId));
      if (callback === "complete") throw new Error("complete is no closing callback");
      await driver[callback]?.(context);
      return undefined;
    } catch (thrown) {
      return this.#drivers.errorOf(thrown);
    }
  }
}
