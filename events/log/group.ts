/**
 * A group: the appends that share one commit.
 *
 * Called by the appender only.
 */
import type { CommandRow, EncodedRecord } from "./backend.ts";
import type { RecordedEvent } from "./event.ts";
import type { AppendResult } from "./store.ts";

/** An `append` that waits for its group. */
interface Waiter {
  readonly result: AppendResult;
  readonly resolve: (result: AppendResult) => void;
  readonly reject: (error: Error) => void;
}

/** Records that are committed together, and who waits for them. */
export class Group {
  /** The rows, in order. */
  readonly records: EncodedRecord[] = [];
  /** The same as events, for the live end. */
  readonly events: RecordedEvent[] = [];
  /** The command ids of the appends that have one. */
  readonly commands: CommandRow[] = [];
  /** Length of all texts together, in UTF-16 units. */
  length = 0;
  /** True once somebody waits for its commit; else it may wait for company. */
  isUrgent = false;
  readonly #waiters: Waiter[] = [];
  #durable: PromiseWithResolvers<void> | undefined;

  /** Resolves when the group is durable. Made when first asked for; nobody has to await it. */
  get durable(): Promise<void> {
    if (this.#durable === undefined) {
      this.#durable = Promise.withResolvers();
      this.#durable.promise.catch(() => {});
    }
    return this.#durable.promise;
  }

  /** A promise of the result that settles with the group. */
  wait(result: AppendResult): Promise<AppendResult> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ result, resolve, reject });
    });
  }

  /** Tells everybody that the group is durable, in the order of the appends. */
  resolve(): void {
    this.#durable?.resolve();
    for (const waiter of this.#waiters) waiter.resolve(waiter.result);
  }

  /** Tells everybody that nothing of the group is stored. */
  reject(error: Error): void {
    this.#durable?.reject(error);
    for (const waiter of this.#waiters) waiter.reject(error);
  }
}
