/** What every node must do, whatever it is made of. Each implementation runs this suite. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { BlockError } from "../../../engine/block/errors.ts";
import type { BlockNode } from "../../../engine/block/node.ts";
import { noise, sameBytes } from "../../support/images.ts";

/** Makes a node of the given size, filled with zeros. */
export interface NodeMaker {
  /** A writable node of `size` bytes of zeros. */
  make(size: number): Promise<BlockNode>;
  /** Removes what was made. */
  dispose(): void;
}

const SIZE = 300_001;

async function bytesOf(node: BlockNode, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await node.read(offset, bytes);
  return bytes;
}

/** What a node keeps and gives back. */
function bytesCases(at: { readonly node: BlockNode }): void {
  it("read returns what write wrote and leaves the rest", async () => {
    const bytes = noise(70_001);
    await at.node.write(65_535, bytes);
    assert(sameBytes(await bytesOf(at.node, 65_535, 70_001), bytes));
    assertEquals([...await bytesOf(at.node, 65_533, 2)], [0, 0]);
    assertEquals([...await bytesOf(at.node, 135_536, 2)], [0, 0]);
  });

  it("read and write reach the last byte and not one further", async () => {
    await at.node.write(SIZE - 1, new Uint8Array([7]));
    assertEquals([...await bytesOf(at.node, SIZE - 1, 1)], [7]);
    for (const [offset, length] of [[SIZE, 1], [SIZE - 1, 2], [-1, 1], [0.5, 1]] as const) {
      const bytes = new Uint8Array(length);
      const read = await assertRejects(() => at.node.read(offset, bytes), BlockError);
      const write = await assertRejects(() => at.node.write(offset, bytes), BlockError);
      const zero = await assertRejects(() => at.node.zero(offset, length), BlockError);
      assertEquals([read.code, write.code, zero.code], ["EINVAL", "EINVAL", "EINVAL"]);
    }
    await at.node.read(SIZE, new Uint8Array(0));
  });

  it("zero makes exactly its range zero", async () => {
    await at.node.write(0, noise(SIZE));
    await at.node.zero(1_000, 200_001);
    const bytes = await bytesOf(at.node, 0, SIZE);
    assert(sameBytes(bytes.subarray(0, 1_000), noise(SIZE).subarray(0, 1_000)));
    assert(bytes.subarray(1_000, 201_001).every((byte) => byte === 0));
    assert(sameBytes(bytes.subarray(201_001), noise(SIZE).subarray(201_001)));
  });
}

/** What a node says about itself, and how it ends. */
function shapeCases(at: { readonly node: BlockNode }): void {
  it("extent covers everything and never calls data zero", async () => {
    await at.node.write(131_072, noise(5));
    await at.node.write(SIZE - 1, noise(1));
    for (let offset = 0; offset < SIZE;) {
      const piece = await at.node.extent(offset, SIZE - offset);
      assertEquals(piece.offset, offset);
      assert(piece.length > 0 && offset + piece.length <= SIZE);
      if (piece.kind !== "data") {
        assert((await bytesOf(at.node, offset, piece.length)).every((byte) => byte === 0));
      }
      offset += piece.length;
    }
    assertEquals((await at.node.extent(131_072, 10)).kind, "data");
    assertEquals((await at.node.extent(131_070, 10)).length <= 10, true);
  });

  it("extent sees a write that came after the last look", async () => {
    await at.node.extent(0, SIZE);
    await at.node.write(10, noise(1));
    assertEquals((await at.node.extent(0, SIZE)).kind, "data");
  });

  it("measure says the size, flush and discard are accepted", async () => {
    await at.node.flush();
    await at.node.discard(0, 10);
    assertEquals(await at.node.measure(), SIZE);
    assertEquals(at.node.size, SIZE);
    assertEquals(at.node.isReadOnly, false);
  });

  it("truncate grows with zeros and shrinks", async () => {
    await at.node.truncate(SIZE + 100);
    assertEquals(at.node.size, SIZE + 100);
    assert((await bytesOf(at.node, SIZE, 100)).every((byte) => byte === 0));
    await at.node.truncate(5);
    assertEquals([at.node.size, await at.node.measure()], [5, 5]);
  });

  it("close may be called twice; afterwards nothing is read", async () => {
    await at.node.close();
    await at.node.close();
    const error = await assertRejects(() => at.node.read(0, new Uint8Array(1)), BlockError);
    assertEquals(error.code, "EBADF");
  });

  it("close waits for what is in flight", async () => {
    let isWritten = false;
    const write = at.node.write(0, noise(200_000)).then(() => isWritten = true);
    await at.node.close();
    assertEquals(isWritten, true);
    await write;
  });
}

/** Runs the suite on one kind of node. */
export function nodeConformance(name: string, start: () => NodeMaker): void {
  describe(`${name} as a node`, () => {
    let maker: NodeMaker;
    const at = {} as { node: BlockNode };
    beforeEach(async () => {
      maker = start();
      at.node = await maker.make(SIZE);
    });
    afterEach(async () => {
      await at.node.close();
      maker.dispose();
    });

    bytesCases(at);
    shapeCases(at);
  });
}
