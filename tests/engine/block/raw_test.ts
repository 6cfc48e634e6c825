import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { BlockError } from "../../../engine/block/errors.ts";
import { FileNode } from "../../../engine/block/file_node.ts";
import { RawNode } from "../../../engine/block/raw.ts";
import { ImageFolder, noise } from "../../support/images.ts";
import { nodeConformance } from "./node_conformance.ts";

nodeConformance("RawNode with an offset", () => {
  const folder = new ImageFolder();
  return {
    async make(size) {
      const node = await FileNode.open(folder.file("a.raw"), { create: "exclusive" });
      await node.truncate(size + 1_000);
      return new RawNode(node, { offset: 1_000 });
    },
    dispose: () => folder.remove(),
  };
});

describe("RawNode", () => {
  it("shows its window only, and cannot be resized or reach out of it", async () => {
    const folder = new ImageFolder();
    folder.write("a", noise(100));
    const below = await FileNode.open(folder.file("a"));
    const node = new RawNode(below, { offset: 10, size: 20 });
    const bytes = new Uint8Array(20);
    await node.read(0, bytes);
    assertEquals([...bytes], [...noise(100).subarray(10, 30)]);
    await assertRejects(() => node.read(1, bytes), BlockError);
    await assertRejects(() => node.truncate(5), BlockError, "its window has a fixed size");
    assertEquals([node.size, await node.measure()], [20, 20]);
    assertThrows(() => new RawNode(below, { offset: 90, size: 11 }), BlockError);
    assertEquals(new RawNode(below).identity, below.identity);
    assertEquals(node.identity === below.identity, false);
    await node.close();
    folder.remove();
  });
});
