/**
 * The reading half of a store: finite reads by keyset pages, roots and proofs.
 *
 * Invariants: a read sees only durable records; it holds one page at a time; its bounds are fixed
 * when its first page is read, so a read of a growing log ends.
 *
 * Called by `event_store.ts`.
 */
import { decodeRecord } from "./decode.ts";
import { JoblogError } from "./errors.ts";
import { Pages } from "./pages.ts";
import { consistencyProof, inclusionProof, rootAt } from "./proofs.ts";
import { bound } from "./read_bounds.ts";
import type { LogEnd, PageQuery, StoreBackend, StoredRecord } from "./backend.ts";
import type { RecordedEvent } from "./event.ts";
import type { ReadAllOptions, ReadStreamOptions } from "./store.ts";
import type { Upcast } from "./upcast.ts";

/** Rows of a page. */
const PAGE_ROWS = 1_000;

function decodeAll(
  rows: readonly StoredRecord[],
  upcast: Upcast | undefined,
): readonly RecordedEvent[] {
  return rows.map(upcast === undefined ? decodeRecord : (row) => upcast(decodeRecord(row)));
}

/** An iterable whose every iteration starts anew. */
function iterable<Item>(start: () => () => Promise<readonly Item[]>): AsyncIterable<Item> {
  return { [Symbol.asyncIterator]: () => new Pages(start()) };
}

/** A store whose page leads nowhere would otherwise be read for ever. */
function stuck(found: number, from: number): JoblogError<"logDamaged"> {
  return new JoblogError("logDamaged", `Cannot read on from position ${from}: got ${found}`, {
    expected: from,
    actual: found,
    hint: "Verify the log to find every fault.",
  });
}

/** Pages of the whole log; `from`, `to` and `limit` are checked at the call. */
function rowPages(
  backend: StoreBackend,
  options: ReadAllOptions,
  leaves: boolean,
): () => () => Promise<readonly StoredRecord[]> {
  const forwards = options.direction !== "backwards";
  const far = Number.MAX_SAFE_INTEGER;
  const limit = bound("limit", options.limit, 0, far);
  const first = bound("from", options.from, 1, forwards ? 1 : far);
  const last = bound("to", options.to, 1, forwards ? far : 1);
  const filter = {
    direction: options.direction ?? "forwards",
    leaves,
    ...(options.stream === undefined ? {} : { stream: options.stream }),
    ...(options.types === undefined ? {} : { types: options.types }),
  } as const;
  return () => {
    let from = first;
    let to = last;
    let left = limit;
    let fixed = false;
    return async () => {
      if (left <= 0) return [];
      if (!fixed) {
        const end = (await backend.end()).position;
        if (forwards) to = Math.min(to, end);
        else from = Math.min(from, end);
        fixed = true;
      }
      if (forwards ? from > to : from < to) return [];
      const rows = Math.min(PAGE_ROWS, left);
      const query: PageQuery = { ...filter, from, to, limit: rows };
      const page = await backend.readPage(query);
      left = page.length < rows ? 0 : left - page.length;
      const next = page[0]?.position ?? from;
      const last = page.at(-1)?.position ?? from;
      const ascends = from <= next && next <= last;
      if (forwards ? !ascends : from < next || next < last) throw stuck(next, from);
      from = last + (forwards ? 1 : -1);
      return page;
    };
  };
}

/**
 * Reads the whole log, or what passes the filter.
 *
 * @throws {JoblogError} code "invalidArgument" when a bound is out of range
 */
export function readLog(
  backend: StoreBackend,
  options: ReadAllOptions,
): AsyncIterable<RecordedEvent> {
  const pages = rowPages(backend, options, false);
  return iterable(() => {
    const read = pages();
    return async () => decodeAll(await read(), options.upcast);
  });
}

/** As `readLog`, a page at a time; none is empty. */
export function readLogPages(
  backend: StoreBackend,
  options: ReadAllOptions,
): AsyncIterable<readonly RecordedEvent[]> {
  const pages = rowPages(backend, options, false);
  return iterable(() => {
    const read = pages();
    return async () => {
      const rows = await read();
      return rows.length === 0 ? [] : [decodeAll(rows, options.upcast)];
    };
  });
}

/** Reads rows as they are stored, `from` to `to`, both inclusive. */
export function readRows(
  backend: StoreBackend,
  from: number,
  to: number,
): AsyncIterable<StoredRecord> {
  if (to < from) return iterable(() => () => Promise.resolve([]));
  return iterable(rowPages(backend, { from, to }, true));
}

/**
 * Reads one stream.
 *
 * @throws {JoblogError} code "invalidArgument" when a bound is out of range
 */
export function readStream(
  backend: StoreBackend,
  stream: string,
  options: ReadStreamOptions,
): AsyncIterable<RecordedEvent> {
  const direction = options.direction ?? "forwards";
  const forwards = direction === "forwards";
  const limit = bound("limit", options.limit, 0, Number.MAX_SAFE_INTEGER);
  const first = bound("from", options.from, 1, forwards ? 1 : Number.MAX_SAFE_INTEGER);
  return iterable(() => {
    let from = first;
    let left = limit;
    let end: number | undefined;
    return async () => {
      end ??= await backend.streamVersion(stream);
      if (!forwards) from = Math.min(from, end);
      const rows = Math.min(PAGE_ROWS, left, forwards ? end - from + 1 : from);
      if (rows <= 0) return [];
      const query = { direction, stream, from, limit: rows, leaves: false };
      const page = await backend.readStreamPage(query);
      left = page.length < rows ? 0 : left - page.length;
      from += forwards ? page.length : -page.length;
      return decodeAll(page, options.upcast);
    };
  });
}

/** Names of the streams that start with a prefix, ascending. */
export function readStreamNames(backend: StoreBackend, prefix: string): AsyncIterable<string> {
  return iterable(() => {
    let after = "";
    return async () => {
      const names = await backend.streamNames(prefix, after, PAGE_ROWS);
      after = names.at(-1) ?? after;
      return names;
    };
  });
}

/** The events of the append that carried a command id. */
export async function readCommand(
  backend: StoreBackend,
  id: string,
): Promise<readonly RecordedEvent[] | undefined> {
  const command = await backend.command(id);
  if (command === undefined) return undefined;
  const { firstPosition: from, lastPosition: to } = command;
  const events: RecordedEvent[] = [];
  for await (const event of readLog(backend, { from, to })) events.push(event);
  return events;
}

async function sizeWithin(backend: StoreBackend, size: number | undefined): Promise<number> {
  const { position }: LogEnd = await backend.end();
  const wanted = bound("size", size, 0, position);
  if (wanted <= position) return wanted;
  throw new JoblogError("invalidArgument", `Cannot use size ${wanted}: the log has ${position}`, {
    expected: position,
    actual: wanted,
  });
}

/** Root of the tree over the first `size` records. */
export async function readRoot(backend: StoreBackend, size?: number): Promise<string> {
  return await rootAt(backend, await sizeWithin(backend, size));
}

/** See `EventReader.inclusionProof`. */
export async function readInclusion(
  backend: StoreBackend,
  position: number,
  size?: number,
): Promise<readonly string[]> {
  const checked = bound("position", position, 1, 1);
  return await inclusionProof(backend, checked - 1, await sizeWithin(backend, size));
}

/** See `EventReader.consistencyProof`. */
export async function readConsistency(
  backend: StoreBackend,
  first: number,
  second?: number,
): Promise<readonly string[]> {
  return await consistencyProof(backend, first, await sizeWithin(backend, second));
}
