import type { EventReader, LogEnd, StoredRecord } from "../../../events/log/mod.ts";

/** All rows of a log as they are stored. */
export async function rowsOf(reader: EventReader): Promise<StoredRecord[]> {
  const rows: StoredRecord[] = [];
  for await (const row of reader.readStored(1, (await reader.end()).position)) rows.push(row);
  return rows;
}

/**
 * A reader of the same log that shows other rows, as a damaged or forged file would.
 *
 * @param end what the store tells about its end. @default that of the rows
 */
export function withRows(
  reader: EventReader,
  rows: readonly StoredRecord[],
  end?: LogEnd,
): EventReader {
  const last = rows.reduce((most, row) => Math.max(most, row.position), 0);
  const told = end ?? { position: rows.length, time: timeOf(rows) };
  const sizes = rows.some((row, i) => row.position !== i + 1) && end === undefined;
  const shown = sizes ? { ...told, position: Math.min(last, rows.length + 1) } : told;
  return Object.create(reader, {
    end: { value: () => Promise.resolve(shown) },
    readStored: { value: () => each(rows) },
  });
}

function timeOf(rows: readonly StoredRecord[]): number {
  return JSON.parse(rows.at(-1)?.text ?? '{"time":0}').time;
}

async function* each(rows: readonly StoredRecord[]): AsyncGenerator<StoredRecord> {
  for (const row of rows) yield await Promise.resolve(row);
}
