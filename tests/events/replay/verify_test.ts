import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { leafHash, rootOf } from "../../../events/log/mod.ts";
import type { StoredRecord } from "../../../events/log/mod.ts";
import { verify } from "../../../events/replay/mod.ts";
import { failingGroup, History, twoBackups } from "./history.ts";
import { rowsOf, withRows } from "./tampered.ts";
import { assertFault, forged, verifyWith } from "./verifying.ts";

describe("verify: honest logs", () => {
  for (
    const [name, make] of [["twoBackups", twoBackups], ["failingGroup", failingGroup]] as const
  ) {
    it(`finds nothing in ${name} and counts what is there`, async () => {
      const { store } = await make().toLog();
      const rows = await rowsOf(store);
      const report = await verify(store);
      assertEquals(report.faults, []);
      assert(report.ok);
      assertEquals(report.size, rows.length);
      assertEquals(report.root, rootOf(rows.map((row) => row.leaf)));
      assertEquals(report.root, await store.root());
      assertEquals(report.bytes, rows.reduce((sum, row) => sum + row.text.length, 0));
      const { commands, accepted, refused } = report.checked;
      assertEquals(commands, rows.filter((row) => /^Verb(Accepted|Refused)/.test(row.type)).length);
      assertEquals(accepted + refused, commands);
      assertEquals(report.head, "none");
      assertStringIncludes(report.note, "without a tree head");
    });
  }

  it("verifies every beginning of a log that ends with an append", async () => {
    const history = failingGroup();
    const { store } = await history.toLog();
    const rows = await rowsOf(store);
    for (const end of history.appends) {
      const report = await verify(withRows(store, rows.slice(0, end)));
      assertEquals(report.faults, [], `after ${end}`);
    }
  });

  it("finds nothing in an empty log", async () => {
    const { store } = await new History().toLog();
    const report = await verify(store);
    assertEquals([report.ok, report.size, report.root], [true, 0, rootOf([])]);
  });

  it("counts an answer that is still to come as open", async () => {
    const history = new History({ isByHand: true });
    history.create([{ id: "a", callbacks: ["prepare"], autoFinalize: false }]);
    history.finish("a");
    history.settle();
    history.verb("a", "finalize");
    const { store } = await history.toLog();
    const report = await verify(store);
    assertEquals([report.ok, report.checked.open], [true, 1]);
  });
});

describe("verify: each row", () => {
  const middle = 20;

  it("locates a flipped character of the bytes by its leaf", async () => {
    for (const position of [1, middle, 40]) {
      const report = await verifyWith(twoBackups(), (rows) => {
        const row = rows[position - 1]!;
        const text = row.text.replace('"actor":"', '"actor":"x');
        return rows.with(position - 1, { ...row, text });
      });
      assertFault(report, "leaf", position);
    }
  });

  const columns: readonly [keyof StoredRecord, unknown, string][] = [
    ["position", 4_000, "position"],
    ["stream", "job-other", "column"],
    ["version", 77, "column"],
    ["type", "JobPaused", "column"],
    ["time", 5, "column"],
    ["leaf", "0".repeat(64), "leaf"],
    ["text", "{}", "leaf"],
    ["text", "nothing", "leaf"],
  ];
  for (const [column, value, kind] of columns) {
    it(`locates a changed "${column}" (${value})`, async () => {
      const report = await verifyWith(twoBackups(), (rows) => {
        const row = { ...rows[middle - 1]!, [column]: value } as StoredRecord;
        return rows.with(middle - 1, row);
      });
      assertFault(report, kind, middle);
    });
  }

  it("locates bytes that are no record although their leaf fits", async () => {
    for (const text of ["nothing", "[]", "null", "{}"]) {
      const report = await verifyWith(twoBackups(), (rows) => {
        return rows.with(middle - 1, { ...rows[middle - 1]!, text, leaf: leafHash(text) });
      });
      assertFault(report, "record", middle);
    }
  });

  it("locates a dropped, a repeated and a swapped row", async () => {
    const dropped = await verifyWith(twoBackups(), (rows) => rows.toSpliced(middle - 1, 1));
    assertFault(dropped, "position", middle);
    const repeated = await verifyWith(twoBackups(), (rows) => {
      return rows.toSpliced(middle, 0, rows[middle - 1]!);
    });
    assertFault(repeated, "position", middle + 1);
    const swapped = await verifyWith(twoBackups(), (rows) => {
      return rows.with(middle - 1, rows[middle]!).with(middle, rows[middle - 1]!);
    });
    assertFault(swapped, "position", middle);
  });

  it("locates texts that changed places under their columns", async () => {
    const report = await verifyWith(twoBackups(), (rows) => {
      const one = rows[middle - 1]!;
      const other = rows[middle]!;
      const { text, leaf } = other;
      return rows.with(middle - 1, { ...one, text, leaf })
        .with(middle, { ...other, text: one.text, leaf: one.leaf });
    });
    assertFault(report, "column", middle);
  });

  it("locates a stream version that skips and a time that goes back", async () => {
    const skipped = await verifyWith(twoBackups(), (rows) => {
      return rows.with(middle - 1, forged(rows[middle - 1]!, (record) => record["version"] = 99));
    });
    assertFault(skipped, "version", middle);
    const early = await verifyWith(twoBackups(), (rows) => {
      return rows.with(middle - 1, forged(rows[middle - 1]!, (record) => record["time"] = 1));
    });
    assertFault(early, "time", middle);
  });

  it("locates an unknown type and an unknown schema, unless they are named", async () => {
    const change = (rows: StoredRecord[]) => {
      return rows.with(middle - 1, forged(rows[middle - 1]!, (record) => record["schema"] = 9));
    };
    const report = await verifyWith(twoBackups(), change);
    assertFault(report, "unknown", middle);
    const { type } = (await rowsOf((await twoBackups().toLog()).store))[middle - 1]!;
    const named = await verifyWith(twoBackups(), change, { types: { [type]: 9 } });
    assertEquals(named.faults.filter((fault) => fault.kind === "unknown"), []);
  });

  it("counts all faults and keeps the first ones", async () => {
    const report = await verifyWith(
      twoBackups(),
      (rows) => rows.map((row) => ({ ...row, leaf: "" })),
      { maxFaults: 3 },
    );
    assertEquals([report.faults.length, report.faultCount], [3, report.size]);
  });
});
