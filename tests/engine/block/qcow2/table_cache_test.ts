import { assertEquals, assertStrictEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { TableCache } from "../../../../engine/block/qcow2/table_cache.ts";

const TABLE_BYTES = 512;

/** A cache over tables that are filled with their number, and the buffers that were ever filled. */
function cacheOf(keptMax: number) {
  const buffers = new Set<Uint8Array>();
  const load = async (index: number, _host: number, bytes: Uint8Array) => {
    buffers.add(bytes);
    await Promise.resolve();
    bytes.fill(index);
  };
  return { buffers, cache: new TableCache({ tableBytes: TABLE_BYTES, keptMax, load }) };
}

async function walk(cache: TableCache, from: number, to: number): Promise<void> {
  for (let index = from; index < to; index++) {
    const table = await cache.acquire(index, TABLE_BYTES * (index + 1));
    assertEquals(table.bytes, new Uint8Array(TABLE_BYTES).fill(index));
    cache.release(table);
  }
}

describe("TableCache", () => {
  it("acquire takes the bytes of dropped tables for others", async () => {
    const { buffers, cache } = cacheOf(4);
    await walk(cache, 0, 200);
    assertEquals(cache.count, 4);
    // Four are kept, and one is filled while none of them is dropped yet.
    assertEquals(buffers.size, 5);
  });

  it("acquire leaves the bytes of a pinned table alone", async () => {
    const { cache } = cacheOf(4);
    const pinned = await cache.acquire(7, TABLE_BYTES);
    await walk(cache, 20, 60);
    assertEquals(pinned.bytes, new Uint8Array(TABLE_BYTES).fill(7));
    assertStrictEquals(cache.peek(7), pinned);
    cache.release(pinned);
  });

  it("acquire leaves the bytes of a changed table alone", async () => {
    const { cache } = cacheOf(4);
    const changed = await cache.acquire(7, TABLE_BYTES);
    changed.bytes[3] = 99;
    cache.markChanged(changed, 3, 4);
    cache.release(changed);
    await walk(cache, 20, 60);
    assertStrictEquals(cache.peek(7), changed);
    assertEquals(changed.bytes[3], 99);
  });

  it("insert gives zeros whatever the buffer held before", async () => {
    const { cache } = cacheOf(4);
    await walk(cache, 1, 60);
    const table = cache.insert(0, TABLE_BYTES);
    assertEquals(table.bytes, new Uint8Array(TABLE_BYTES));
  });

  it("takeChanges keeps what it hands out until each change is settled", async () => {
    const { buffers, cache } = cacheOf(4);
    const table = cache.insert(9, TABLE_BYTES);
    table.bytes.fill(5);
    const [change] = cache.takeChanges();
    table.bytes.fill(6);
    cache.release(table);
    await walk(cache, 20, 60);
    assertEquals(change!.bytes, new Uint8Array(TABLE_BYTES).fill(5));
    cache.settle(change!, true);
    const before = buffers.size;
    await walk(cache, 20, 60);
    // The table and the copy of its change are there for others now.
    assertEquals(buffers.size, before + 2);
    await walk(cache, 20, 60);
    assertEquals(buffers.size, before + 2);
  });

  it("settle makes a change that was not written one again", () => {
    const { cache } = cacheOf(4);
    cache.release(cache.insert(9, TABLE_BYTES));
    const [change] = cache.takeChanges();
    assertEquals(cache.changedCount, 0);
    cache.settle(change!, false);
    assertEquals(cache.changedCount, 1);
  });
});
