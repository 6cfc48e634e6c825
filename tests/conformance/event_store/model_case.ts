/**
 * The model case: random appends, reads, follows and reopenings, compared with an array.
 *
 * The model knows nothing of groups, pages or rings, so whatever the store does with them must not
 * be seen.
 */
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import type {
  AppendRequest,
  EventStore,
  ExpectedVersion,
  ReadAllOptions,
  RecordedEvent,
} from "../../../events/log/mod.ts";
import { all, type Bench, codeOf, type ConformanceCase, noted, range, take } from "./fixture.ts";
import { expectedRead } from "./read_cases.ts";

const STREAMS = ["a", "b", "c-1", "c_1"];

/** One thing to do to the store. */
type Step =
  | { readonly do: "append"; readonly request: AppendRequest }
  | { readonly do: "burst"; readonly requests: readonly AppendRequest[] }
  | { readonly do: "read"; readonly options: ReadAllOptions }
  | { readonly do: "follow"; readonly after: number; readonly stream: string | undefined }
  | { readonly do: "tick"; readonly ms: number }
  | { readonly do: "reopen" };

const stream = fc.constantFrom(...STREAMS);
const expected: fc.Arbitrary<ExpectedVersion> = fc.oneof(
  { weight: 5, arbitrary: fc.constant<ExpectedVersion>("any") },
  { weight: 1, arbitrary: fc.constantFrom<ExpectedVersion>("noStream", "streamExists") },
  { weight: 2, arbitrary: fc.nat({ max: 6 }) },
);
const part = fc.record({
  stream,
  expectedVersion: expected,
  events: fc.array(fc.tuple(fc.nat({ max: 9 }), fc.constantFrom("Noted", "Moved")), {
    minLength: 1,
    maxLength: 4,
  }).map((list) => list.map(([n, type]) => noted(n, type))),
});
const request: fc.Arbitrary<AppendRequest> = fc.tuple(
  fc.array(part, { minLength: 1, maxLength: 3 }),
  fc.option(fc.constantFrom("c1", "c2", "c3"), { nil: undefined, freq: 4 }),
).map(([streams, commandId]) => commandId === undefined ? { streams } : { streams, commandId });
const bound = fc.option(fc.integer({ min: 1, max: 60 }), { nil: undefined });
const options: fc.Arbitrary<ReadAllOptions> = fc.record({
  direction: fc.constantFrom("forwards" as const, "backwards" as const),
  from: bound,
  to: bound,
  limit: bound,
  stream: fc.option(stream, { nil: undefined }),
  types: fc.option(fc.subarray(["Noted", "Moved", "Never"]), { nil: undefined }),
}).map((all) => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: request.map((request) => ({ do: "append" as const, request })) },
  {
    weight: 3,
    arbitrary: fc.array(request, { minLength: 2, maxLength: 6 })
      .map((requests) => ({ do: "burst" as const, requests })),
  },
  { weight: 3, arbitrary: options.map((options) => ({ do: "read" as const, options })) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("follow" as const),
      after: fc.nat({ max: 20 }),
      stream: fc.option(stream, { nil: undefined }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.integer({ min: -5, max: 9 }).map((ms) => ({ do: "tick" as const, ms })),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ do: "reopen" }) },
);

/** The array that the store is compared with. */
class Model {
  readonly events: RecordedEvent[] = [];
  readonly commands = new Map<string, { request: AppendRequest; events: RecordedEvent[] }>();

  version(stream: string): number {
    return this.events.filter((event) => event.stream === stream).length;
  }

  /** Appends; answers the events, or the code of the refusal. */
  append(request: AppendRequest, clock: number): RecordedEvent[] | string {
    const known = request.commandId && this.commands.get(request.commandId);
    if (known) return flat(known.request) === flat(request) ? known.events : "commandReused";
    const checked = new Set<string>();
    for (const { stream, expectedVersion = "any" } of request.streams) {
      if (checked.has(stream)) continue;
      checked.add(stream);
      const version = this.version(stream);
      if (expectedVersion === "any" || expectedVersion === version) continue;
      if (expectedVersion === "noStream" && version === 0) continue;
      if (expectedVersion === "streamExists" && version > 0) continue;
      return "versionConflict";
    }
    const time = Math.max(clock, this.events.at(-1)?.time ?? 0);
    const added: RecordedEvent[] = [];
    for (const { stream, events } of request.streams) {
      for (const { type, data, metadata } of events) {
        const position = this.events.length + 1;
        const version = this.version(stream) + 1;
        const { commandId } = request;
        const stamped = commandId === undefined ? metadata : { ...metadata, commandId };
        const event = { position, stream, version, type, schema: 1, time, data, metadata: stamped };
        this.events.push(event);
        added.push(event);
      }
    }
    if (request.commandId) this.commands.set(request.commandId, { request, events: added });
    return added;
  }
}

function flat(request: AppendRequest): string {
  return JSON.stringify(
    request.streams.flatMap((part) =>
      part.events.map((event) => [part.stream, event.type, event.data])
    ),
  );
}

async function outcome(store: EventStore, request: AppendRequest) {
  let events: readonly RecordedEvent[] = [];
  const code = await codeOf(store.append(request).then((answer) => events = answer.events));
  return code === "none" ? events : code;
}

async function runStep(bench: Bench, store: EventStore, model: Model, step: Step) {
  switch (step.do) {
    case "append":
      return assertEquals(
        await outcome(store, step.request),
        model.append(step.request, bench.clock.time),
      );
    case "burst": {
      const answers = step.requests.map((request) => outcome(store, request));
      const expected = step.requests.map((request) => model.append(request, bench.clock.time));
      return assertEquals(await Promise.all(answers), expected);
    }
    case "read": {
      const expected = expectedRead(model.events, step.options);
      return assertEquals(await all(store.readAll(step.options)), expected);
    }
    case "follow": {
      const filter = step.stream === undefined ? {} : { stream: step.stream };
      const follower = store.subscribe({ after: step.after, ...filter });
      const expected = expectedRead(model.events, { from: step.after + 1, ...filter });
      assertEquals(await take(follower, expected.length), expected);
      return follower.close();
    }
    case "tick":
      bench.clock.time += step.ms;
      return;
    case "reopen":
      return;
  }
}

async function compare(store: EventStore, model: Model): Promise<void> {
  assertEquals((await store.end()).position, model.events.length);
  assertEquals(await all(store.readAll()), model.events);
  for (const name of STREAMS) {
    const mine = model.events.filter((event) => event.stream === name);
    assertEquals(mine.map((event) => event.version), range(1, mine.length));
    assertEquals(await all(store.readStream(name)), mine);
  }
}

/** The model case. */
export const MODEL_CASE: ConformanceCase = {
  name: "any series of appends, reads, follows and reopenings equals an array",
  async run(bench) {
    let store = await bench.store({ maxEvents: 5, feed: { maxEvents: 6 } });
    const model = new Model();
    // One log grows through all runs: every run starts from the state that the last one left,
    // so a run that fails is not shrunk but named by its seed and its path.
    const steps = fc.array(step, { minLength: 1, maxLength: 12 });
    const property = fc.asyncProperty(steps, async (list) => {
      for (const one of list) {
        await runStep(bench, store, model, one);
        if (one.do === "reopen") {
          await store.close();
          store = await bench.store({ maxEvents: 5, feed: { maxEvents: 6 } });
        }
      }
      await compare(store, model);
    });
    await fc.assert(property, { numRuns: 25, endOnFailure: true });
  },
};
