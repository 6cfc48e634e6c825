import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { CopyOnRead } from "../../../../engine/block/filters/copy_on_read.ts";
import { FilterNode } from "../../../../engine/block/filters/filter_node.ts";
import { failOnce, FaultyNode } from "../../../support/faulty_node.ts";
import { noise, sameBytes } from "../../../support/images.ts";
import { MemoryNode } from "../memory_node.ts";
import { numbersFrom } from "../qcow2/seeded.ts";

const GRAIN = 4_096;
const SIZE = 16 * GRAIN + 100;

/** A layer over another node: a grain is its own once it was written. */
class Layer extends FilterNode {
  readonly own = new Set<number>();
  readonly #below: MemoryNode;

  constructor(top: MemoryNode, below: MemoryNode) {
    super(top);
    this.#below = below;
  }

  override async read(offset: number, bytes: Uint8Array): Promise<void> {
    for (const [at, length] of pieces(offset, bytes.byteLength)) {
      const part = bytes.subarray(at - offset, at - offset + length);
      const from = this.own.has(Math.floor(at / GRAIN)) ? this.child : this.#below;
      await from.read(at, part);
    }
  }

  /** As a format does it: what is not covered comes from below. */
  override async write(offset: number, bytes: Uint8Array): Promise<void> {
    for (const [at, length] of pieces(offset, bytes.byteLength)) {
      const grain = Math.floor(at / GRAIN);
      if (!this.own.has(grain)) {
        const whole = new Uint8Array(Math.min(GRAIN, SIZE - grain * GRAIN));
        await this.#below.read(grain * GRAIN, whole);
        await this.child.write(grain * GRAIN, whole);
        this.own.add(grain);
      }
      await this.child.write(at, bytes.subarray(at - offset, at - offset + length));
    }
  }
}

function* pieces(offset: number, length: number): Generator<readonly [number, number]> {
  for (let at = offset; at < offset + length;) {
    const end = Math.min(offset + length, (Math.floor(at / GRAIN) + 1) * GRAIN);
    yield [at, end - at];
    at = end;
  }
}

function make(turns: () => number = () => 1, fault = failOnce("read", 0)) {
  const model = noise(SIZE, 3);
  const below = new MemoryNode(model.slice(), { name: "below", turns });
  const faulty = new FaultyNode(below, fault) as unknown as MemoryNode;
  const top = new MemoryNode(new Uint8Array(SIZE), { name: "top", turns });
  const layer = new Layer(top, faulty);
  const filter = new CopyOnRead(layer, {
    cluster: GRAIN,
    look: async (offset, length) => {
      await Promise.resolve();
      const end = (Math.floor(offset / GRAIN) + 1) * GRAIN;
      const isOwn = layer.own.has(Math.floor(offset / GRAIN));
      return { length: Math.min(length, end - offset), kind: isOwn ? "none" : "data" };
    },
  });
  return { model, layer, filter };
}

async function bytesOf(node: CopyOnRead | Layer): Promise<Uint8Array> {
  const bytes = new Uint8Array(SIZE);
  await node.read(0, bytes);
  return bytes;
}

describe("CopyOnRead", () => {
  it("copies up whole clusters of what is read", async () => {
    const { model, layer, filter } = make();
    const bytes = new Uint8Array(10);
    await filter.read(GRAIN - 5, bytes);
    assert(sameBytes(bytes, model.subarray(GRAIN - 5, GRAIN + 5)));
    assertEquals([...layer.own], [0, 1]);
    filter.stop();
    await filter.read(3 * GRAIN, bytes);
    assertEquals(layer.own.size, 2);
  });

  it("pull() copies up to the end, and not twice", async () => {
    const { model, layer, filter } = make();
    await Promise.all([filter.pull(0, SIZE), filter.pull(5 * GRAIN, 9), filter.pull(1, SIZE - 1)]);
    await filter.idle();
    assertEquals(layer.own.size, 17);
    assert(sameBytes(await bytesOf(layer), model));
  });

  it("a failed copy is told to pull(), not to a reader", async () => {
    const { model, layer, filter } = make(() => 1, failOnce("read", 1));
    await assertRejects(() => filter.pull(0, 10), Error, "injected EIO");
    const again = make(() => 1, failOnce("read", 1));
    const bytes = new Uint8Array(10);
    await again.filter.read(0, bytes);
    assert(sameBytes(bytes, model.subarray(0, 10)));
    assertEquals([layer.own.size, again.layer.own.size], [0, 0]);
  });

  it("a write that races with copies is never copied over", async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const next = numbersFrom(seed);
      const { model, filter, layer } = make(() => next(6));
      const expected = model.slice();
      const pulls = (async () => {
        for (let at = 0; at < SIZE; at += 2 * GRAIN) await filter.pull(at, 2 * GRAIN);
      })();
      const writes = Array.from({ length: 12 }, async (_, index) => {
        for (let turn = next(60); turn > 0; turn--) await Promise.resolve();
        // Writers of their own places, so that their order does not matter.
        const offset = index * GRAIN + 100 * (index % 3);
        const bytes = noise(1_000, seed * 100 + index);
        expected.set(bytes, offset);
        await filter.write(offset, bytes);
        const found = new Uint8Array(1_000);
        await filter.read(offset, found);
        assert(sameBytes(found, bytes), `seed ${seed}, writer ${index}`);
      });
      await Promise.all([pulls, ...writes]);
      assert(sameBytes(await bytesOf(layer), expected), `seed ${seed}`);
    }
  });
});
