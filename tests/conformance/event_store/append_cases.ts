/** Cases about appends: order, versions, atomicity, times, what is refused. */
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { type AppendRequest, type ExpectedVersion, JoblogError } from "../../../events/log/mod.ts";
import { all, codeOf, type ConformanceCase, noted, positions, range, to } from "./fixture.ts";

const dense: ConformanceCase = {
  name: "append gives positions 1, 2, 3 ... and versions 1, 2, 3 ... without a hole",
  async run(bench) {
    const store = await bench.store();
    const expected: [number, string, number][] = [];
    for (let i = 1; i <= 40; i++) {
      const stream = `s${i % 3}`;
      const { events, repeated } = await store.append(to(stream, [i, i]));
      assertEquals(repeated, false);
      const version = 2 * Math.ceil(i / 3);
      expected.push([2 * i - 1, stream, version - 1], [2 * i, stream, version]);
      assertEquals(positions(events), [2 * i - 1, 2 * i]);
    }
    const read = await all(store.readAll());
    assertEquals(read.map((e) => [e.position, e.stream, e.version]), expected);
    assertEquals((await store.end()).position, 80);
    assertEquals(store.headPosition, 80);
  },
};

const answer: ConformanceCase = {
  name: "append answers with the events exactly as they are read later",
  async run(bench) {
    const store = await bench.store();
    const { events } = await store.append({
      streams: [{
        stream: "a.b_C-9",
        events: [{
          type: "Shaped",
          schema: 7,
          data: { list: [1, null, { deep: [[]] }], no: false, gone: undefined, zero: -0 },
          metadata: { actor: "ann", via: "qmp", correlationId: "c", causationId: "@1" },
        }],
      }],
      commandId: "shape-1",
    });
    const [event] = events;
    assertEquals(event, {
      position: 1,
      stream: "a.b_C-9",
      version: 1,
      type: "Shaped",
      schema: 7,
      time: bench.clock.time,
      data: { list: [1, null, { deep: [[]] }], no: false, zero: 0 },
      metadata: {
        actor: "ann",
        via: "qmp",
        correlationId: "c",
        causationId: "@1",
        commandId: "shape-1",
      },
    });
    assertStrictEquals(event!.data.zero, 0);
    assertEquals(await all(store.readAll()), events);
  },
};

/** Expected version, version of the stream, and whether the append goes through. */
const EXPECTATIONS: readonly [ExpectedVersion, 0 | 2, boolean][] = [
  ["any", 0, true],
  ["any", 2, true],
  ["noStream", 0, true],
  ["noStream", 2, false],
  ["streamExists", 0, false],
  ["streamExists", 2, true],
  [0, 0, true],
  [0, 2, false],
  [1, 0, false],
  [1, 2, false],
  [2, 2, true],
  [3, 2, false],
];

const expectations: ConformanceCase = {
  name: "append accepts an expected version exactly when the stream has it",
  async run(bench) {
    let store = await bench.store();
    let end = 0;
    for (const [i, [expected, version, passes]] of EXPECTATIONS.entries()) {
      const stream = `s${i}`;
      if (version === 2) end = (await store.append(to(stream, [1, 2]))).events.at(-1)!.position;
      if (i % 2 === 1) {
        // Half of the cells meet a store that has not seen the stream before.
        await store.close();
        store = await bench.store();
      }
      const label = `expected ${expected} at version ${version}`;
      const attempt = store.append(to(stream, [3], expected));
      if (passes) {
        assertEquals((await attempt).events[0]!.version, version + 1, label);
        end++;
      } else {
        const error = await assertRejects(() => attempt, JoblogError, undefined, label);
        assertEquals([error.code, error.subject], ["versionConflict", stream], label);
        assertEquals([error.expected, error.actual], [expected, version], label);
      }
      assertEquals((await store.end()).position, end, label);
    }
  },
};

const race: ConformanceCase = {
  name: "append lets exactly one of several with the same expected version through",
  async run(bench) {
    const store = await bench.store();
    await store.append(to("a", [0]));
    const codes = await Promise.all(range(1, 10).map((n) => codeOf(store.append(to("a", [n], 1)))));
    assertEquals(codes, ["none", ...Array(9).fill("versionConflict")]);
    assertEquals((await store.end()).position, 2);
    assertEquals((await all(store.readStream("a"))).map((e) => e.data.n), [0, 1]);
  },
};

