/**
 * A group: the appends that share one commit.
 *
 * Called by the appender only.
 */
import type { CommandRow, EncodedRecord } from "./backend.ts";
import type { RecordedEvent } from "./event.ts";
import type { AppendResult } from "./store.ts";

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
  /** The appends that wait, by index: their results, and the ends of their promises. */
  readonly #results: AppendResult[] = [];
  readonly #resolves: ((result: AppendResult) => void)[] = [];
  readonly #rejects: ((error: Error) => void)[] = [];
  /** One for all promises, instead of a closure for each. */
  readonly #hold = (
    resolve: (result: AppendResult) => void,
    reject: (error: Error) => void,
  ): void => {
    this.#resolves.push(resolve);
    this.#rejects.push(reject);
  };
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
    this.#results.push(result);
    return new Promise(this.#hold);
  }

  /** Tells everybody that the group is durable, in the order of the appends. */
  resolve(): void {
    this.#durable?.resolve();
    const results = this.#results;
    const resolves = this.#resolves;
    for (let i = 0; i < results.length; i++) resolves[i]!(results[i]!);
  }

  /** Tells everybody that nothing of the group is stored. */
  reject(error: Error): void {
    this.#durable?.reject(error);
    for (const reject of this.#rejects) reject(error);
  }
}
