import { assertEquals } from "@std/assert";
import { leafHash } from "../../../events/log/mod.ts";
import type { StoredRecord } from "../../../events/log/mod.ts";
import { verify, type VerifyReport } from "../../../events/replay/mod.ts";
import { History } from "./history.ts";
import { rowsOf, withRows } from "./tampered.ts";

/** Asserts the first fault. */
export function assertFault(report: VerifyReport, kind: string, position: number): void {
  assertEquals([report.ok, report.first?.kind, report.first?.position], [false, kind, position]);
}

/** A row with another record and the leaf that fits it, as a careful forger would write it. */
export function forged(
  row: StoredRecord,
  change: (record: Record<string, unknown>) => void,
): StoredRecord {
  const record = JSON.parse(row.text);
  change(record);
  const text = JSON.stringify(record);
  const { position, stream, version, type, time } = record;
  return { position, stream, version, type, time, text, leaf: leafHash(text) };
}

/** Verifies a history whose stored rows were changed. */
export async function verifyWith(
  history: History,
  change: (rows: StoredRecord[]) => StoredRecord[],
  options: Parameters<typeof verify>[1] = {},
): Promise<VerifyReport> {
  const { store } = await history.toLog();
  return await verify(withRows(store, change(await rowsOf(store))), options);
}

/** A lone job with many steps, so that subtrees are stored. */
export function longHistory(steps: number): History {
  const history = new History();
  history.create([{ id: "long", callbacks: ["commit"] }]);
  history.copy("long", steps);
  return history;
}
