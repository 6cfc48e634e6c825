import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  type EventStore,
  type Fold,
  foldLog,
  openEventReader,
  openEventStore,
  runProjection,
  snapshotDue,
  takeSnapshot,
} from "../../../events/log/mod.ts";
import { createMemoryLog, type MemoryLog } from "../../../events/store/memory/mod.ts";
import { noted, range, to } from "../../conformance/event_store/fixture.ts";

type Sum = { readonly count: number; readonly sum: number };

/** Adds up the numbers of the events; counts how often it was asked to. */
function summing(foldVersion = 1): Fold<Sum> & { readonly evolved: () => number } {
  let evolved = 0;
  return {
    name: "sum",
    foldVersion,
    initial: () => ({ count: 0, sum: 0 }),
    evolve: ({ count, sum }, event) => {
      evolved++;
      if (event.data.n === 666) throw new Error("cannot fold 666");
      return { count: count + 1, sum: sum + Number(event.data.n) };
    },
    accepts: (state) => typeof state === "object" && state !== null && "count" in state,
    evolved: () => evolved,
  };
}

function open(log: MemoryLog): Promise<EventStore> {
  return openEventStore(log.open(), { clock: { now: () => 1 } });
}

async function append(store: EventStore, numbers: readonly number[], stream = "a"): Promise<void> {
  await Promise.all(numbers.map((n) => store.append(to(stream, [n]))));
}

/** What the fold of the numbers 1 to `last` is. */
function sumTo(last: number): Sum {
  return { count: last, sum: last * (last + 1) / 2 };
}

describe("foldLog", () => {
  it("gives from a snapshot what it gives from zero, with less work", async () => {
    const store = await open(createMemoryLog());
    await append(store, range(1, 50), "other");
    await append(store, range(1, 100));
    for (const stream of [undefined, "a"]) {
      const scope = stream === undefined ? {} : { stream };
      const middle = await foldLog(store, summing(), { ...scope, to: 90 });
      await takeSnapshot(store, summing(), middle, stream);
      const zero = await foldLog(store, summing(), { ...scope, snapshots: false });
      const from = await foldLog(store, summing(), scope);
      assertEquals([from.state, from.position], [zero.state, zero.position]);
      assertEquals([from.snapshotPosition, from.eventCount], [90, 60]);
      assertEquals(zero.eventCount, stream === undefined ? 150 : 100);
      const earlier = await foldLog(store, summing(), { ...scope, to: 89 });
      assertEquals([earlier.snapshotPosition, earlier.position], [0, 89]);
    }
    assertEquals((await foldLog(store, summing(), { stream: "a" })).state, sumTo(100));
    await store.close();
  });

  it("passes over snapshots of another fold version and ones that are not accepted", async () => {
    const store = await open(createMemoryLog());
    await append(store, range(1, 100));
    await takeSnapshot(store, summing(), await foldLog(store, summing(), { to: 40 }));
    await store.putSnapshot({ name: "sum", position: 80, foldVersion: 1, state: "spoilt" });
    await store.putSnapshot({ name: "sum", position: 90, foldVersion: 2, state: sumTo(1) });
    const folded = await foldLog(store, summing());
    assertEquals([folded.state, folded.snapshotPosition], [sumTo(100), 40]);
    const next = await foldLog(store, summing(3));
    assertEquals([next.state, next.snapshotPosition], [sumTo(100), 0]);
    await store.close();
  });
});

describe("snapshotDue", () => {
  it("says so once for each multiple that is passed", () => {
    const due = range(1, 12).filter((count) => snapshotDue(count - 1, count, 5));
    assertEquals(due, [5, 10]);
    assertEquals([snapshotDue(3, 11, 5), snapshotDue(5, 9, 5)], [true, false]);
  });
});

