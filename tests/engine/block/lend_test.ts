import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { DirtyMap } from "../../../engine/block/dirty_map.ts";
import { BlockCopy } from "../../../engine/block/block_copy.ts";
import { Edge } from "../../../engine/block/edge.ts";
import { BlockError } from "../../../engine/block/errors.ts";
import { FileNode } from "../../../engine/block/file_node.ts";
import { CopyBeforeWrite } from "../../../engine/block/filters/copy_before_write.ts";
import { MirrorTop } from "../../../engine/block/filters/mirror_top.ts";
import { TrackedNode } from "../../../engine/block/filters/tracked_node.ts";
import { MirrorState } from "../../../engine/block/mirror_state.ts";
import type { BlockNode } from "../../../engine/block/node.ts";
import { createQcow2, openQcow2, type Qcow2Node } from "../../../engine/block/qcow2/mod.ts";
import { RawNode } from "../../../engine/block/raw.ts";
import { ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { MemoryNode } from "./memory_node.ts";
import { numbersFrom } from "./qcow2/seeded.ts";
import { bytesOf } from "./qcow2/qemu.ts";

const SIZE = 700_001;

describe("FileNode.copyRange() seeing through", () => {
  let folder: ImageFolder;
  let target: FileNode;
  beforeEach(async () => {
    folder = new ImageFolder();
    target = await FileNode.open(folder.file("target"), { create: "exclusive" });
    await target.truncate(SIZE);
  });
  afterEach(async () => {
    await target.close();
    folder.remove();
  });

  async function raw(name: string, seed: number): Promise<FileNode> {
    folder.write(name, noise(SIZE, seed));
    return await FileNode.open(folder.file(name));
  }

  it("copies from edges and filters that do not care who reads", async () => {
    const file = await raw("source", 1);
    const other = new MemoryNode(new Uint8Array(SIZE));
    const copy = new BlockCopy({
      source: file,
      target: other,
      cluster: 65_536,
      pending: new DirtyMap(SIZE, 65_536),
    });
    const mirror = new MirrorState({ target: other, size: SIZE, granularity: 65_536 });
    const layers: readonly ((below: BlockNode) => BlockNode)[] = [
      (below) => new Edge(below),
      (below) => new RawNode(below),
      (below) => new TrackedNode(below),
      (below) => new CopyBeforeWrite(below, { copy }),
      (below) => new MirrorTop(below, mirror),
    ];
    const source = layers.reduce((below, layer) => layer(below), file as BlockNode);
    await target.copyRange(source, 3, 5, 600_000);
    const copied = folder.read("target").subarray(5, 600_005);
    assert(sameBytes(copied, noise(SIZE).subarray(3, 600_003)));
    await file.close();
  });

  it("waits at a held edge and copies from what it leads to then", async () => {
    const [before, after] = [await raw("before", 1), await raw("after", 2)];
    const edge = new Edge(before);
    const replacing = edge.replace(after);
    const copying = target.copyRange(edge, 0, 0, SIZE);
    const drained = edge.drained(() => sameBytes(folder.read("target"), noise(SIZE, 2)));
    await Promise.all([replacing, copying]);
    assertEquals(await drained, true);
    await Promise.all([before.close(), after.close()]);
  });

  it("copies any range of a chain of qcow2 images as reading it would", async () => {
    folder.write("base.raw", noise(SIZE - 100_000, 9));
    const overlay = { size: SIZE, backingFile: "base.raw", backingFormat: "raw" as const };
    const top = await createQcow2(folder.file("top.qcow2"), { ...overlay, clusterSize: 4_096 });
    const next = numbersFrom(7);
    for (let round = 0; round < 40; round++) {
      const length = 1 + next(20_000);
      const offset = next(SIZE - length);
      if (round % 4 === 0) await top.zero(offset, length);
      else await top.write(offset, noise(length, round));
    }
    await top.close();
    const source: Qcow2Node = await openQcow2(folder.file("top.qcow2"));
    const bytes = await bytesOf(source);
    for (let round = 0; round < 20; round++) {
      const length = 1 + next(SIZE);
      const from = next(SIZE - length + 1);
      const to = next(SIZE - length + 1);
      // A writer beside it must not make it wait for itself.
      const beside = source.write(from, bytes.subarray(from, from + length));
      await target.copyRange(new Edge(source), from, to, length);
      await beside;
      const copied = folder.read("target").subarray(to, to + length);
      assert(sameBytes(copied, bytes.subarray(from, from + length)), `round ${round}`);
    }
    await source.close();
  });

  it("an overlay shows zeros behind the end of its backing file", async () => {
    folder.write("base.raw", noise(SIZE - 100_000, 9));
    const overlay = { size: SIZE, backingFile: "base.raw", backingFormat: "raw" as const };
    const source = await createQcow2(folder.file("top.qcow2"), overlay);
    await target.write(0, noise(SIZE));
    await target.copyRange(source, 0, 0, SIZE);
    const want = new Uint8Array(SIZE);
    want.set(noise(SIZE - 100_000, 9));
    assert(sameBytes(folder.read("target"), want));
    await source.close();
  });

  it("refuses what does not lie inside", async () => {
    const edge = new Edge(await raw("source", 1));
    const act = async () => await target.copyRange(edge, 1, 0, SIZE);
    await assertRejects(act, BlockError, `it has ${SIZE} bytes`);
    await edge.close();
  });
});
