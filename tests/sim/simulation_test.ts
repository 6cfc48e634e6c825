import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Chance } from "./chance.ts";
import { simulate } from "./simulate.ts";

/**
 * Seeds and the roots of their logs, the same on every runtime. A change of what the engine records
 * changes them, and so does one of the simulator; `deno task sim --seed N --quiet` prints the new.
 */
const ROOTS: readonly (readonly [seed: number, root: string])[] = [
  [2, "832676a0304fe4555280b0aa3c62953e513d96608019f70318614de52e268c91"],
  [3, "ecebf77e12c0f11574eaff405b4c5bef77bd2a2e3212cf00e17275fb02af49d9"],
  [4, "6531f517b11a60dca89f4b56fd7c6dbf5bba338fb78e6084743986391de92d72"],
  [6, "404593dfc9d6d080c3a3f4a0645e03023f574cef113a329c774a3315048af385"],
  [17, "ca016c8d3c180da2b2c9a447f8979164617c0b7dff62058f7990c89ab48765d8"],
  [42, "21d0ba11144f0e52bf41080388b4a3baf46f6518e0fd017f58a4025d7f8eda7b"],
  [903, "f2e5c601cf9a636f37b393a543d266e7b467b6c032eadd45f3e274781f00ece8"],
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
