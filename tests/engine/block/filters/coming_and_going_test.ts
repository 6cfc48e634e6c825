/** Filters of every kind come and go under writers that know nothing of them. */

import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { BlockCopy } from "../../../../engine/block/block_copy.ts";
import { Edge } from "../../../../engine/block/edge.ts";
import { BlkdebugNode } from "../../../../engine/block/filters/blkdebug.ts";
import { CopyBeforeWrite } from "../../../../engine/block/filters/copy_before_write.ts";
import { MirrorTop } from "../../../../engine/block/filters/mirror_top.ts";
import { ThrottleGroup, ThrottleNode } from "../../../../engine/block/filters/throttle.ts";
import { TrackedNode } from "../../../../engine/block/filters/tracked_node.ts";
import { MirrorState } from "../../../../engine/block/mirror_state.ts";
import type { BlockNode } from "../../../../engine/block/node.ts";
import { noise, sameBytes } from "../../../support/images.ts";
import { MemoryNode } from "../memory_node.ts";
import { numbersFrom } from "../qcow2/seeded.ts";
import { runWriter, turns } from "./seeded_writer.ts";

const SIZE = 4_003;

/** Timers that fire in their order, a few turns later each. */
function turnTimers() {
  let nowNs = 0;
  const setTimer = (ms: number, callback: () => void) => {
    let isCancelled = false;
    turns(3).then(() => {
      nowNs += ms * 1e6;
      if (!isCancelled) callback();
    });
    return { cancel: () => void (isCancelled = true) };
  };
  return { monotonicNs: () => nowNs, setTimer };
}

/** What is to be equal at the end, and over what. */
interface Snapshot {
  readonly truth: Uint8Array;
  readonly filter: CopyBeforeWrite;
}

describe("filters under running writers", () => {
  it("come and go without a byte being lost, and snapshots stay whole", async () => {
    let snapshots = 0;
    for (let seed = 0; seed < 40; seed++) {
      const next = numbersFrom(seed);
      const disk = new MemoryNode(noise(SIZE), { name: "disk", turns: () => next(4) });
      const edge = new Edge(disk);
      const bed = { node: edge, model: noise(SIZE), next };
      const writers = [0, 1, 2].map((stripe) => runWriter(bed, stripe, 3, 150));
      const taken: Snapshot[] = [];
      const group = new ThrottleGroup({ "iops-total": 50 }, turnTimers());
      const memory = () => new MemoryNode(new Uint8Array(SIZE), { turns: () => next(3) });
      const kinds: readonly ((below: BlockNode) => BlockNode)[] = [
        (below) => new TrackedNode(below),
        (below) => new BlkdebugNode(below),
        (below) => new ThrottleNode(below, group),
        (below) => {
          const options = { target: memory(), size: SIZE, granularity: 512 };
          return new MirrorTop(below, new MirrorState({ ...options, copyMode: "write-blocking" }));
        },
        (below) => {
          const copy = new BlockCopy({ source: disk, target: memory(), cluster: 64 });
          const filter = new CopyBeforeWrite(below, { copy });
          taken.push({ truth: disk.bytes.slice(), filter });
          return filter;
        },
      ];
      for (let round = 0; round < 12; round++) {
        await turns(next(40));
        if (next(8) === 0) await edge.replace(disk);
        else await edge.replace((below) => kinds[next(kinds.length)]!(below));
        // Those that were taken away see no more writes, so that nothing holds for them.
        if (edge.child === disk) taken.length = 0;
      }
      await edge.drained(async (point) => {
        for (const { truth, filter } of taken) {
          await filter.copy.copyBeforeWrite(0, SIZE);
          const { target } = filter.copy;
          assert(target instanceof MemoryNode && sameBytes(target.bytes, truth), `seed ${seed}`);
          snapshots++;
        }
        point.replace(disk);
      });
      const failures = await Promise.all(writers);
      assertEquals(failures, [0, 0, 0]);
      assert(sameBytes(disk.bytes, bed.model), `seed ${seed}`);
    }
    assert(snapshots > 20, `only ${snapshots} snapshots`);
  });
});
