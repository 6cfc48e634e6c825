import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import fc from "fast-check";
import { DirtyMap } from "../../../engine/block/dirty_map.ts";

/** The same with a set of cluster numbers. */
function areasOf(marked: ReadonlySet<number>, size: number, cluster: number): [number, number][] {
  const areas: [number, number][] = [];
  for (let index = 0; index * cluster < size; index++) {
    if (!marked.has(index)) continue;
    const end = Math.min(size, (index + 1) * cluster);
    const last = areas.at(-1);
    if (last !== undefined && last[0] + last[1] === index * cluster) last[1] = end - last[0];
    else areas.push([index * cluster, end - index * cluster]);
  }
  return areas;
}

describe("DirtyMap", () => {
  it("agrees with a plain set of clusters after any marks and clears", () => {
    const change = fc.tuple(fc.boolean(), fc.nat(20_000), fc.nat(9_000));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 20_000 }), fc.array(change), (size, changes) => {
        const cluster = 64;
        const map = new DirtyMap(size, cluster);
        const model = new Set<number>();
        for (const [isMark, start, wanted] of changes) {
          const offset = Math.min(start, size);
          const length = Math.min(wanted, size - offset);
          if (isMark) map.mark(offset, length);
          else map.clear(offset, length);
          if (length === 0) continue;
          const last = Math.floor((offset + length - 1) / cluster);
          for (let index = Math.floor(offset / cluster); index <= last; index++) {
            if (isMark) model.add(index);
            else model.delete(index);
          }
        }
        const areas = [...map.areas()].map(({ offset, length }) => [offset, length]);
        assertEquals(areas, areasOf(model, size, cluster));
        assertEquals(map.markedBytes, model.size * cluster);
      }),
    );
  });

  it("next cuts at the limit, starts at or after the offset, and ends with the image", () => {
    const map = new DirtyMap(1_000, 64);
    map.mark(0, 1_000);
    assertEquals(map.next(70, 128), { offset: 64, length: 128 });
    assertEquals(map.next(950, 1_000), { offset: 896, length: 104 });
    assertEquals(map.next(1_000, 64), { offset: 960, length: 40 });
    map.clearAll();
    assertEquals([map.next(0, 64), map.markedBytes], [undefined, 0]);
  });
});
