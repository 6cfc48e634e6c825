import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { JsonValue } from "../../../events/log/mod.ts";
import { verify } from "../../../events/replay/mod.ts";
import { failingGroup, type History, twoBackups } from "./history.ts";
import { rowsOf, withRows } from "./tampered.ts";
import { forged } from "./verifying.ts";

/** What stands in a member's place; undefined = the member is not there. */
const OTHERS: readonly (JsonValue | undefined)[] = [undefined, null, -7, "x", {}, [], [null]];

/** Changes each member of each event's data in each way; the leaf fits, or is the one before. */
async function survey(history: History, hasLeaf: boolean) {
  const { store } = await history.toLog();
  const rows = await rowsOf(store);
  const outcomes = { ok: 0, faults: 0, thrown: [] as string[] };
  for (const [index, row] of rows.entries()) {
    for (const member of Object.keys(JSON.parse(row.text).data)) {
      for (const other of OTHERS) {
        const made = forged(row, (record) => {
          (record["data"] as Record<string, unknown>)[member] = other;
        });
        if (made.text === row.text) continue;
        const changed = rows.with(index, hasLeaf ? made : { ...made, leaf: row.leaf });
        try {
          outcomes[(await verify(withRows(store, changed))).ok ? "ok" : "faults"] += 1;
        } catch (error) {
          outcomes.thrown.push(`${row.position} ${row.type}.${member}=${other}: ${error}`);
        }
      }
    }
  }
  return outcomes;
}

describe("verify: shapes", () => {
  for (const make of [twoBackups, failingGroup]) {
    it(`answers with a fault to data of any shape: ${make.name}`, async () => {
      const { ok, faults, thrown } = await survey(make(), false);
      assertEquals([thrown, ok], [[], 0]);
      assertEquals(faults > 300, true, `${faults}`);
    });

    it(`answers also if the leaf was forged: ${make.name}`, async () => {
      assertEquals((await survey(make(), true)).thrown, []);
    });
  }
});
