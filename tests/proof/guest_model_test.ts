import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { guestBytes, GuestModel } from "./driver_kill_loop/guest_model.ts";

const BEFORE = new Uint8Array(100).fill(7);

/** What is there after these writes, each at an offset with the seed of its bytes. */
function written(...writes: readonly (readonly [offset: number, length: number, seed: number])[]) {
  const bytes = BEFORE.slice();
  for (const [offset, length, seed] of writes) bytes.set(guestBytes(length, seed), offset);
  return bytes;
}

function modelAfter(...lines: readonly string[]): GuestModel {
  const model = new GuestModel(BEFORE);
  for (const line of lines) model.take(line);
  return model;
}

describe("GuestModel", () => {
  it("wants what was flushed, all of it", () => {
    const lines = ["will 10 5 1", "did", "will 30 5 0", "did", "flushed"];
    const all = written([10, 5, 1], [30, 5, 0]);
    assertEquals(modelAfter(...lines).look(all), undefined);
    assertEquals(modelAfter(...lines).look(written([10, 5, 1])), 30);
    assertEquals(modelAfter(...lines).look(BEFORE), 10);
  });

  it("lets what was acknowledged or begun be there, not be there, or be there in part", () => {
    for (const lines of [["will 10 5 1", "did"], ["will 10 5 1"]]) {
      const torn = written([10, 5, 1]);
      torn[12] = 7;
      for (const found of [BEFORE, written([10, 5, 1]), torn]) {
        assertEquals(modelAfter(...lines).look(found), undefined);
      }
    }
  });

  it("finds bytes that nobody wrote, beside a write and within it", () => {
    for (const at of [9, 12, 15]) {
      const found = written([10, 5, 1]);
      found[at] = 99;
      assertEquals(modelAfter("will 10 5 1", "did").look(found), at);
    }
    assertEquals(modelAfter().look(new Uint8Array(99).fill(7)), Infinity);
  });

  it("takes what it has seen for what stays", () => {
    const model = modelAfter("will 10 5 1");
    assertEquals(model.look(written([10, 5, 1])), undefined);
    assertEquals(model.look(BEFORE), 10);
  });
});
