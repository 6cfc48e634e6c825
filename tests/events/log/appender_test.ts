import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  type EventStore,
  type EventStoreOptions,
  JoblogError,
  openEventStore,
  rootOf,
} from "../../../events/log/mod.ts";
import { all, codeOf, positions, range, to } from "../../conformance/event_store/fixture.ts";
import { diskFull, type Faults, faultyBackend } from "./faulty_backend.ts";

/** A store whose flushes happen when the test says so. */
async function manual(options: Partial<EventStoreOptions> = {}) {
  const { backend, faults } = faultyBackend();
  const flushes: (() => void)[] = [];
  const store = await openEventStore(backend, {
    clock: { now: () => 1 },
    schedule: (flush) => void flushes.push(flush),
    ...options,
  });
  for (const stream of ["a", "b", "c"]) await store.prime(stream);
  return { store, faults, flushes, backend };
}

/** Runs what is scheduled until nothing is. */
async function drain(store: EventStore, flushes: (() => void)[]): Promise<void> {
  const flushed = store.flush().catch(() => {});
  let open = true;
  void flushed.then(() => open = false);
  while (open) {
    for (const flush of flushes.splice(0)) flush();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("group commit", () => {
  it("puts everything that arrives before the flush into one commit", async () => {
    const { store, faults, flushes } = await manual();
    const calls = range(1, 100).map((n) => store.append(to("a", [n])));
    assertEquals([flushes.length, faults.commits], [1, []]);
    await drain(store, flushes);
    await Promise.all(calls);
    assertEquals(faults.commits, [100]);
  });

  it("closes a group at maxEvents, and never splits an append", async () => {
    const { store, faults, flushes } = await manual({ maxEvents: 10 });
    const sizes = [4, 4, 4, 25, 1, 9, 1];
    const calls = sizes.map((size) => store.append(to("a", range(1, size))));
    await drain(store, flushes);
    await Promise.all(calls);
    assertEquals(faults.commits, [8, 4, 25, 10, 1]);
    assertEquals(positions(await all(store.readAll())), range(1, 48));
  });

  it("closes a group at 1,024 events by default, and at maxBytes of text", async () => {
    const many = await manual();
    for (const n of range(1, 2_100)) void many.store.enqueue(to("a", [n]));
    await drain(many.store, many.flushes);
    assertEquals(many.faults.commits, [1_024, 1_024, 52]);
    const long = await manual({ maxBytes: 10_000 });
    const metadata = { actor: "ann", via: "api" } as const;
    const event = { type: "Noted", data: { text: "x".repeat(3_000) }, metadata };
    for (const _ of range(1, 5)) {
      void long.store.enqueue({ streams: [{ stream: "a", events: [event] }] });
    }
    await drain(long.store, long.flushes);
    assertEquals(long.faults.commits, [3, 2]);
  });

  it("lets patient appends wait for company, and no longer than somebody else waits", async () => {
    const later: (() => void)[] = [];
    const { store, faults, flushes } = await manual({
      scheduleLater: (flush) => void later.push(flush),
    });
    const patient = (n: number) => store.enqueue({ ...to("a", [n]), isPatient: true });
    patient(1);
    patient(2);
    assertEquals([flushes.length, later.length], [0, 1]);
    const call = store.append(to("b", [1]));
    assertEquals(flushes.length, 1);
    await drain(store, flushes);
    await call;
    assertEquals(faults.commits, [3]);

    const alone = patient(3);
    for (const flush of later.splice(0)) flush();
    await alone.durable;
    assertEquals(faults.commits, [3, 1]);
  });

  it("commits patient appends without waiting when a group is full", async () => {
    const { store, faults, flushes } = await manual({ maxEvents: 2, scheduleLater: () => {} });
    for (const n of [1, 2, 3]) store.enqueue({ ...to("a", [n]), isPatient: true });
    assertEquals(flushes.length, 1);
    flushes.shift()!();
    await new Promise((resolve) => setImmediate(resolve));
    assertEquals([faults.commits, flushes.length], [[2], 0]);
    await drain(store, flushes);
    assertEquals(faults.commits, [2, 1]);
  });

  it("commits one group at a time, while the next one collects", async () => {
    const { store, faults, flushes } = await manual();
    let open = () => {};
    faults.gate = new Promise((resolve) => open = resolve);
    const first = store.append(to("a", [1]));
    flushes.shift()!();
    const others = range(2, 9).map((n) => store.append(to("a", [n])));
    assertEquals([faults.commits, flushes.length], [[1], 0]);
    faults.gate = undefined;
    open();
    await first;
    assertEquals([store.headPosition, (await store.end()).position], [9, 1]);
    await drain(store, flushes);
    await Promise.all(others);
    assertEquals([faults.commits, faults.mostAtOnce], [[1, 8], 1]);
  });

  it("answers in the order of the calls", async () => {
    const { store, flushes } = await manual({ maxEvents: 3 });
    const order: number[] = [];
    const calls = range(1, 10).map((n) =>
      store.append(to("abc"[n % 3]!, [n])).then(() => order.push(n))
    );
    await drain(store, flushes);
    await Promise.all(calls);
    assertEquals(order, range(1, 10));
  });

  it("shares one durable promise among the enqueues of a group", async () => {
    const { store, flushes } = await manual();
    const one = store.enqueue(to("a", [1]));
    const two = store.enqueue(to("b", [2]));
    assert(one.durable === two.durable);
    await drain(store, flushes);
    await one.durable;
  });
});

/** What a failed commit must leave behind. */
async function assertDead(store: EventStore, faults: Faults, code: string): Promise<void> {
  assertEquals((store.failure as JoblogError).code, code);
  const tried = faults.commits.length;
  const error = await assertRejects(() => store.append(to("a", [9])), JoblogError);
  assertEquals([error.code, error.cause], ["logClosed", store.failure]);
  assert(error.hint!.includes("Open the log again"));
  assertEquals(assertThrows(() => store.enqueue(to("a", [9])), JoblogError).code, "logClosed");
  assertEquals(await store.flush().catch((failure) => failure), store.failure);
  await store.close();
  assertEquals(faults.commits.length, tried);
}

describe("a failed commit", () => {
  it("rejects what is queued with commitFailed, stores nothing and stops the store", async () => {
    const { store, faults, flushes } = await manual({ maxEvents: 2 });
    const told: Error[] = [];
    store.onFailure((error) => told.push(error));
    store.onFailure(() => assert(false, "was taken off"))();
    const cause = new Error("disk on fire");
    faults.failures.push(undefined, cause);
    const calls = range(1, 6).map((n) => codeOf(store.append(to("a", [n]))));
    const pending = store.enqueue(to("b", [7]));
    await drain(store, flushes);
    const failed = Array(4).fill("commitFailed");
    assertEquals(await Promise.all(calls), ["none", "none", ...failed]);
    assertEquals(await codeOf(pending.durable), "commitFailed");
    assertEquals([told, faults.commits], [[store.failure!], [2, 2]]);
    assertEquals(store.failure!.cause, cause);
    assertEquals(positions(await all(store.readAll())), [1, 2]);
    await assertDead(store, faults, "commitFailed");
  });

  it("keeps the code of a fencing refusal, and does not try again", async () => {
    const { store, faults, flushes } = await manual();
    faults.failures.push(new JoblogError("fenced", "Cannot commit: another writer took over"));
    faults.reserves = 1;
    const call = codeOf(store.append(to("a", [1])));
    await drain(store, flushes);
    assertEquals([await call, faults.commits, faults.reserves], ["fenced", [1], 1]);
    await assertDead(store, faults, "fenced");
  });

  it("is tried once more after freeing the reserve when the disk is full", async () => {
    const { store, faults, flushes } = await manual();
    let released = 0;
    store.onReserveReleased(() => released++);
    faults.failures.push(diskFull());
    faults.reserves = 1;
    const calls = range(1, 300).map((n) => store.append(to("a", [n])));
    await drain(store, flushes);
    const answers = await Promise.all(calls);
    assertEquals([released, faults.commits], [1, [300, 300]]);
    assertEquals(answers.map((answer) => answer.events[0]!.position), range(1, 300));
    assertEquals(store.failure, undefined);
    const leaves = (await all(store.readStored(1, 300))).map((row) => row.leaf);
    assertEquals(await store.root(), rootOf(leaves));
  });

  it("waits before it takes the next piece of a reserve, and tells of it once", async () => {
    let [rests, released] = [0, 0];
    const scheduleLater = (go: () => void) => void (rests++, setImmediate(go));
    const { store, faults, flushes } = await manual({ scheduleLater });
    store.onReserveReleased(() => released++);
    faults.failures.push(diskFull(), diskFull());
    faults.reserves = 3;
    const call = store.append(to("a", [1]));
    await drain(store, flushes);
    assertEquals([(await call).events[0]!.position, released, faults.reserves], [1, 1, 1]);
    assertEquals([rests, faults.commits], [10, [1, 1, 1]]);
  });

  it("stops the store when the disk is full again, or when there is no reserve", async () => {
    for (const reserves of [1, 0]) {
      const { store, faults, flushes } = await manual();
      store.onReserveReleased(() => assert(false, "nothing went through"));
      faults.failures.push(diskFull(), diskFull());
      faults.reserves = reserves;
      const call = codeOf(store.append(to("a", [1])));
      await drain(store, flushes);
      assertEquals([await call, faults.commits.length], ["commitFailed", 1 + reserves]);
      await assertDead(store, faults, "commitFailed");
    }
  });
});

describe("stream versions", () => {
  it("are read again after they were forgotten, in the order of the calls", async () => {
    const { store, flushes } = await manual({ maxStreams: 4 });
    const calls = range(1, 200).map((n) => store.append(to(`s${n % 40}`, [n])));
    await drain(store, flushes);
    await Promise.all(calls);
    const again = range(1, 200).map((n) => store.append(to(`s${(n * 7) % 40}`, [n])));
    await drain(store, flushes);
    const answers = await Promise.all(again);
    assertEquals(answers.map((answer) => answer.events[0]!.position), range(201, 400));
    for (const n of range(0, 39)) assertEquals(await store.streamVersion(`s${n}`), 10);
  });

  it("keep one append over more streams than are remembered whole", async () => {
    const { store, flushes } = await manual({ maxStreams: 4 });
    const streams = range(1, 50).map((n) => to(`new${n}`, [n], "noStream").streams[0]!);
    const pending = store.enqueue({ streams: [...streams, ...streams] });
    await drain(store, flushes);
    assertEquals(pending.events.map((event) => event.version), [
      ...Array(50).fill(1),
      ...Array(50).fill(2),
    ]);
  });
});

describe("command ids", () => {
  it("answer an enqueue that repeats a queued one with the same events and promise", async () => {
    const { store, flushes, faults } = await manual();
    const once = { ...to("a", [1, 2]), commandId: "once" };
    const first = store.enqueue(once);
    const second = store.enqueue({ ...to("a", [1, 2], 0), commandId: "once" });
    assertEquals([first.repeated, second.repeated], [false, true]);
    assert(first.events === second.events && first.durable === second.durable);
    const other = { ...to("a", [2, 1]), commandId: "once" };
    assertEquals(assertThrows(() => store.enqueue(other), JoblogError).code, "commandReused");
    await drain(store, flushes);
    const third = store.enqueue(once);
    await third.durable;
    assertEquals([third.repeated, faults.commits], [true, [2]]);
  });

  it("need no reading when an enqueue says the version, which the store then checks", async () => {
    const first = await manual();
    await Promise.all([first.store.append(to("x", [1, 2])), drain(first.store, first.flushes)]);
    const clock = { now: () => 1 };
    const right = await openEventStore(first.backend, { clock });
    const placed = right.enqueue(to("x", [3], 2));
    await placed.durable;
    assertEquals(placed.events[0]?.version, 3);
    const wrong = await openEventStore(first.backend, { clock });
    const { durable } = wrong.enqueue(to("x", [4], 7));
    const error = await assertRejects(() => durable, JoblogError);
    assertEquals(error.code, "commitFailed");
    assertEquals((error.cause as JoblogError).code, "versionConflict");
  });

  it("that are no names are refused", async () => {
    const { store } = await manual();
    for (const commandId of ["", "x".repeat(513), "\ud800"]) {
      assertEquals(await codeOf(store.append({ ...to("a", [1]), commandId })), "invalidRecord");
    }
  });
});

describe("the clock", () => {
  it("is refused when it gives no time", async () => {
    const { backend } = faultyBackend();
    const store = await openEventStore(backend, { clock: { now: () => NaN } });
    assertEquals(await codeOf(store.append(to("a", [1]))), "invalidArgument");
    assertEquals(store.headPosition, 0);
    await store.close();
  });
});
