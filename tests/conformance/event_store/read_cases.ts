/** Cases about reads: bounds, directions, filters, names, instants, stored bytes. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  encodeRecord,
  type EventReader,
  type EventStore,
  JoblogError,
  leafHash,
  type ReadAllOptions,
  type RecordedEvent,
} from "../../../events/log/mod.ts";
import { all, codeOf, type ConformanceCase, noted, positions, range, to } from "./fixture.ts";

const TYPES = ["Noted", "Moved", "Noted2"];

/** Fills a log with `count` events over five streams and three types; returns them. */
async function fill(store: EventStore, count: number): Promise<RecordedEvent[]> {
  const appends = range(1, count).map((n) =>
    store.append({ streams: [{ stream: `s${n % 5}`, events: [noted(n, TYPES[n % 3])] }] })
  );
  return (await Promise.all(appends)).flatMap((answer) => answer.events);
}

/** What a read of the whole log should give, from a list. */
export function expectedRead(
  events: readonly RecordedEvent[],
  options: ReadAllOptions,
): RecordedEvent[] {
  const forwards = options.direction !== "backwards";
  const low = (forwards ? options.from : options.to) ?? 1;
  const high = (forwards ? options.to : options.from) ?? Infinity;
  const found = events.filter((event) =>
    event.position >= low && event.position <= high &&
    (options.stream === undefined || event.stream === options.stream) &&
    (options.types === undefined || options.types.includes(event.type))
  );
  if (!forwards) found.reverse();
  return found.slice(0, options.limit ?? Infinity);
}

const READS: readonly ReadAllOptions[] = [
  {},
  { direction: "backwards" },
  { from: 7, to: 12 },
  { direction: "backwards", from: 12, to: 7 },
  { from: 12, to: 7 },
  { direction: "backwards", from: 7, to: 12 },
  { limit: 0 },
  { limit: 3 },
  { direction: "backwards", limit: 3 },
  { from: 2_500 },
  { from: 2_499, to: 9_999 },
  { direction: "backwards", from: 9_999, limit: 2 },
  { stream: "s3" },
  { stream: "s3", direction: "backwards", limit: 7 },
  { stream: "nobody" },
  { types: ["Moved"] },
  { types: ["Noted", "Noted2"], from: 50, limit: 1_200 },
  { types: [] },
  { types: ["Moved", "Never"], stream: "s1", from: 100, to: 2_000 },
  { types: ["Noted"], stream: "s2", direction: "backwards", from: 1_999, limit: 11 },
];

const whole: ConformanceCase = {
  name: "readAll gives exactly the events within bounds and filters, in order, over many pages",
  async run(bench) {
    const store = await bench.store();
    const events = await fill(store, 2_500);
    const reader = await bench.reader();
    for (const source of [store, reader] as EventReader[]) {
      for (const options of READS) {
        const label = JSON.stringify(options);
        const read = await all(source.readAll(options));
        assertEquals(positions(read), positions(expectedRead(events, options)), label);
      }
      assertEquals(await all(source.readAll({ from: 900, to: 1_100 })), events.slice(899, 1_100));
    }
  },
};

const streams: ConformanceCase = {
  name: "readStream gives exactly one stream, in order, over many pages",
  async run(bench) {
    const store = await bench.store();
    const appends = range(1, 2_300).map((n) => store.append(to(n % 20 === 0 ? "s1" : "s", [n])));
    const events = (await Promise.all(appends)).flatMap((answer) => answer.events);
    for (const stream of ["s", "s1", "nobody"]) {
      const mine = events.filter((event) => event.stream === stream);
      assertEquals(await store.streamVersion(stream), mine.length);
      assertEquals(await all(store.readStream(stream)), mine);
      assertEquals(
        await all(store.readStream(stream, { from: 100, limit: 5 })),
        mine.slice(99, 104),
      );
      const back = await all(store.readStream(stream, { direction: "backwards" }));
      assertEquals(positions(back), positions(mine).reverse());
      const some = await all(
        store.readStream(stream, { direction: "backwards", from: 50, limit: 60 }),
      );
      assertEquals(positions(some), positions(mine.slice(0, 50)).reverse().slice(0, 60));
      assertEquals(await all(store.readStream(stream, { limit: 0 })), []);
      assertEquals(await all(store.readStream(stream, { from: 9_999 })), []);
    }
  },
};

