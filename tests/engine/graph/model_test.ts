import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { JoblogError } from "../../../events/log/errors.ts";
import { evolveGraph, INITIAL_GRAPH } from "../../../events/job/mod.ts";
import { FilterNode } from "../../../engine/block/filters/filter_node.ts";
import type { NodeSession } from "../../../engine/graph/mod.ts";
import { type Bench, qcow2, raw, withBench } from "./graph_bench.ts";

class Plain extends FilterNode {}

/** Numbers from a seed. Source: Marsaglia's xorshift with 32 bits. */
function chance(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const NAMES = ["a", "b", "top", "mid", "base", "x", "y"] as const;

/** One random act on the graph; most are refused, which must change nothing. */
async function act(
  bench: Bench,
  sessions: Map<string, NodeSession>,
  random: (below: number) => number,
): Promise<unknown> {
  const { graph } = bench;
  const name = NAMES[random(NAMES.length)]!;
  const other = NAMES[random(NAMES.length)]!;
  const runId = String(random(3));
  const session = sessions.get(runId) ?? bench.session(runId);
  sessions.set(runId, session);
  const nodes = bench.head.nodes;
  const any = nodes[random(nodes.length || 1)]?.name ?? name;
  switch (random(14)) {
    case 0:
      return await graph.add(random(2) === 0 ? raw(name, "a.raw") : qcow2("top"));
    case 1:
      return await graph.add({ driver: "raw", "node-name": name, file: other });
    case 2:
      return await graph.add(qcow2("mid", { backing: random(2) === 0 ? other : null }));
    case 3:
      return await graph.remove(any);
    case 4: {
      const options = { driver: "raw", "node-name": name, "read-only": random(2) === 0 };
      const file = bench.graph.view.node(name)?.children["file"] ?? other;
      return await graph.reopen([{ ...options, file }]);
    }
    case 5:
      return await graph.bitmap("add", { node: any, bitmap: `map${random(2)}` });
    case 6: {
      const verbs = ["remove", "clear", "enable", "disable"] as const;
      return await graph.bitmap(verbs[random(4)]!, { node: any, bitmap: `map${random(2)}` });
    }
    case 7: {
      const make = (child: FilterNode["child"]) => new Plain(child);
      return await session.insertFilter({ above: any, driver: "copy-on-read", make });
    }
    case 8:
      return await session.resolve(random(2) === 0 ? "b.raw" : "top.qcow2", { readOnly: true });
    case 9:
      return await session.replace(any, name);
    case 10:
      return await session.setBacking(any, random(3) === 0 ? null : other);
    case 11:
      sessions.delete(runId);
      return await session.release();
    case 12: {
      const guest = graph.writer(any);
      await guest.write(0, new Uint8Array(512));
      return random(2) === 0 ? await guest.close() : undefined;
    }
    default:
      sessions.clear();
      return await bench.restart();
  }
}

function assertEqual(bench: Bench): void {
  assertEquals(bench.live(), bench.recorded());
  const folded = bench.changes.reduce(
    (graph, change, index) =>
      evolveGraph(graph, { ...change, position: index + 1, version: index + 1 }),
    INITIAL_GRAPH,
  );
  assertEquals(folded, bench.head);
  for (const { name, missing, bitmaps } of bench.head.nodes) {
    if (missing !== null) continue;
    const there = bench.graph.live.get(name)!.bitmaps.list().map((bitmap) => bitmap.name);
    const recorded = bitmaps.filter(({ isLost }) => !isLost).map((bitmap) => bitmap.name);
    assertEquals(there.sort(), recorded.sort());
  }
}

describe("Graph", () => {
  for (const seed of [3, 9, 17, 21, 2_026, 40_001]) {
    it(`is what its record folds to after each of 150 random acts (seed ${seed})`, () =>
      withBench(async (bench) => {
        const random = chance(seed);
        const sessions = new Map<string, NodeSession>();
        let done = 0;
        for (let count = 0; count < 150; count++) {
          try {
            await act(bench, sessions, random);
            done += 1;
          } catch (error) {
            // A refusal is an answer; a history that does not fold is a fault.
            const isAnswer = error instanceof JoblogError && error.code !== "forbiddenGraphChange";
            if (!isAnswer) throw error;
          }
          assertEqual(bench);
        }
        assert(done > 20, `only ${done} acts were done`);
      }));
  }
});
