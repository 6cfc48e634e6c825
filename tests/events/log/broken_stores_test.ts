/** The conformance suite refuses stores that are broken on purpose, each in one way. */
import { assert } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  EVENT_STORE_CASES,
  runCase,
  type StoreFactory,
} from "../../conformance/event_store_suite.ts";
import { BROKEN_STORES, spoilt } from "./broken_stores.ts";

/** Ends a case that waits for ever: in a broken store that is a finding, too. */
async function passes(factory: StoreFactory, name: string): Promise<boolean> {
  const one = EVENT_STORE_CASES.find((candidate) => candidate.name === name)!;
  let turns = 0;
  let settled = false;
  const running = runCase(factory, one).then(() => true, () => false)
    .finally(() => settled = true);
  const patience = new Promise<boolean>((resolve) => {
    const wait = () => {
      if (settled) return;
      if (++turns > 2_000) resolve(false);
      else setImmediate(wait);
    };
    wait();
  });
  return await Promise.race([running, patience]);
}

describe("describeEventStore", () => {
  for (const [what, factory] of Object.entries(BROKEN_STORES)) {
    it(`refuses a store with ${what}`, async () => {
      let refusals = 0;
      for (const { name } of EVENT_STORE_CASES) {
        if (!(await passes(factory, name))) refusals++;
        if (refusals > 0) break;
      }
      assert(refusals > 0, `every case passed on a store with ${what}`);
    });
  }

  it("passes a store that is only wrapped, so that refusals come from what is broken", async () => {
    const factory = spoilt({ backend: () => ({}), store: () => ({}) });
    for (const one of EVENT_STORE_CASES) await runCase(factory, one);
  });
});
