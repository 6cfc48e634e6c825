import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { BitmapSet } from "../../../engine/block/bitmap_set.ts";
import { checkBitmap, DirtyBitmap } from "../../../engine/block/dirty_bitmap.ts";
import { BlockError } from "../../../engine/block/errors.ts";

const KIB = 1_024;

function areasOf(bitmap: DirtyBitmap): [number, number][] {
  return [...bitmap.areas()].map(({ offset, length }) => [offset, length]);
}

describe("DirtyBitmap", () => {
  it("takes powers of two from 512 to 2 GiB as granularity", () => {
    const make = (granularity: number) => () => new DirtyBitmap(KIB, { granularity });
    for (const wrong of [0, -512, 256, 513, 1_000, 1.5, Number.NaN]) {
      assertThrows(make(wrong), BlockError, "must be power of 2 and at least 512");
    }
    assertThrows(make(4_294_967_296), BlockError, "must be at most 2147483648");
    assertEquals(make(512)().granularity, 512);
    assertEquals(make(2_147_483_648)().granularity, 2_147_483_648);
    assertEquals(new DirtyBitmap(0).granularity, 65_536);
  });

  it("counts whole granules and cuts runs at the end", () => {
    const bitmap = new DirtyBitmap(1_000_000, { granularity: 65_536 });
    bitmap.set(65_535, 2);
    bitmap.set(999_999, 1);
    assertEquals(bitmap.dirtyBytes, 196_608);
    assertEquals(areasOf(bitmap), [[0, 131_072], [983_040, 16_960]]);
    assertEquals(bitmap.nextDirty(70_000, 1), { offset: 65_536, length: 65_536 });
    assertEquals([bitmap.nextClean(0), bitmap.nextClean(990_000)], [131_072, 1_000_000]);
    bitmap.reset(0, 1);
    assertEquals([bitmap.isDirty(65_535), bitmap.isDirty(65_536)], [false, true]);
    bitmap.clear();
    assertEquals([bitmap.dirtyBytes, bitmap.nextDirty(0)], [0, undefined]);
  });

  it("a frozen one is busy; its successor records with the state that it had", () => {
    const bitmap = new DirtyBitmap(10 * KIB, { name: "b0", granularity: 512 });
    bitmap.note(0, 1);
    const successor = bitmap.freeze();
    bitmap.note(KIB, 1);
    successor.note(2 * KIB, 1);
    assertEquals([areasOf(bitmap), areasOf(successor)], [[[0, 512]], [[2 * KIB, 512]]]);
    assertEquals([bitmap.isBusy, successor.isBusy, successor.name], [true, false, undefined]);
    const text = "Bitmap 'b0' is currently in use by another operation and cannot be used";
    assertThrows(() => bitmap.freeze(), BlockError, text);
    const silent = new DirtyBitmap(KIB, { isDisabled: true });
    assertEquals(silent.freeze().isRecording, false);
  });

  it("reclaim joins the bits, abdicate drops the old ones", () => {
    for (const isKept of [true, false]) {
      const bitmap = new DirtyBitmap(10 * KIB, { name: "b0", granularity: 512 });
      bitmap.note(0, 1);
      bitmap.freeze().note(2 * KIB, 1);
      const [other, left] = isKept ? [bitmap.reclaim(), bitmap] : [bitmap, bitmap.abdicate()];
      const want = isKept ? [[0, 512], [2 * KIB, 512]] : [[2 * KIB, 512]];
      assertEquals(areasOf(left), want as [number, number][]);
      assertEquals([left.name, left.isRecording, left.isBusy], ["b0", true, false]);
      assertEquals([other.name, left === other], [undefined, false]);
    }
  });

  it("merge takes another granularity, and refuses what QEMU refuses", () => {
    const fine = new DirtyBitmap(10 * KIB, { name: "fine", granularity: 512 });
    const rough = new DirtyBitmap(10 * KIB, { name: "rough", granularity: 4_096 });
    fine.set(4_096, 1);
    rough.merge(fine);
    assertEquals(areasOf(rough), [[4_096, 4_096]]);
    rough.set(9 * KIB, 1);
    fine.merge(rough);
    assertEquals(areasOf(fine), [[4_096, 6_144]]);
    assertThrows(
      () => fine.merge(new DirtyBitmap(KIB)),
      BlockError,
      "Bitmaps are of different sizes (destination size is 10240, source size is 1024) " +
        "and can't be merged",
    );
    rough.hold(true);
    assertThrows(() => fine.merge(rough), BlockError, "Bitmap 'rough' is currently in use");
    rough.hold(false);
    fine.isReadOnly = true;
    assertThrows(() => fine.merge(rough), BlockError, "Bitmap 'fine' is readonly and cannot be");
    checkBitmap(fine);
    fine.isInconsistent = true;
    assertThrows(() => checkBitmap(fine), BlockError, "Bitmap 'fine' is inconsistent and cannot");
    checkBitmap(fine, { allowInconsistent: true });
  });

  it("a copy has the bits and goes its own way", () => {
    const bitmap = new DirtyBitmap(10 * KIB, { granularity: 512 });
    bitmap.set(0, 1);
    const copy = bitmap.copy();
    bitmap.clear();
    assertEquals([areasOf(copy), copy.isRecording], [[[0, 512]], false]);
  });
});