const atomic: ConformanceCase = {
  name: "append over several streams stores all of it as neighbours, or nothing",
  async run(bench) {
    const store = await bench.store();
    await store.append(to("taken", [0]));
    const both = (first: ExpectedVersion, second: ExpectedVersion): AppendRequest => ({
      streams: [
        { stream: "new", expectedVersion: first, events: [noted(1), noted(2)] },
        { stream: "taken", expectedVersion: second, events: [noted(3)] },
        { stream: "new", expectedVersion: 99, events: [noted(4)] },
      ],
    });
    const failed = [
      codeOf(store.append(both("noStream", 5))),
      codeOf(store.append(both("streamExists", 1))),
    ];
    assertEquals(await Promise.all(failed), ["versionConflict", "versionConflict"]);
    assertEquals([(await store.end()).position, await store.streamVersion("new")], [1, 0]);
    const others = range(1, 20).map((n) => store.append(to(`other${n % 4}`, [n, n])));
    const { events } = await store.append(both("noStream", 1));
    await Promise.all(others);
    assertEquals(positions(events), range(events[0]!.position, events[0]!.position + 3));
    assertEquals(events.map((e) => `${e.stream} ${e.version}`), [
      "new 1",
      "new 2",
      "taken 2",
      "new 3",
    ]);
    assertEquals((await all(store.readStream("new"))).map((e) => e.data.n), [1, 2, 4]);
  },
};

const concurrent: ConformanceCase = {
  name: "append keeps the order of concurrent calls, new streams and known ones mixed",
  async run(bench) {
    const store = await bench.store({ maxEvents: 16 });
    await store.append(to("known", [0]));
    const calls = range(1, 200).map((n) =>
      store.append(to(n % 5 === 0 ? `new${n}` : n % 2 === 0 ? "known" : "other", [n]))
    );
    const answers = await Promise.all(calls);
    assertEquals(answers.map((answer) => answer.events[0]!.position), range(2, 201));
    const read = await all(store.readAll({ from: 2 }));
    assertEquals(read.map((event) => event.data.n), range(1, 200));
  },
};

const large: ConformanceCase = {
  name: "append of more events than a group holds is still one place",
  async run(bench) {
    const store = await bench.store({ maxEvents: 8 });
    const small = store.append(to("small", [1]));
    const big = await store.append(to("big", range(1, 1500)));
    await small;
    assertEquals(positions(big.events), range(2, 1501));
    assertEquals((await all(store.readStream("big"))).map((e) => e.data.n), range(1, 1500));
  },
};

const times: ConformanceCase = {
  name: "append never gives an earlier time, however the clock goes and across a reopening",
  async run(bench) {
    let store = await bench.store();
    const start = bench.clock.time;
    const seen: number[] = [];
    for (const shift of [5, 3, 3, 10, -1000, 9]) {
      bench.clock.time = start + shift;
      seen.push((await store.append(to("a", [shift]))).events[0]!.time - start);
    }
    await store.close();
    bench.clock.time = 1;
    store = await bench.store();
    seen.push((await store.append(to("a", [0]))).events[0]!.time - start);
    assertEquals(seen, [5, 5, 5, 10, 10, 10, 10]);
    assertEquals((await all(store.readAll())).map((event) => event.time - start), seen);
    assertEquals((await store.end()).time, start + 10);
  },
};

const BAD: readonly [string, AppendRequest, string][] = [
  ["a float", { streams: [{ stream: "a", events: [noted(0.5)] }] }, "data.n"],
  ["NaN", { streams: [{ stream: "a", events: [noted(NaN)] }] }, "data.n"],
  ["an unsafe integer", { streams: [{ stream: "a", events: [noted(2 ** 53)] }] }, "data.n"],
  ["a lone surrogate", {
    streams: [{ stream: "a", events: [{ ...noted(1), data: { list: ["ok", "\ud800"] } }] }],
  }, "data.list[1]"],
  ["a bad stream name", { streams: [{ stream: "a b", events: [noted(1)] }] }, "stream"],
  ["a bad type", { streams: [{ stream: "a", events: [noted(1, "It-was")] }] }, "type"],
  ["schema 0", { streams: [{ stream: "a", events: [{ ...noted(1), schema: 0 }] }] }, "schema"],
];

const refused: ConformanceCase = {
  name: "append refuses what is no record, names the place, and leaves no hole",
  async run(bench) {
    const store = await bench.store();
    const pending = store.append(to("a", [1]));
    for (const [label, request, path] of BAD) {
      const second = { stream: "z", events: [noted(1)] };
      const mixed = { streams: [second, ...request.streams] };
      const error = await assertRejects(() => store.append(mixed), JoblogError, undefined, label);
      assertEquals([error.code, error.subject], ["invalidRecord", path], label);
    }
    assertEquals(await codeOf(store.append({ streams: [] })), "invalidArgument");
    assertEquals(await codeOf(store.append(to("a", []))), "invalidArgument");
    await pending;
    assertEquals(positions((await store.append(to("a", [2]))).events), [2]);
    assertEquals(await store.streamVersion("z"), 0);
  },
};

/** All cases about appends. */
export const APPEND_CASES: readonly ConformanceCase[] = [
  dense,
  answer,
  expectations,
  race,
  atomic,
  concurrent,
  large,
  times,
  refused,
];
