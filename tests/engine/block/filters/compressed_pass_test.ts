/** Compressed writes through what may lie over an image. */

import { assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { BlockError } from "../../../../engine/block/errors.ts";
import { Edge } from "../../../../engine/block/edge.ts";
import { CopyOnRead } from "../../../../engine/block/filters/copy_on_read.ts";
import { FilterNode } from "../../../../engine/block/filters/filter_node.ts";
import { ThrottleGroup, ThrottleNode } from "../../../../engine/block/filters/throttle.ts";
import { TrackedNode } from "../../../../engine/block/filters/tracked_node.ts";
import { type BlockNode, writeCompressedTo } from "../../../../engine/block/node.ts";
import { checkQcow2, createQcow2 } from "../../../../engine/block/qcow2/mod.ts";
import { ImageFolder } from "../../../support/images.ts";

const CLUSTER = 65_536;

/** A filter that has never heard of compression. */
class Plain extends FilterNode {}

describe("writeCompressedTo()", () => {
  let folder: ImageFolder;
  beforeEach(() => {
    folder = new ImageFolder();
  });
  afterEach(() => folder.remove());

  async function over(filter: (node: BlockNode) => BlockNode) {
    const path = folder.file("a.qcow2");
    return { path, node: filter(await createQcow2(path, { size: 2 * CLUSTER })) };
  }

  const group = () =>
    new ThrottleGroup({}, { monotonicNs: () => 0, setTimer: () => ({ cancel() {} }) });
  const look = (offset: number, length: number) =>
    Promise.resolve({ offset, length, kind: "none" as const });
  const filters: { readonly [name: string]: (node: BlockNode) => BlockNode } = {
    Edge: (node) => new Edge(node),
    TrackedNode: (node) => new TrackedNode(node),
    ThrottleNode: (node) => new ThrottleNode(node, group()),
    CopyOnRead: (node) => new CopyOnRead(node, { look, cluster: CLUSTER }),
  };
  for (const [name, filter] of Object.entries(filters)) {
    it(`passes an ${name}, unless what is below cannot compress`, async () => {
      const { path, node } = await over(filter);
      await writeCompressedTo(node, CLUSTER, new Uint8Array(CLUSTER).fill(1));
      await node.close();
      assertEquals((await checkQcow2(path)).compressedClusters, 1);
    });

    it(`is refused by an ${name} over what cannot compress`, async () => {
      const { node } = await over((image) => filter(new Plain(image)));
      const act = () => writeCompressedTo(node, 0, new Uint8Array(CLUSTER));
      const failure = await assertRejects(act, BlockError);
      assertEquals(failure.code, "ENOTSUP");
      await node.close();
    });
  }

  it("is noted by the bitmaps of a node", async () => {
    const { node } = await over((image) => new TrackedNode(image));
    const bitmap = (node as TrackedNode).bitmaps.create({ granularity: CLUSTER });
    await writeCompressedTo(node, CLUSTER, new Uint8Array(CLUSTER).fill(1));
    assertEquals([...bitmap.areas()], [{ offset: CLUSTER, length: CLUSTER }]);
    await node.close();
  });
});
