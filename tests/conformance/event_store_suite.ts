/**
 * The conformance suite of event stores: what every store has in common, whatever is under it.
 *
 * @module
 *
 * @example Run it on an implementation
 * ```ts ignore
 * describeEventStore("memory", { create: () => Promise.resolve(memoryFixture()) });
 * ```
 */
import { describe } from "@std/testing/bdd";
import { itWhen } from "../support/skip.ts";
import { APPEND_CASES } from "./event_store/append_cases.ts";
import { Bench, type ConformanceCase, type StoreFactory } from "./event_store/fixture.ts";
import { KEEP_CASES } from "./event_store/keep_cases.ts";
import { MODEL_CASE } from "./event_store/model_case.ts";
import { QUEUE_CASES } from "./event_store/queue_cases.ts";
import { READ_CASES } from "./event_store/read_cases.ts";
import { SUBSCRIBE_CASES } from "./event_store/subscribe_cases.ts";
import { WRITER_CASES } from "./event_store/writer_cases.ts";

export type { LogFixture, StoreFactory } from "./event_store/fixture.ts";

/** Every property that a store must have. */
export const EVENT_STORE_CASES: readonly ConformanceCase[] = [
  ...APPEND_CASES,
  ...QUEUE_CASES,
  ...READ_CASES,
  ...SUBSCRIBE_CASES,
  ...KEEP_CASES,
  ...WRITER_CASES,
  MODEL_CASE,
];

/** Runs one case on a new log; throws if the property does not hold. */
export function runCase(factory: StoreFactory, one: ConformanceCase): Promise<void> {
  return Bench.run(factory, (bench) => one.run(bench));
}

/**
 * Registers the suite for an implementation.
 *
 * @param name what the implementation is called in the output
 * @param factory makes logs
 * @param takesOver true if the fixtures have `takeOver`
 */
export function describeEventStore(name: string, factory: StoreFactory, takesOver = false): void {
  describe(`event store ${name}`, () => {
    for (const one of EVENT_STORE_CASES) {
      const reason = one.takesOver && !takesOver
        ? "a second writer cannot open beside the first"
        : factory.skips?.[one.name];
      itWhen(reason === undefined, reason ?? "", one.name, () => runCase(factory, one));
    }
  });
}
