import { assertEquals } from "@std/assert";
import { beforeEach, describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { SLICE_NS, Throttle, wakesSleeper } from "../../../engine/core/mod.ts";

const MS = 1_000_000;
const MIB = 1_048_576;
const START = 5_000 * MS;

// Speed, length of one dispatch, and the wait that it costs at the start of a slice.
const FIRST: readonly (readonly [speed: number, length: number, waitNs: number])[] = [
  [0, 16 * MIB, 0],
  [65_536, 524_288, 8_000_732_488],
  [MIB, MIB, 1_000_005_722],
  [MIB, 104_856, 0],
  [MIB, 104_857, 100_000_000],
  [MIB, 104_858, 100_000_953],
  [1, 1, 100_000_000],
  [1, 524_288, 52_428_800_000_000],
  [9, 1, 100_000_000],
  [10, 0, 0],
  [10, 1, 100_000_000],
  [20, 1, 0],
  [20, 3, 150_000_000],
];

describe("Throttle.account", () => {
  for (const [speed, length, waitNs] of FIRST) {
    it(`makes ${length} bytes at ${speed} B/s wait ${waitNs} ns`, () => {
      const throttle = new Throttle();
      throttle.setSpeed(speed);
      assertEquals(throttle.account(START, length), waitNs);
    });
  }

  it("tells the speed that was set last", () => {
    const throttle = new Throttle();
    assertEquals(throttle.speed, 0);
    throttle.setSpeed(MIB);
    assertEquals(throttle.speed, MIB);
  });

  describe("at 1 MiB/s", () => {
    let throttle: Throttle;
    beforeEach(() => {
      throttle = new Throttle();
      throttle.setSpeed(MIB);
    });

    it("sums up what is dispatched within a slice", () => {
      assertEquals(throttle.account(START, 50_000), 0);
      assertEquals(throttle.account(START + 10 * MS, 50_000), 0);
      assertEquals(
        throttle.account(START + 20 * MS, 50_000),
        Math.floor(15e12 / 104_857) - 20 * MS,
      );
    });

    it("only asks when the length is 0", () => {
      const waitNs = throttle.account(START, MIB);
      assertEquals(throttle.account(START, 0), waitNs);
      assertEquals(throttle.account(START + 400 * MS, 0), waitNs - 400 * MS);
    });

    it("is clear after the wait, and not a nanosecond before", () => {
      const waitNs = throttle.account(START, MIB);
      assertEquals(throttle.account(START + waitNs - 1, 0), 1);
      assertEquals(throttle.account(START + waitNs, 0), 0);
      assertEquals(throttle.account(START + waitNs + 1, 0), 0);
    });

    it("forgets what was dispatched once a slice has passed", () => {
      throttle.account(START, 100_000);
      assertEquals(throttle.account(START + SLICE_NS + 1, 100_000), 0);
    });

    it("still counts it at the slice's very end", () => {
      throttle.account(START, 100_000);
      const waitNs = Math.floor(200_000 / 104_857 * SLICE_NS) - SLICE_NS;
      assertEquals(throttle.account(START + SLICE_NS, 100_000), waitNs);
    });

    it("keeps what was dispatched when the speed changes", () => {
      throttle.account(START, 100_000);
      throttle.setSpeed(MIB / 2);
      assertEquals(throttle.account(START, 0), Math.floor(100_000 / 52_428 * SLICE_NS));
      throttle.setSpeed(0);
      assertEquals(throttle.account(START, MIB), 0);
    });
  });

  it("keeps the mean speed within a slice's quota, whatever is dispatched", () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 2 * MIB }), { minLength: 2, maxLength: 40 });
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 1 << 30 }), lengths, (speed, chunks) => {
        const throttle = new Throttle();
        throttle.setSpeed(speed);
        let nowNs = START;
        let total = 0;
        for (const chunk of chunks) {
          nowNs += throttle.account(nowNs, chunk) + 1;
          total += chunk;
        }
        const quota = Math.floor(speed * 0.1);
        const slices = (nowNs - START) / SLICE_NS + 1;
        return total <= quota * slices * (1 + 1e-6) + quota;
      }),
      { numRuns: 300 },
    );
  });
});

// Speeds in bytes per second; 0 = unlimited.
const WAKES: readonly (readonly [before: number, after: number, wakes: boolean])[] = [
  [100, 200, true],
  [100, 100, false],
  [100, 99, false],
  [100, 0, true],
  [0, 0, true],
  [0, 1, true],
  [1, 2, true],
];

describe("wakesSleeper", () => {
  for (const [before, after, wakes] of WAKES) {
    it(`says ${wakes} for ${before} to ${after}`, () => {
      assertEquals(wakesSleeper(before, after), wakes);
    });
  }
});
