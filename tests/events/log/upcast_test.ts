import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { createUpcasts, JoblogError, openEventStore } from "../../../events/log/mod.ts";
import { createMemoryLog } from "../../../events/store/memory/mod.ts";
import { all } from "../../conformance/event_store/fixture.ts";

const upcasts = createUpcasts({
  SpeedSet: {
    schema: 3,
    upcasters: [
      (data) => ({ kib: data.speed ?? 0 }),
      (data) => ({ bytes: Number(data.kib) * 1024 }),
    ],
  },
  Noted: { schema: 1 },
});

const EVENTS = [
  ["SpeedSet", 1, { speed: 2 }],
  ["SpeedSet", 2, { kib: 3 }],
  ["SpeedSet", 3, {
    bytes: 5,
  }],
  ["Noted", 1, { n: 1 }],
  ["Noted", 2, { n: 2 }],
  ["Unheard", 1, {}],
] as const;

async function storeWithEvents() {
  const store = await openEventStore(createMemoryLog().open(), { clock: { now: () => 1 } });
  const metadata = { actor: "ann", via: "api" } as const;
  const events = EVENTS.map(([type, schema, data]) => ({ type, schema, data, metadata }));
  await store.append({ streams: [{ stream: "a", events }] });
  return store;
}

describe("createUpcasts", () => {
  it("applies every upcaster from the stored schema to today's, and leaves the bytes", async () => {
    const store = await storeWithEvents();
    const { upcast, incompleteSince } = upcasts.forReader();
    const seen = await all(store.readAll({ to: 4, upcast }));
    assertEquals(seen.map(({ schema, data }) => [schema, data]), [
      [3, { bytes: 2048 }],
      [3, { bytes: 3072 }],
      [3, { bytes: 5 }],
      [1, { n: 1 }],
    ]);
    assertEquals(incompleteSince(), undefined);
    assertEquals(await all(store.readStream("a", { limit: 4, upcast })), seen);
    const follower = store.subscribe({ upcast });
    for (const event of seen) assertEquals((await follower.next()).value, event);
    const [stored] = await all(store.readStored(1, 1));
    assertEquals(JSON.parse(stored!.text).data, { speed: 2 });
    await store.close();
  });

  it("passes unknown types and schemas to a reader raw and says since when", async () => {
    const store = await storeWithEvents();
    const { upcast, incompleteSince } = upcasts.forReader();
    const seen = await all(store.readAll({ direction: "backwards", upcast }));
    assertEquals(seen.slice(0, 2), await all(store.readAll({ direction: "backwards", limit: 2 })));
    assertEquals(incompleteSince(), 5);
    await store.close();
  });

  it("stops a writer at an unknown type and at an unknown schema", async () => {
    const store = await storeWithEvents();
    const events = await all(store.readAll());
    assertEquals(upcasts.forWriter(events[0]!).data, { bytes: 2048 });
    for (const [event, expected] of [[events[4]!, 1], [events[5]!, undefined]] as const) {
      const error = assertThrows(() => upcasts.forWriter(event), JoblogError);
      assertEquals([error.code, error.subject, error.expected], [
        "unknownEvent",
        event.type,
        expected,
      ]);
    }
    await store.close();
  });

  it("refuses a history that lacks upcasters", () => {
    assertThrows(() => createUpcasts({ A: { schema: 2 } }), JoblogError);
    assertThrows(
      () => createUpcasts({ A: { schema: 1, upcasters: [(data) => data] } }),
      JoblogError,
    );
  });
});