describe("runProjection", () => {
  it("catches up, follows, and goes on from its cursor after a restart", async () => {
    const log = createMemoryLog();
    const store = await open(log);
    await append(store, range(1, 30));
    const runner = await runProjection(store, summing());
    await runner.caughtUp;
    assertEquals(runner.folded, { state: sumTo(30), position: 30 });
    const seen = Promise.withResolvers<void>();
    await runner.stop();
    await append(store, range(31, 40));
    const fold = summing();
    const again = await runProjection(store, fold, {
      onChange: ({ position }) => position === 42 && seen.resolve(),
    });
    await again.caughtUp;
    assertEquals([again.folded, fold.evolved()], [{ state: sumTo(40), position: 40 }, 10]);
    await append(store, [41, 42]);
    await seen.promise;
    await again.stop();
    await again.stop();
    await again.done;
    assertEquals((await store.cursor("sum"))?.position, 42);
    await store.close();
  });

  it("ignores the state of another fold version, and folds again at rebuild", async () => {
    const store = await open(createMemoryLog());
    await append(store, range(1, 10));
    const state = { foldVersion: 1, state: { count: 100, sum: 100 } };
    await store.putCursor("sum", 10, state);
    const trusting = await runProjection(store, summing(1));
    await trusting.caughtUp;
    assertEquals(trusting.folded.state, { count: 100, sum: 100 });
    await trusting.rebuild();
    assertEquals(trusting.folded, { state: sumTo(10), position: 10 });
    await trusting.stop();
    await store.putCursor("sum", 10, state);
    const next = await runProjection(store, summing(2));
    await next.caughtUp;
    assertEquals(next.folded.state, sumTo(10));
    await next.stop();
    await store.close();
  });

  it("stores state and cursor together every so many events, and when idle", async () => {
    const store = await open(createMemoryLog());
    const checks: (() => void)[] = [];
    const idle = (check: () => void) => {
      checks.push(check);
      return () => {};
    };
    let told = Promise.withResolvers<void>();
    let awaited = 0;
    const onChange = ({ position }: { position: number }) => position === awaited && told.resolve();
    const until = async (position: number, numbers: number[]) => {
      told = Promise.withResolvers();
      awaited = position;
      await append(store, numbers);
      await told.promise;
    };
    const runner = await runProjection(store, summing(), { every: 10, idle, onChange });
    await until(25, range(1, 25));
    await runner.save();
    await until(26, [26]);
    assertEquals((await store.cursor("sum"))?.position, 25);
    assertEquals(checks.length > 0, true);
    for (let round = 0; round < 3; round++) for (const check of checks.splice(0)) check();
    await runner.save();
    assertEquals(await store.cursor("sum"), {
      position: 26,
      state: { foldVersion: 1, state: sumTo(26) },
    });
    await runner.stop();
    await store.close();
  });

  it("advances over events that its filter holds back", async () => {
    const store = await open(createMemoryLog());
    const moved = Promise.withResolvers<void>();
    const runner = await runProjection(store, summing(), {
      types: ["Moved"],
      onChange: () => moved.resolve(),
    });
    const event = noted(7, "Moved");
    await append(store, range(1, 20));
    await store.append({ streams: [{ stream: "a", events: [event] }] });
    await moved.promise;
    assertEquals(runner.folded, { state: { count: 1, sum: 7 }, position: 21 });
    await runner.stop();
    await store.close();
  });

  it("ends with the error of its fold, which harms neither writer nor stored state", async () => {
    const store = await open(createMemoryLog());
    await append(store, [1, 2]);
    const runner = await runProjection(store, summing());
    await runner.caughtUp;
    await append(store, [666, 3]);
    const error = await assertRejects(() => runner.done, Error);
    assertEquals(error.message, "cannot fold 666");
    assertEquals(runner.folded, { state: { count: 2, sum: 3 }, position: 2 });
    assertEquals([store.failure, (await store.end()).position], [undefined, 4]);
    await runner.stop();
    assertEquals((await store.cursor("sum"))?.position, 2);
    await store.close();
  });

  it("runs over a reader, which keeps the state in memory", async () => {
    const log = createMemoryLog();
    const store = await open(log);
    await append(store, range(1, 5));
    const reader = openEventReader(log.openReadOnly());
    const sixth = Promise.withResolvers<void>();
    const runner = await runProjection(reader, summing(), {
      onChange: ({ position }) => position === 6 && sixth.resolve(),
    });
    await runner.caughtUp;
    assertEquals(runner.folded.state, sumTo(5));
    await append(store, [6]);
    await sixth.promise;
    await runner.stop();
    assertEquals([runner.folded.state, await reader.cursor("sum")], [sumTo(6), undefined]);
    assert(reader.flags.name === "memory");
    await reader.close();
    await store.close();
  });
});