describe("BitmapSet", () => {
  it("names bitmaps as QEMU does", () => {
    const set = new BitmapSet(KIB);
    assert(set.isEmpty);
    const bitmap = set.create({ name: "b0" });
    assertEquals([set.find("b0"), set.take("b0"), set.isEmpty], [bitmap, bitmap, false]);
    const refuse = (name: string, text: string) =>
      assertThrows(() => set.create({ name }), BlockError, text);
    refuse("b0", "Bitmap already exists: b0");
    refuse("", "Bitmap name cannot be empty");
    refuse("é".repeat(512), "Bitmap name too long");
    assertEquals(set.create({ name: "e".repeat(1_023) }).size, KIB);
    assertThrows(() => set.take("b1"), BlockError, "Dirty bitmap 'b1' not found");
    set.create();
    set.create();
  });

  it("a busy bitmap is not removed; its successor is told of writes", () => {
    const set = new BitmapSet(10 * KIB);
    const bitmap = set.create({ name: "b0", granularity: 512 });
    set.note(0, 1);
    const successor = set.freeze(bitmap);
    assertThrows(() => set.remove(bitmap), BlockError, "is currently in use");
    set.note(KIB, 1);
    assertEquals([bitmap.dirtyBytes, successor.dirtyBytes], [512, 512]);
    assertEquals(set.reclaim(bitmap), bitmap);
    assertEquals([bitmap.dirtyBytes, set.list()], [1_024, [bitmap]]);
    const next = set.freeze(bitmap);
    assertEquals([set.abdicate(bitmap), set.find("b0"), set.list()], [next, next, [next]]);
    set.remove(next);
    assert(set.isEmpty);
  });

  it("follows the size; what is new is clean", () => {
    const set = new BitmapSet(KIB);
    const bitmap = set.create({ granularity: 512 });
    set.resize(3 * KIB);
    assertEquals(areasOf(bitmap), []);
    bitmap.note(KIB, 2 * KIB);
    set.resize(1_600);
    assertEquals([areasOf(bitmap), bitmap.dirtyBytes], [[[KIB, 576]], 1_024]);
    assertEquals(set.create().size, 1_600);
  });

  it("hands on that it is kept with its name; an inconsistent one has no bits and no size", () => {
    const set = new BitmapSet(10 * KIB);
    const bitmap = set.create({ name: "b0", isPersistent: true });
    const next = set.freeze(bitmap);
    assertEquals([next.isPersistent, set.abdicate(bitmap)], [false, next]);
    assertEquals([bitmap.isPersistent, next.isPersistent, next.name], [false, true, "b0"]);
    const lost = set.create({ name: "lost", isInconsistent: true });
    assertEquals([lost.size, lost.isRecording, lost.isInconsistent], [0, false, true]);
    set.note(0, 10);
    set.resize(20 * KIB);
    assertEquals([lost.size, lost.dirtyBytes], [0, 0]);
  });
});
