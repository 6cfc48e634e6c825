/** Cases about what is kept: reopening, tree hashes and proofs, snapshots, cursors. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import {
  EMPTY_ROOT,
  type EventReader,
  rootOf,
  verifyConsistency,
  verifyInclusion,
} from "../../../events/log/mod.ts";
import { all, codeOf, type ConformanceCase, positions, range, to } from "./fixture.ts";

const reopening: ConformanceCase = {
  name: "reopening finds every acknowledged event and goes on at the next position",
  async run(bench) {
    let store = await bench.store();
    const { logId } = store;
    let events = (await store.append(to("a", range(1, 10)))).events.slice();
    for (let round = 0; round < 4; round++) {
      await store.close();
      store = await bench.store();
      assertEquals(store.logId, logId);
      assertEquals(await all(store.readAll()), events);
      assertEquals(store.headPosition, events.length);
      const appends = range(1, 150).map((n) => store.append(to(`s${n % 4}`, [n])));
      const answers = await Promise.all(appends);
      events = [...events, ...answers.flatMap((answer) => answer.events)];
    }
    assertEquals(positions(events), range(1, 610));
    await store.close();
    const reader = await bench.reader();
    assertEquals(reader.logId, logId);
    assertEquals(await all(reader.readAll()), events);
    assertEquals(await reader.streamVersion("s1"), 38 * 4);
  },
};

/** Sizes around the edges of subtrees. */
const SIZES = [1, 2, 3, 255, 256, 257, 511, 512, 513, 600, 640];

const tree: ConformanceCase = {
  name: "root is the RFC 6962 root of the stored leaves at every size, across a reopening",
  async run(bench) {
    let store = await bench.store();
    assertEquals(await store.root(), EMPTY_ROOT);
    await store.append(to("a", range(1, 300)));
    await store.close();
    store = await bench.store();
    await Promise.all(range(1, 340).map((n) => store.append(to(`s${n % 9}`, [n]))));
    const leaves = (await all(store.readStored(1, 640))).map((row) => row.leaf);
    const reader = await bench.reader();
    for (const source of [store, reader] as EventReader[]) {
      for (const size of SIZES) {
        assertEquals(await source.root(size), rootOf(leaves.slice(0, size)), `size ${size}`);
      }
      assertEquals([await source.root(), await source.root(0)], [rootOf(leaves), EMPTY_ROOT]);
    }
  },
};

const proofs: ConformanceCase = {
  name: "proofs of inclusion and consistency verify, and only for what they were made",
  async run(bench) {
    const store = await bench.store();
    await store.append(to("a", range(1, 600)));
    const root = await store.root();
    const rows = await all(store.readStored(1, 600));
    for (const position of [1, 2, 255, 256, 257, 512, 599, 600]) {
      const proof = await store.inclusionProof(position);
      const claim = { leaf: rows[position - 1]!.leaf, index: position - 1, size: 600, root, proof };
      assert(verifyInclusion(claim), `position ${position}`);
      assert(!verifyInclusion({ ...claim, index: position % 600 }), `position ${position}`);
      assert(!verifyInclusion({ ...claim, leaf: rows[position % 600]!.leaf }));
    }
    for (const first of SIZES.filter((size) => size <= 600)) {
      const proof = await store.consistencyProof(first);
      const firstRoot = await store.root(first);
      const claim = { first, second: 600, firstRoot, secondRoot: root, proof };
      assert(verifyConsistency(claim), `size ${first}`);
      assert(!verifyConsistency({ ...claim, firstRoot: rows[0]!.leaf.replace(/^./, "g") }));
    }
    assertNotEquals(await store.root(599), root);
  },
};

const snapshots: ConformanceCase = {
  name: "snapshot gives the newest one of its fold version at a position or before",
  async run(bench) {
    let store = await bench.store();
    await store.append(to("a", range(1, 30)));
    const put = (position: number, foldVersion: number, name = "a") =>
      store.putSnapshot({
        name,
        position,
        foldVersion,
        state: { at: position, fold: foldVersion },
      });
    await put(20, 1);
    await put(10, 1);
    await put(15, 2);
    await put(5, 1, "other");
    assertEquals(await codeOf(put(31, 1)), "invalidArgument");
    for (const round of ["before", "after"]) {
      const at = async (foldVersion: number, position?: number, name = "a") =>
        (await store.snapshot(name, foldVersion, position))?.position;
      const found = [await at(1), await at(1, 20), await at(1, 19), await at(1, 9), await at(2)];
      assertEquals(found, [20, 20, 10, undefined, 15], round);
      assertEquals([await at(3), await at(1, 30, "other"), await at(1, 30, "none")], [
        undefined,
        5,
        undefined,
      ], round);
      assertEquals(await store.snapshot("a", 2), {
        name: "a",
        position: 15,
        foldVersion: 2,
        state: { at: 15, fold: 2 },
      });
      await store.close();
      store = await bench.store();
    }
    assertEquals((await store.end()).position, 30);
  },
};

const cursors: ConformanceCase = {
  name: "cursor gives the position and the state that were stored last, together",
  async run(bench) {
    let store = await bench.store();
    await store.append(to("a", range(1, 10)));
    assertEquals(await store.cursor("view"), undefined);
    await store.putCursor("view", 3, { list: [1, "é", null] });
    await store.putCursor("other", 0);
    assertEquals(await codeOf(store.putCursor("view", 11, [])), "invalidArgument");
    await store.close();
    store = await bench.store();
    assertEquals(await store.cursor("view"), { position: 3, state: { list: [1, "é", null] } });
    assertEquals(await store.cursor("other"), { position: 0, state: undefined });
    await store.putCursor("view", 7, null);
    assertEquals(await store.cursor("view"), { position: 7, state: null });
    await store.putCursor("view", 0);
    assertEquals(await store.cursor("view"), { position: 0, state: undefined });
    const reader = await bench.reader();
    assertEquals(await reader.cursor("other"), { position: 0, state: undefined });
  },
};

/** All cases about what is kept. */
export const KEEP_CASES: readonly ConformanceCase[] = [
  reopening,
  tree,
  proofs,
  snapshots,
  cursors,
];
