import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { Edge } from "../../../../engine/block/edge.ts";
import { BlockError } from "../../../../engine/block/errors.ts";
import { FileNode } from "../../../../engine/block/file_node.ts";
import { TrackedNode } from "../../../../engine/block/filters/tracked_node.ts";
import { ImageFolder, noise } from "../../../support/images.ts";
import { MemoryNode } from "../memory_node.ts";
import { nodeConformance } from "../node_conformance.ts";
import { numbersFrom } from "../qcow2/seeded.ts";

nodeConformance("TrackedNode", () => {
  const folder = new ImageFolder();
  return {
    async make(size) {
      const node = await FileNode.open(folder.file("a.raw"), { create: "exclusive" });
      await node.truncate(size);
      return new TrackedNode(node);
    },
    dispose: () => folder.remove(),
  };
});

describe("TrackedNode", () => {
  it("notes writes, zeros, discards and copies, and no reads", async () => {
    const folder = new ImageFolder();
    folder.write("a", noise(10_000));
    folder.write("b", noise(10_000));
    const source = await FileNode.open(folder.file("b"), { readOnly: true });
    const node = new TrackedNode(await FileNode.open(folder.file("a")));
    const bitmap = node.bitmaps.create({ granularity: 512 });
    await node.read(0, new Uint8Array(10_000));
    assertEquals(bitmap.dirtyBytes, 0);
    await node.write(0, noise(1));
    await node.zero(1_024, 1);
    await node.discard(2_048, 1);
    await node.copyRange(source, 0, 3_072, 1);
    await assertRejects(() => node.write(9_999, noise(2)), BlockError);
    const areas = [...bitmap.areas()].map(({ offset }) => offset);
    assertEquals(areas, [0, 1_024, 2_048, 3_072]);
    await node.truncate(11_000);
    assert(!bitmap.isDirty(10_500), "what an image grows by is as nobody wrote it, as in QEMU");
    await node.write(10_500, noise(1));
    assert(bitmap.isDirty(10_500));
    await Promise.all([node.close(), source.close()]);
    folder.remove();
  });

  it("notes when the write has settled, also if it failed", async () => {
    const node = new TrackedNode(
      new MemoryNode(new Uint8Array(1_024), {
        before: () => {
          throw new Error("broken");
        },
      }),
    );
    const bitmap = node.bitmaps.create({ granularity: 512 });
    const write = node.write(0, noise(1));
    assertEquals(bitmap.dirtyBytes, 0);
    await assertRejects(() => write, Error, "broken");
    assertEquals(bitmap.dirtyBytes, 512);
  });

  it("a bitmap put in at a drained moment sees just what comes after", async () => {
    for (let seed = 0; seed < 20; seed++) {
      const next = numbersFrom(seed);
      const memory = new MemoryNode(new Uint8Array(64 * 512), { turns: () => next(5) });
      const node = new TrackedNode(memory);
      const edge = new Edge(node);
      const writes: Promise<unknown>[] = [];
      const expected = new Set<number>();
      const moment = next(60);
      let snapshot = memory.bytes;
      let bitmap = node.bitmaps.create({ granularity: 512, isDisabled: true });
      for (let index = 0; index < 60; index++) {
        if (index === moment) {
          writes.push(edge.drained(() => {
            bitmap = node.bitmaps.create({ granularity: 512 });
            snapshot = memory.bytes.slice();
          }));
        }
        const granule = next(64);
        if (index >= moment) expected.add(granule);
        writes.push(edge.write(granule * 512, new Uint8Array([index + 1])));
        for (let turn = next(5); turn > 0; turn--) await Promise.resolve();
      }
      await Promise.all(writes);
      for (let granule = 0; granule < 64; granule++) {
        assertEquals(bitmap.isDirty(granule * 512), expected.has(granule), `seed ${seed}`);
        if (!expected.has(granule)) {
          assertEquals(memory.bytes[granule * 512], snapshot[granule * 512]);
        }
      }
    }
  });
});
