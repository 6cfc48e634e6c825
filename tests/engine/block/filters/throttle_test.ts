import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { BlockError } from "../../../../engine/block/errors.ts";
import { ThrottleGroup, ThrottleNode } from "../../../../engine/block/filters/throttle.ts";
import type { ThrottleLimits } from "../../../../engine/block/filters/throttle_limits.ts";
import { NullNode } from "../../../../engine/block/null_node.ts";

/** A clock that goes where the next timer is. */
class Clock {
  nowMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly call: () => void }>();

  monotonicNs(): number {
    return this.nowMs * 1e6;
  }
  setTimer(ms: number, call: () => void) {
    const timer = { atMs: this.nowMs + ms, call };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }
  get pending(): number {
    return this.#timers.size;
  }

  /** Lets promises run and timers fire until nothing is left or it is `untilMs`. */
  async run(untilMs = Infinity): Promise<void> {
    for (;;) {
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
      const next = [...this.#timers].sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined || next.atMs > untilMs) return;
      this.#timers.delete(next);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.call();
    }
  }
}

const KIB = 1_024;

/** Starts requests at once; says at which millisecond each was done. */
async function doneAt(limits: ThrottleLimits, requests: readonly (readonly [string, number])[]) {
  const clock = new Clock();
  const node = new ThrottleNode(new NullNode(), new ThrottleGroup(limits, clock));
  const times: number[] = [];
  requests.forEach(([kind, length], index) => {
    const acts: { readonly [kind: string]: () => Promise<void> } = {
      read: () => node.read(0, new Uint8Array(length)),
      write: () => node.write(0, new Uint8Array(length)),
      zero: () => node.zero(0, length),
      discard: () => node.discard(0, length),
      flush: () => node.flush(),
    };
    acts[kind]!().then(() => times[index] = clock.nowMs);
  });
  await clock.run();
  assertEquals(clock.pending, 0);
  return times;
}

const repeat = (kind: string, length: number, count: number) =>
  Array.from({ length: count }, () => [kind, length] as const);

describe("ThrottleNode", () => {
  it("lets the average pass, after a tenth of a second in advance", async () => {
    // 100 KiB/s: 10 KiB fit; the request that makes it full is paid for by the next.
    const times = await doneAt({ "bps-total": 100 * KIB }, repeat("write", 10 * KIB, 6));
    assertEquals(times, [0, 0, 100, 200, 300, 400]);
  });

  it("counts zeros and discards as writes, apart from reads, and no flushes", async () => {
    const limits = { "bps-write": 100 * KIB };
    const requests = [
      ["write", 30 * KIB],
      ["read", 500 * KIB],
      ["zero", 10 * KIB],
      ["discard", 1],
      ["flush", 0],
      ["read", 500 * KIB],
    ] as const;
    assertEquals(await doneAt(limits, requests), [0, 0, 200, 300, 0, 0]);
  });

  it("counts requests, and large ones as several", async () => {
    const limits = { "iops-total": 10 };
    assertEquals(await doneAt(limits, repeat("read", 1, 5)), [0, 0, 100, 200, 300]);
    const sized = { "iops-total": 10, "iops-size": KIB };
    assertEquals(await doneAt(sized, repeat("read", 2 * KIB, 4)), [0, 100, 300, 500]);
  });

  it("a burst lasts as long as it may", async () => {
    // 10 a second, bursts of 50 a second for 2 s: 100 pass at 50/s, then 10/s.
    const limits = { "iops-total": 10, "iops-total-max": 50, "iops-total-max-length": 2 };
    const times = await doneAt(limits, repeat("read", 1, 130));
    assertEquals([times[5], times[6]], [0, 20]);
    assertEquals([times[55], times[105]], [1_000, 2_000]);
    assertEquals(times[129]! - times[128]!, 100);
  });

  it("lift lets pass who waits in this node, and limits again afterwards", async () => {
    const clock = new Clock();
    const group = new ThrottleGroup({ "iops-total": 1 }, clock);
    const [one, other] = [new NullNode(), new NullNode()].map((child) => {
      return new ThrottleNode(child, group);
    }) as [ThrottleNode, ThrottleNode];
    const done: string[] = [];
    const read = (node: ThrottleNode, name: string) =>
      void node.read(0, new Uint8Array(1)).then(() => done.push(name));
    read(one, "first");
    read(other, "other");
    read(one, "second");
    await clock.run(0);
    assertEquals([done, group.waitingCount], [["first"], 2]);
    const restore = one.lift();
    await clock.run(0);
    assertEquals(done, ["first", "second"]);
    restore();
    restore();
    read(one, "third");
    await clock.run(899);
    assertEquals(done.length, 2);
    await clock.run();
    assertEquals([done, clock.nowMs], [["first", "second", "other", "third"], 1_900]);
    one.lift();
    read(one, "fourth");
    read(one, "fifth");
    await clock.run(1_900);
    assertEquals(done.slice(4), ["fourth", "fifth"]);
  });

  it("new limits are looked at by who waits", async () => {
    const clock = new Clock();
    const group = new ThrottleGroup({ "bps-total": 1 }, clock);
    const node = new ThrottleNode(new NullNode(), group);
    await node.read(0, new Uint8Array(KIB));
    let isDone = false;
    node.read(0, new Uint8Array(1)).then(() => isDone = true);
    await clock.run(1_000);
    assertEquals(isDone, false);
    group.setLimits({});
    await clock.run(1_000);
    assertEquals([isDone, group.limits, clock.pending], [true, {}, 0]);
  });

  it("refuses limits that contradict each other", () => {
    const refuse = (limits: ThrottleLimits, text: string) =>
      assertThrows(() => new ThrottleGroup(limits, new Clock()), BlockError, text);
    const both = "bps/iops/max total values and read/write values cannot be used at the same time";
    refuse({ "bps-total": 1, "bps-read": 1 }, both);
    refuse({ "iops-total": 1, "iops-total-max": 2, "iops-write-max": 2 }, both);
    refuse({ "iops-size": 1, "bps-total": 1 }, "iops size requires an iops value to be set");
    refuse({ "bps-total": -1 }, "must be within [0, 1000000000000000]");
    refuse({ "bps-total": 1, "bps-total-max-length": 0 }, "the burst length cannot be 0");
    refuse({ "bps-total": 1, "bps-total-max-length": 2 }, "burst length set without burst rate");
    refuse({ "bps-total-max": 2 }, "bps_max/iops_max require corresponding bps/iops values");
    refuse({ "bps-total": 3, "bps-total-max": 2 }, "cannot be lower than bps/iops");
    const long = { "bps-total": 1, "bps-total-max": 1e9, "bps-total-max-length": 1e7 };
    refuse(long, "burst length too high for this burst rate");
  });
});
