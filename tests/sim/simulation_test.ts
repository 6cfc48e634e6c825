import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Chance } from "./chance.ts";
import { simulate } from "./simulate.ts";

/**
 * Seeds and the roots of their logs, the same on every runtime. A change of what the engine records
 * changes them, and so does one of the simulator; `deno task sim --seed N --quiet` prints the new.
 */
const ROOTS: readonly (readonly [seed: number, root: string])[] = [
  [2, "53e42bf396f12e787f649a26b0d27a1e08851f392e1382f964166885ace92968"],
  [3, "e881763bb2308cc824f0193612170968b13ef9f1f84c45c7f157f94aa66d02e3"],
  [4, "f7e3fe5cc5b15a6f6302a5cc1482afae9ef18d187f90fcfa5debe3949c9dd045"],
  [6, "3b28ef4ccaba4b761599dbb6e77ac313d76edb99360647ef505df5ab1b6b65d3"],
  [17, "c6d7dfd0b53c73fa53de210a5b96570362cef1bda4a83dcce35aee00155987f2"],
  [42, "15b1688955b4769046bef96e5e495ae231b32e5e5c5b602454a56e2720d9e2da"],
  [903, "f25779bda496ef907b0f445a5569f6b2adb4343998147c1cd3d1f4411a4fe584"],
];

describe("simulate()", () => {
  for (const [seed, root] of ROOTS) {
    it(`gives seed ${seed} its root, on every runtime and each time`, async () => {
      const first = await simulate({ seed });
      const lines: string[] = [];
      const second = await simulate({ seed, tell: (line) => lines.push(line) });
      assertEquals([first.breach, first.root, second.root], [undefined, root, root]);
      assert(lines.length > first.tally["events"]!);
    });
  }

  it("keeps all promises in 40 worlds, with all that can happen in them", async () => {
    const tally: Record<string, number> = {};
    for (let seed = 500; seed < 540; seed++) {
      const result = await simulate({ seed });
      assertEquals([seed, result.breach], [seed, undefined]);
      for (const [what, n] of Object.entries(result.tally)) tally[what] = (tally[what] ?? 0) + n;
    }
    const never = Object.entries(tally).filter(([, count]) => count === 0);
    assertEquals(never, []);
  });

  it("makes the same run shorter by its actions", async () => {
    const [short, long] = await Promise.all([
      simulate({ seed: 3, actions: 10 }),
      simulate({ seed: 3, actions: 60 }),
    ]);
    assertEquals([short.actions, long.actions], [10, 60]);
    assert(short.tally["events"]! < long.tally["events"]!);
  });
});

describe("Chance", () => {
  it("draws the same from the same seed, another from another, and within its bounds", () => {
    const draw = (seed: number) => {
      const chance = new Chance(seed);
      return Array.from({ length: 50 }, () => chance.between(3, 9));
    };
    assertEquals(draw(7), draw(7));
    assert(String(draw(7)) !== String(draw(8)));
    assertEquals([...new Set(draw(1))].sort(), [3, 4, 5, 6, 7, 8, 9]);
  });
});
