import { assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { FOLD_VERSION } from "../../../events/job/mod.ts";
import type { EventReader, SubtreeRow } from "../../../events/log/mod.ts";
import {
  at,
  ENGINE_SNAPSHOT,
  jobSnapshotRow,
  treeHead,
  verify,
} from "../../../events/replay/mod.ts";
import { failingGroup, twoBackups } from "./history.ts";
import { rowsOf, withRows } from "./tampered.ts";
import { assertFault, forged, longHistory, verifyWith } from "./verifying.ts";

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
