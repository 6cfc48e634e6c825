import { assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { BlockError } from "../../../engine/block/errors.ts";
import { NullNode } from "../../../engine/block/null_node.ts";

describe("NullNode", () => {
  it("reads as zeros whatever was written", async () => {
    const node = new NullNode({ size: 100 });
    await node.write(0, new Uint8Array(100).fill(1));
    await Promise.all([node.zero(0, 50), node.discard(50, 50), node.flush()]);
    const bytes = new Uint8Array(100).fill(7);
    await node.read(0, bytes);
    assertEquals(bytes, new Uint8Array(100));
    assertEquals([await node.measure(), node.isReadOnly, node.name], [100, false, "null-co://"]);
  });

  it("its map says zero only if it was asked to", async () => {
    assertEquals((await new NullNode().extent(5, 10)).kind, "data");
    const node = new NullNode({ readZeroes: true });
    assertEquals(await node.extent(5, 10), { offset: 5, length: 10, kind: "zero" });
    assertEquals(node.size, 1_073_741_824);
  });

  it("keeps to its range, its size and its mode", async () => {
    const node = new NullNode({ size: 10, readOnly: true, name: "none" });
    const refuse = async (act: Promise<unknown>, code: string) =>
      assertEquals((await assertRejects(() => act, BlockError)).code, code);
    await refuse(node.read(1, new Uint8Array(10)), "EINVAL");
    await refuse(node.write(0, new Uint8Array(1)), "EBADF");
    await refuse(node.truncate(), "ENOTSUP");
    assertThrows(() => new NullNode({ size: -1 }), BlockError, 'Cannot open "null-co://"');
    await node.close();
    await refuse(node.read(0, new Uint8Array(1)), "EBADF");
    assertNotEquals(new NullNode().identity, new NullNode().identity);
  });
});
