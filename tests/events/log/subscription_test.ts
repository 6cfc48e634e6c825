import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type EventStore, JoblogError, openEventStore } from "../../../events/log/mod.ts";
import { Feed } from "../../../events/log/feed.ts";
import { positions, range, take, to } from "../../conformance/event_store/fixture.ts";
import { faultyBackend } from "./faulty_backend.ts";

async function opened(maxEvents: number) {
  const { backend, faults } = faultyBackend();
  const store = await openEventStore(backend, { clock: { now: () => 1 }, feed: { maxEvents } });
  return { store, faults };
}

async function append(store: EventStore, count: number): Promise<void> {
  await Promise.all(range(1, count).map((n) => store.append(to("a", [n]))));
}

describe("Subscription", () => {
  it("is fed from memory at the live end: the store is not read", async () => {
    const { store, faults } = await opened(100);
    const follower = store.subscribe();
    for (let round = 0; round < 20; round++) {
      await append(store, 10);
      assertEquals((await take(follower, 10)).length, 10);
    }
    assertEquals([faults.pagesRead, follower.position], [0, 200]);
    await store.close();
  });

  it("reads pages when it fell behind the ring, and memory again at the end", async () => {
    const { store, faults } = await opened(100);
    const slow = store.subscribe();
    await append(store, 1_000);
    assertEquals(positions(await take(slow, 1_000)), range(1, 1_000));
    // 900 events are behind the ring: four pages of 256, the last of which reaches the ring.
    assert(faults.pagesRead >= 3 && faults.pagesRead <= 5, `${faults.pagesRead} pages`);
    const before = faults.pagesRead;
    await append(store, 50);
    await take(slow, 50);
    assertEquals(faults.pagesRead, before);
    await store.close();
  });

  it("ends with the error of a read that failed, and the writer goes on", async () => {
    const { backend } = faultyBackend();
    const failing = new Proxy(backend, {
      get(target, key) {
        if (key === "readPage") return () => Promise.reject(new JoblogError("logDamaged", "bad"));
        return target[key as keyof typeof target];
      },
    });
    const store = await openEventStore(failing, { clock: { now: () => 1 } });
    await append(store, 3);
    const follower = store.subscribe();
    const waiting = [follower.next(), follower.next()];
    for (const next of waiting) {
      assertEquals((await assertRejects(() => next, JoblogError)).code, "logDamaged");
    }
    assertEquals((await follower.next()).done, true);
    await append(store, 1);
    assertEquals((await store.end()).position, 4);
    await store.close();
  });

  it("ends with the error of an upcast that throws, and others go on", async () => {
    const { store } = await opened(100);
    const broken = store.subscribe({
      upcast: () => {
        throw new JoblogError("unknownEvent", "Cannot understand it");
      },
    });
    const sound = store.subscribe();
    const waiting = [broken.next(), sound.next()] as const;
    await append(store, 1);
    await assertRejects(() => waiting[0], JoblogError);
    assertEquals((await waiting[1]).value?.position, 1);
    assertEquals(store.failure, undefined);
    await store.close();
  });
});

describe("Feed", () => {
  const events = (first: number, last: number) =>
    range(first, last).map((position) => ({
      position,
      stream: "a",
      version: position,
      type: "Noted",
      schema: 1,
      time: 1,
      data: {},
      metadata: { actor: "ann", via: "api" } as const,
    }));
  const records = (first: number, last: number, length: number) =>
    range(first, last).map((position) => ({
      position,
      stream: "a",
      version: position,
      type: "Noted",
      time: 1,
      text: "x".repeat(length),
      leaf: "",
    }));

  it("keeps the last events only, by count and by length", () => {
    const feed = new Feed(0, { maxEvents: 10, maxLength: 500 });
    feed.follow(() => {});
    feed.publish(events(1, 25), records(1, 25, 10));
    assertEquals([feed.first, feed.end], [16, 25]);
    assertEquals(range(16, 25).map((position) => feed.at(position).position), range(16, 25));
    feed.publish(events(26, 30), records(26, 30, 200));
    assertEquals([feed.first, feed.end], [29, 30]);
    feed.publish(events(31, 31), records(31, 31, 9_000));
    assertEquals([feed.first, feed.end, feed.at(31).position], [31, 31, 31]);
  });

  it("keeps nothing while nobody follows", () => {
    const feed = new Feed(0, { maxEvents: 10 });
    feed.publish(events(1, 5), records(1, 5, 10));
    assertEquals([feed.first, feed.end], [6, 5]);
    const stop = feed.follow(() => {});
    feed.publish(events(6, 7), records(6, 7, 10));
    assertEquals([feed.first, feed.end, feed.at(6).position], [6, 7, 6]);
    stop();
    feed.publish(events(8, 9), records(8, 9, 10));
    assertEquals([feed.first, feed.end], [10, 9]);
    feed.follow(() => {});
    feed.publish(events(10, 30), records(10, 30, 10));
    assertEquals(range(feed.first, 30).map((at) => feed.at(at).position), range(21, 30));
  });
});
