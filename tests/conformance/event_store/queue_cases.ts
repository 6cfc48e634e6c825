/** Cases about repeats and the queue: command ids, enqueue, closing. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { JoblogError } from "../../../events/log/mod.ts";
import { all, codeOf, type ConformanceCase, positions, to } from "./fixture.ts";

const commands: ConformanceCase = {
  name: "append with a known command id answers with the first events and stores nothing",
  async run(bench) {
    let store = await bench.store();
    await store.append(to("a", [0]));
    const once = { ...to("a", [1, 2]), commandId: "cmd 1 é" };
    const [first, queued] = await Promise.all([store.append(once), store.append(once)]);
    bench.clock.time += 1000;
    const later = await store.append(once);
    assertEquals(positions(first.events), [2, 3]);
    assertEquals([first.repeated, queued.repeated, later.repeated], [false, true, true]);
    assertEquals([queued.events, later.events], [first.events, first.events]);
    const others = { ...to("a", [1, 3]), commandId: "cmd 1 é" };
    const fewer = { ...to("a", [1]), commandId: "cmd 1 é" };
    const elsewhere = { ...to("b", [1, 2]), commandId: "cmd 1 é" };
    for (const other of [others, fewer, elsewhere]) {
      assertEquals(await codeOf(store.append(other)), "commandReused");
    }
    await store.close();
    store = await bench.store();
    const reopened = await store.append(once);
    assertEquals([reopened.repeated, reopened.events], [true, first.events]);
    assertEquals(await codeOf(store.append(others)), "commandReused");
    assertEquals((await store.end()).position, 3);
    assertEquals(await store.command("cmd 1 é"), first.events);
    assertEquals(await store.command("cmd 1"), undefined);
  },
};

const enqueued: ConformanceCase = {
  name: "enqueue checks against the head and shows nothing before it is durable",
  async run(bench) {
    let flushNow = () => {};
    const store = await bench.store({ schedule: (flush) => flushNow = flush });
    const one = store.enqueue(to("a", [1], "noStream"));
    const two = store.enqueue(to("a", [2], 1));
    assertEquals(positions([...one.events, ...two.events]), [1, 2]);
    const conflict = assertThrows(() => store.enqueue(to("a", [3], 1)), JoblogError);
    assertEquals([conflict.code, conflict.expected, conflict.actual], ["versionConflict", 1, 2]);
    const unknown = assertThrows(() => store.enqueue(to("b", [1])), JoblogError);
    assertEquals(unknown.code, "invalidArgument");
    assertEquals([store.headPosition, (await store.end()).position], [2, 0]);
    assertEquals([await all(store.readAll()), await store.streamVersion("a")], [[], 0]);
    assertEquals(await store.prime("b"), 0);
    store.enqueue(to("b", [1]));
    const flushed = store.flush();
    flushNow();
    await Promise.all([one.durable, two.durable, flushed]);
    assertEquals(positions(await all(store.readAll())), [1, 2, 3]);
    assertEquals(await store.prime("a"), 2);
  },
};

const closing: ConformanceCase = {
  name: "close makes durable what is queued and refuses what comes after",
  async run(bench) {
    let store = await bench.store({ schedule: () => {} });
    const queued = [store.append(to("a", [1])), store.append(to("b", [2]))];
    await store.close();
    assertEquals((await Promise.all(queued)).map((a) => a.events[0]!.position), [1, 2]);
    await store.close();
    assertEquals(await codeOf(store.append(to("a", [3]))), "logClosed");
    assertEquals(assertThrows(() => store.enqueue(to("a", [3], 1)), JoblogError).code, "logClosed");
    store = await bench.store();
    assert(/^[0-9a-f]{32}$/.test(store.logId));
    assertEquals(positions(await all(store.readAll())), [1, 2]);
    assertEquals(positions((await store.append(to("a", [3], 1))).events), [3]);
  },
};

/** All cases about repeats and the queue. */
export const QUEUE_CASES: readonly ConformanceCase[] = [commands, enqueued, closing];
