import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { BitSet } from "../../../engine/block/bit_set.ts";

/** The same, slowly. */
class PlainSet {
  bits: boolean[];
  constructor(length: number) {
    this.bits = Array.from({ length }, () => false);
  }
  find(from: number, isIn: boolean): number {
    const found = this.bits.findIndex((bit, index) => index >= from && bit === isIn);
    return found < 0 ? this.bits.length : found;
  }
  resize(length: number): void {
    this.bits = Array.from({ length }, (_, index) => this.bits[index] ?? false);
  }
}

const LENGTH_MAX = 5_000;

const step = fc.oneof(
  fc.record({
    kind: fc.constant("change" as const),
    first: fc.nat(LENGTH_MAX),
    count: fc.oneof(fc.nat(70), fc.nat(LENGTH_MAX)),
    isIn: fc.boolean(),
  }),
  fc.record({ kind: fc.constant("resize" as const), length: fc.nat(LENGTH_MAX) }),
  fc.record({ kind: fc.constant("clear" as const) }),
);

function assertSame(set: BitSet, plain: PlainSet, from: number): void {
  const { bits } = plain;
  assertEquals([set.length, set.count], [bits.length, bits.filter((bit) => bit).length]);
  assertEquals(set.nextIn(from), Math.max(plain.find(from, true), 0));
  assertEquals(set.nextOut(from), plain.find(from, false));
  const held: number[] = [];
  for (let at = set.nextIn(0); at < set.length; at = set.nextIn(at + 1)) held.push(at);
  assertEquals(held, bits.flatMap((bit, index) => bit ? [index] : []));
  assertEquals(held.every((index) => set.has(index)), true);
}

describe("BitSet", () => {
  it("agrees with a plain array after any changes, resizes and searches", () => {
    fc.assert(
      fc.property(
        fc.nat(LENGTH_MAX),
        fc.array(step, { maxLength: 12 }),
        fc.nat(LENGTH_MAX),
        (length, steps, from) => {
          const [set, plain] = [new BitSet(length), new PlainSet(length)];
          for (const next of steps) {
            if (next.kind === "change") {
              const after = next.first + next.count;
              set.change(next.first, after, next.isIn);
              plain.bits.fill(next.isIn, next.first, after);
            } else if (next.kind === "resize") {
              set.resize(next.length);
              plain.resize(next.length);
            } else {
              set.clear();
              plain.bits.fill(false);
            }
            assertSame(set, plain, Math.min(from, plain.bits.length));
          }
          const other = new BitSet(plain.bits.length);
          other.change(from, from + 100, true);
          set.addAll(other);
          plain.bits.fill(true, from, from + 100);
          assertSame(set, plain, 0);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("finds the last of 16 Mi numbers, and the first gap behind them", () => {
    const set = new BitSet(16_777_216);
    set.change(16_777_215, 16_777_216, true);
    assertEquals(set.nextIn(0), 16_777_215);
    set.change(0, 16_777_216, true);
    assertEquals([set.count, set.nextOut(0)], [16_777_216, 16_777_216]);
    set.change(16_777_214, 16_777_215, false);
    assertEquals(set.nextOut(1), 16_777_214);
  });
});
