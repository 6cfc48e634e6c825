/** Cases about subscriptions: no gap, no repeat, filters, slow and many followers, endings. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { type EventReader, type EventStore, JoblogError } from "../../../events/log/mod.ts";
import { all, type ConformanceCase, noted, positions, range, take, to } from "./fixture.ts";

async function append(store: EventStore, count: number, stream = "a"): Promise<void> {
  await Promise.all(range(1, count).map((n) => store.append(to(stream, [n]))));
}

const seam: ConformanceCase = {
  name: "subscribe goes from catch-up to live without a gap or a repeat, beside a busy writer",
  async run(bench) {
    const store = await bench.store({ maxEvents: 7, feed: { maxEvents: 16 } });
    const reader = await bench.reader();
    await append(store, 700);
    const followers = ([store, reader, store] as EventReader[]).map((source, i) =>
      source.subscribe({ after: i * 100 })
    );
    const busy = (async () => {
      for (let round = 0; round < 30; round++) await append(store, 20, `b${round % 3}`);
    })();
    const seen = await Promise.all(followers.map((follower, i) => take(follower, 1300 - i * 100)));
    await busy;
    const events = await all(store.readAll());
    for (const [i, list] of seen.entries()) {
      assertEquals(positions(list), range(i * 100 + 1, 1300));
      assertEquals(list, events.slice(i * 100));
      assertEquals(followers[i]!.position, 1300);
    }
  },
};

const live: ConformanceCase = {
  name: "subscribe delivers what is appended later, to readers too, and only what is durable",
  async run(bench) {
    const store = await bench.store();
    const reader = await bench.reader();
    for (const source of [store, reader] as EventReader[]) {
      const { position } = await store.end();
      const follower = source.subscribe({ after: position });
      await follower.caughtUp;
      const pending = [follower.next(), follower.next()];
      await store.append(to("a", [1]));
      await store.append(to("b", [2]));
      const seen = (await Promise.all(pending)).map((answer) => answer.value!.position);
      assertEquals(seen, [position + 1, position + 2]);
      assert((await source.end()).position >= position + 2);
    }
    let flushNow = () => {};
    await store.close();
    const held = await bench.store({ schedule: (flush) => flushNow = flush });
    const follower = held.subscribe({ after: 4 });
    let told = false;
    const next = follower.next().then((answer) => (told = true, answer.value?.position));
    await held.prime("a");
    held.enqueue(to("a", [3]));
    for (let turn = 0; turn < 20; turn++) await held.end();
    assertEquals(told, false);
    flushNow();
    assertEquals(await next, 5);
  },
};

const filters: ConformanceCase = {
  name: "subscribe lets through exactly its stream and types, and its position passes the others",
  async run(bench) {
    const store = await bench.store({ feed: { maxEvents: 32 } });
    const reader = await bench.reader();
    const mixed = async (first: number, last: number) => {
      for (const n of range(first, last)) {
        const type = n % 3 === 0 ? "Moved" : "Noted";
        await store.append({ streams: [{ stream: `s${n % 2}`, events: [noted(n, type)] }] });
      }
    };
    await mixed(1, 90);
    for (const source of [store, reader] as EventReader[]) {
      const { position: end } = await store.end();
      const byStream = source.subscribe({ stream: "s1" });
      const byType = source.subscribe({ types: ["Moved"], after: 6 });
      const byBoth = source.subscribe({ stream: "s0", types: ["Moved", "Never"] });
      const none = source.subscribe({ types: [] });
      const silent = none.next();
      await mixed(end + 1, end + 60);
      const here = end + 60;
      const matching = (test: (n: number) => boolean) => range(1, here).filter(test);
      const odd = matching((n) => n % 2 === 1);
      const thirds = matching((n) => n % 3 === 0 && n > 6);
      const sixths = matching((n) => n % 6 === 0);
      assertEquals(positions(await take(byStream, odd.length)), odd);
      assertEquals(positions(await take(byType, thirds.length)), thirds);
      assertEquals(positions(await take(byBoth, sixths.length)), sixths);
      await none.caughtUp;
      const far = byType.next();
      await byType.caughtUp;
      assert(byType.position >= thirds.at(-1)!);
      assert(none.position >= end);
      none.close();
      byType.close();
      assertEquals([(await silent).done, (await far).done], [true, true]);
    }
  },
};

const slow: ConformanceCase = {
  name: "subscribe serves a slow follower completely, and never holds the writer",
  async run(bench) {
    const store = await bench.store({ feed: { maxEvents: 4 } });
    const slowpoke = store.subscribe();
    assertEquals(positions(await append(store, 1).then(() => take(slowpoke, 1))), [1]);
    await append(store, 900);
    assertEquals((await store.end()).position, 901);
    assertEquals(positions(await take(slowpoke, 3)), [2, 3, 4]);
    await append(store, 300, "b");
    assertEquals(positions(await take(slowpoke, 1197)), range(5, 1201));
    assertEquals(
      await all(store.readAll({ from: 1201 })),
      await all(store.readAll({ from: 1201 })),
    );
  },
};

const endings: ConformanceCase = {
  name: "subscribe ends by close, abort, leaving the loop and closing the store",
  async run(bench) {
    const store = await bench.store();
    await append(store, 5);
    const abort = new AbortController();
    const closed = store.subscribe({ after: 5 });
    const aborted = store.subscribe({ after: 5, signal: abort.signal });
    const left = store.subscribe();
    const orphan = store.subscribe({ after: 5 });
    const waiting = [closed.next(), closed.next(), aborted.next(), orphan.next()];
    for await (const event of left) if (event.position === 3) break;
    assertEquals((await left.next()).done, true);
    assertEquals(left.position, 3);
    closed.close();
    closed.close();
    abort.abort();
    await store.close();
    assertEquals((await Promise.all(waiting)).map((answer) => answer.done), Array(4).fill(true));
    assertEquals((await aborted.next()).done, true);
    const late = assertThrows(() => store.subscribe(), JoblogError);
    assertEquals(late.code, "logClosed");
    const again = await bench.store();
    const before = again.subscribe({ signal: AbortSignal.abort() });
    await before.caughtUp;
    assertEquals((await before.next()).done, true);
  },
};

const caughtUp: ConformanceCase = {
  name: "caughtUp resolves at the live end and not before",
  async run(bench) {
    const store = await bench.store();
    await store.subscribe().caughtUp;
    await append(store, 600);
    const follower = store.subscribe();
    let met = 0;
    const done = follower.caughtUp.then(() => met = follower.position);
    await take(follower, 599);
    assertEquals(met, 0);
    await take(follower, 1);
    assertEquals(await done, 600);
    await store.subscribe({ after: 600 }).caughtUp;
  },
};

/** All cases about subscriptions. */
export const SUBSCRIBE_CASES: readonly ConformanceCase[] = [
  seam,
  live,
  filters,
  slow,
  endings,
  caughtUp,
];
