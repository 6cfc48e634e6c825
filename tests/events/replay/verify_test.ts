import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { FOLD_VERSION } from "../../../events/job/mod.ts";
import { leafHash, rootOf } from "../../../events/log/mod.ts";
import type { EventReader, StoredRecord, SubtreeRow } from "../../../events/log/mod.ts";
import {
  at,
  ENGINE_SNAPSHOT,
  jobSnapshotRow,
  treeHead,
  verify,
  type VerifyReport,
} from "../../../events/replay/mod.ts";
import { failingGroup, History, twoBackups } from "./history.ts";
import { rowsOf, withRows } from "./tampered.ts";

/** Asserts the first fault. */
function assertFault(report: VerifyReport, kind: string, position: number): void {
  assertEquals([report.ok, report.first?.kind, report.first?.position], [false, kind, position]);
}

/** A row with another record and the leaf that fits it, as a careful forger would write it. */
function forged(
  row: StoredRecord,
  change: (record: Record<string, unknown>) => void,
): StoredRecord {
  const record = JSON.parse(row.text);
  change(record);
  const text = JSON.stringify(record);
  const { position, stream, version, type, time } = record;
  return { position, stream, version, type, time, text, leaf: leafHash(text) };
}

async function verifyWith(
  history: History,
  change: (rows: StoredRecord[]) => StoredRecord[],
  options: Parameters<typeof verify>[1] = {},
): Promise<VerifyReport> {
  const { store } = await history.toLog();
  return await verify(withRows(store, change(await rowsOf(store))), options);
}

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

/** A lone job with many steps, so that subtrees are stored. */
function longHistory(steps: number): History {
  const history = new History();
  history.create([{ id: "long", callbacks: ["commit"] }]);
  history.copy("long", steps);
  return history;
}

describe("verify: the tree", () => {
  it("locates careful forgery by the stored subtree over it", async () => {
    const report = await verifyWith(longHistory(600), (rows) => {
      const change = (record: Record<string, unknown>) => {
        (record["data"] as Record<string, unknown>)["length"] = 1;
      };
      return rows.with(299, forged(rows[299]!, change));
    });
    assertFault(report, "subtree", 512);
    assertStringIncludes(report.first?.text ?? "", "records 257 to 512");
    assertEquals(report.faultCount, 1);
  });

  it("finds a stored subtree that is missing or was changed", async () => {
    const { store } = await longHistory(600).toLog();
    const fakes: readonly (readonly SubtreeRow[])[] = [[], [
      { level: 1, index: 1, hash: "f".repeat(64) },
    ]];
    for (const fake of fakes) {
      const reader: EventReader = Object.create(store, {
        subtrees: {
          value: (level: number, from: number, to: number) =>
            from === 1 ? Promise.resolve(fake) : store.subtrees(level, from, to),
        },
      });
      assertFault(await verify(reader), "subtree", 512);
    }
  });

  it("finds a cut by a subtree that is stored beyond the end", async () => {
    const { store } = await longHistory(600).toLog();
    const rows = await rowsOf(store);
    const report = await verify(withRows(store, rows.slice(0, 400)));
    assertFault(report, "truncated", 0);
  });

  it("finds rows that are missing before the end that the store tells", async () => {
    const { store } = await longHistory(20).toLog();
    const rows = await rowsOf(store);
    const cut = withRows(store, rows.slice(0, 15), { position: 20, time: rows.at(-1)!.time });
    assertFault(await verify(cut), "end", 20);
  });

  it("proves a cut tail with a tree head only", async () => {
    const history = twoBackups();
    const { store } = await history.toLog();
    const rows = await rowsOf(store);
    const cut = history.appends.at(-3)!;
    const head = await treeHead(store);
    const reader = withRows(store, rows.slice(0, cut));
    assertEquals((await verify(reader)).faults, []);
    const report = await verify(reader, { head });
    assertFault(report, "truncated", 0);
    assertEquals(report.head, "differs");
  });

  it("fits an older tree head and names what lies behind it", async () => {
    const { store } = await twoBackups().toLog();
    const head = await treeHead(store, 17);
    const report = await verify(store, { head });
    assertEquals([report.ok, report.head], [true, "matches"]);
    assertStringIncludes(report.note, `${report.size - 17} records behind them`);
  });

  it("finds a log that was written anew by its tree head", async () => {
    const { store } = await twoBackups().toLog();
    const head = await treeHead(store);
    const other = await failingGroup().toLog();
    const size = (await other.store.end()).position;
    const report = await verify(other.store, {
      head: { ...head, size: Math.min(size, head.size) },
    });
    assertEquals([report.ok, report.head], [false, "differs"]);
  });
});

describe("verify: snapshots", () => {
  async function withSnapshot(change: (state: Record<string, unknown>) => void) {
    const { store } = await longHistory(50).toLog();
    const [job] = (await at(store, { position: 30 })).jobs;
    const row = structuredClone(jobSnapshotRow(job!));
    change(row.state as Record<string, unknown>);
    await store.putSnapshot(row);
    return await verify(store);
  }

  it("accepts the fold from zero", async () => {
    const report = await withSnapshot(() => {});
    assertEquals([report.faults, report.checked.snapshots], [[], 1]);
  });

  it("locates a snapshot that says something else", async () => {
    const report = await withSnapshot((state) => state["stepCount"] = 1);
    assertFault(report, "snapshot", 30);
    assertStringIncludes(report.first?.text ?? "", "stepCount");
  });

  it("locates a snapshot at a position of another stream", async () => {
    const { store } = await twoBackups().toLog();
    const { jobs } = await at(store, { position: 12 });
    const row = jobSnapshotRow(jobs[0]!);
    const foreign = (await rowsOf(store)).find(({ stream }) => stream !== row.name)!.position;
    await store.putSnapshot({ ...row, position: foreign });
    assertFault(await verify(store), "snapshot", foreign);
  });

  it("accepts a job's snapshot at its last event", async () => {
    const { store } = await failingGroup().toLog();
    for (const job of (await at(store)).jobs) await store.putSnapshot(jobSnapshotRow(job));
    const report = await verify(store);
    assertEquals([report.faults, report.checked.snapshots], [[], 3]);
  });

  it("compares the engine's snapshot with the unfinished transactions", async () => {
    const { store } = await twoBackups().toLog();
    const position = 25;
    const { txns } = await at(store, { position });
    const row = (state: unknown) => ({
      name: ENGINE_SNAPSHOT,
      position,
      foldVersion: FOLD_VERSION,
      state: state as null,
    });
    await store.putSnapshot(row({ txns }));
    assertEquals((await verify(store)).faults, []);
    await store.putSnapshot(row({ txns: [] }));
    assertFault(await verify(store), "snapshot", position);
  });
});