const bounds: ConformanceCase = {
  name: "reads refuse bounds that are no positions, and a size beyond the end",
  async run(bench) {
    const store = await bench.store();
    await store.append(to("a", [1]));
    for (const options of [{ from: 0 }, { to: -1 }, { limit: -1 }, { from: 1.5 }, { limit: NaN }]) {
      const label = JSON.stringify(options);
      const error = assertThrows(() => store.readAll(options), JoblogError, undefined, label);
      assertEquals(error.code, "invalidArgument", label);
    }
    assertThrows(() => store.readStream("a", { from: 0 }), JoblogError);
    assertThrows(() => store.subscribe({ after: -1 }), JoblogError);
    assertEquals(await codeOf(store.root(2)), "invalidArgument");
    await assertRejects(() => store.inclusionProof(2, 1), JoblogError);
  },
};

const growing: ConformanceCase = {
  name: "readAll of a growing log ends where the log ended when it began",
  async run(bench) {
    const store = await bench.store();
    await fill(store, 20);
    const seen: number[] = [];
    for await (const event of store.readAll()) {
      seen.push(event.position);
      await store.append(to("grow", [event.position]));
    }
    assertEquals(seen, range(1, 20));
    const iterable = store.readAll({ limit: 2 });
    assertEquals([positions(await all(iterable)), positions(await all(iterable))], [[1, 2], [
      1,
      2,
    ]]);
  },
};

const NAMES = ["a", "A", "a-1", "a.b", "a_b", "axb", "job-1", "job-10", "job-2", "job_1", "z"];

const names: ConformanceCase = {
  name: "streamNames gives the names that start with a prefix, exactly, ascending",
  async run(bench) {
    const store = await bench.store();
    for (const name of [...NAMES].reverse()) await store.append(to(name, [1, 2]));
    const many = range(1, 1_100).map((n) => `many-${String(n).padStart(5, "0")}`);
    await Promise.all(many.map((name) => store.append(to(name, [1]))));
    const sorted = [...NAMES, ...many].sort();
    for (const prefix of ["", "a", "a_", "A", "job-1", "job_", "many-", "nobody"]) {
      const expected = sorted.filter((name) => name.startsWith(prefix));
      assertEquals(await all(store.streamNames(prefix)), expected, `prefix "${prefix}"`);
    }
    assertEquals(await all(store.streamNames()), sorted);
  },
};

const instants: ConformanceCase = {
  name: "positionAt gives the last position at or before an instant",
  async run(bench) {
    const store = await bench.store();
    assertEquals(await store.positionAt(Number.MAX_SAFE_INTEGER), 0);
    const start = bench.clock.time;
    for (const shift of [0, 0, 10, 20, 20, 20]) {
      bench.clock.time = start + shift;
      await store.append(to("a", [shift]));
    }
    const instants = [-1, 0, 9, 10, 19, 20, 1_000];
    const found = await Promise.all(instants.map((shift) => store.positionAt(start + shift)));
    assertEquals(found, [0, 2, 2, 3, 3, 6, 6]);
  },
};

/** Data at the edges of the record format. */
const EDGES: readonly RecordedEvent["data"][] = [
  {},
  { text: 'quote " backslash \\ slash / newline \n tab \t nul \u0000 del \u007f' },
  { text: "é ü 漢字 😀 \u2028 \u2029 \ufeff" },
  { max: Number.MAX_SAFE_INTEGER, min: Number.MIN_SAFE_INTEGER, zero: 0 },
  JSON.parse('{"__proto__":{"polluted":1},"constructor":2,"toJSON":3,"":4}'),
  { "2": "two", "1": "one", b: 1, a: 2, "é": [], "😀": {} },
  { long: "x".repeat(70_000), list: Array.from({ length: 500 }, (_, i) => i) },
];

const bytes: ConformanceCase = {
  name: "readStored gives the exact bytes that were hashed, before and after a reopening",
  async run(bench) {
    let store = await bench.store();
    const events: RecordedEvent[] = [];
    for (const data of EDGES) {
      const event = { ...noted(0), data };
      const answer = await store.append({ streams: [{ stream: "edges", events: [event] }] });
      events.push(...answer.events);
    }
    for (const round of ["before", "after"]) {
      const rows = await all(store.readStored(1, EDGES.length));
      assertEquals(rows.map((row) => row.text), events.map(encodeRecord), round);
      assertEquals(rows.map((row) => row.leaf), rows.map((row) => leafHash(row.text)), round);
      const columns = rows.map(({ position, stream, version, type, time }) => ({
        position,
        stream,
        version,
        type,
        time,
      }));
      const facts = events.map(({ position, stream, version, type, time }) => ({
        position,
        stream,
        version,
        type,
        time,
      }));
      assertEquals(columns, facts, round);
      assertEquals(await all(store.readAll()), events, round);
      assertEquals((await all(store.readStored(2, 3))).map((row) => row.position), [2, 3]);
      await store.close();
      store = await bench.store();
    }
  },
};

/** All cases about reads. */
export const READ_CASES: readonly ConformanceCase[] = [
  whole,
  streams,
  bounds,
  growing,
  names,
  instants,
  bytes,
];
