/** Cases about writers: fencing, read-only opening, and what a commit refuses by itself. */
import { assert, assertEquals } from "@std/assert";
import {
  type CommitBatch,
  type EncodedRecord,
  encodeRecord,
  leafHash,
  type StoreBackend,
} from "../../../events/log/mod.ts";
import { all, codeOf, type ConformanceCase, noted, positions, to } from "./fixture.ts";

const tokens: ConformanceCase = {
  name: "token rises with every writer, and is 0 for a reader",
  async run(bench) {
    const seen: number[] = [];
    for (let i = 0; i < 3; i++) {
      const store = await bench.store();
      seen.push(store.token);
      await store.append(to("a", [i]));
      await store.close();
    }
    assert(seen[0]! >= 1 && seen[1]! > seen[0]! && seen[2]! > seen[1]!, seen.join(" "));
    const backend = await bench.readBackend();
    assertEquals([backend.token, backend.readOnly], [0, true]);
  },
};

const fencing: ConformanceCase = {
  name: "a writer that was taken over is refused, stops, and leaves nothing in the log",
  takesOver: true,
  async run(bench) {
    const old = await bench.store();
    await old.append(to("a", [1]));
    const next = await bench.rival();
    assert(next.token > old.token);
    await next.append(to("a", [2], 1));
    let reported: Error | undefined;
    old.onFailure((error) => reported = error);
    const queued = [old.append(to("b", [3])), old.append(to("c", [4]))];
    assertEquals(await Promise.all(queued.map(codeOf)), ["fenced", "fenced"]);
    assertEquals([old.failure, await codeOf(old.append(to("a", [5])))], [reported, "logClosed"]);
    assertEquals(await codeOf(old.putCursor("view", 1)), "fenced");
    assertEquals(
      await codeOf(old.putSnapshot({ name: "a", position: 1, foldVersion: 1, state: 1 })),
      "fenced",
    );
    await next.append(to("b", [6], "noStream"));
    assertEquals((await all(next.readAll())).map((event) => event.data.n), [1, 2, 6]);
  },
};

/** A record as the appender would make it. */
function record(position: number, stream: string, version: number): EncodedRecord {
  const time = 1_764_000_000_000;
  const { type, data, metadata } = noted(position);
  const text = encodeRecord({ position, stream, version, type, schema: 1, time, data, metadata });
  return { position, stream, version, type, time, text, leaf: leafHash(text) };
}

function batch(backend: StoreBackend, records: EncodedRecord[], commandId?: string): CommitBatch {
  const commands = commandId === undefined ? [] : [{
    id: commandId,
    firstPosition: records[0]!.position,
    lastPosition: records.at(-1)!.position,
  }];
  return { token: backend.token, records, subtrees: [], commands };
}

const rows: ConformanceCase = {
  name: "commit refuses positions and versions that are not the next, and stores nothing of them",
  async run(bench) {
    const backend = await bench.backend();
    await backend.commit(batch(backend, [record(1, "a", 1), record(2, "b", 1)], "first"));
    const hole = [record(4, "a", 2)];
    const repeat = [record(2, "a", 2)];
    const lateHole = [record(3, "a", 2), record(5, "a", 3)];
    const version = [record(3, "b", 2), record(4, "a", 1)];
    for (const records of [hole, repeat, lateHole, version]) {
      assertEquals(
        await codeOf(backend.commit(batch(backend, records, "second"))),
        "versionConflict",
      );
      assertEquals((await backend.end()).position, 2);
    }
    const reused = batch(backend, [record(3, "a", 2)], "first");
    assertEquals(await codeOf(backend.commit(reused)), "commandReused");
    const state = [
      await backend.end(),
      await backend.streamVersion("a"),
      await backend.leaves(1, 9),
    ];
    const leaves = [record(1, "a", 1).leaf, record(2, "b", 1).leaf];
    assertEquals(state, [{ position: 2, time: 1_764_000_000_000 }, 1, leaves]);
    assertEquals(await backend.command("second"), undefined);
    await backend.commit(batch(backend, [record(3, "a", 2)], "second"));
    assertEquals((await backend.command("second"))?.firstPosition, 3);
  },
};

const stale: ConformanceCase = {
  name: "commit refuses a token that is older than the newest",
  async run(bench) {
    const first = await bench.backend();
    await first.commit(batch(first, [record(1, "a", 1)]));
    await first.close();
    const second = await bench.backend();
    const old = { ...batch(second, [record(2, "a", 2)]), token: second.token - 1 };
    assertEquals(await codeOf(second.commit(old)), "fenced");
    assertEquals((await second.end()).position, 1);
    await second.commit({ ...old, token: second.token });
    assertEquals((await second.end()).position, 2);
  },
};

const readOnly: ConformanceCase = {
  name: "a reader sees commits at once, refuses to write, and outlives the writer",
  async run(bench) {
    const store = await bench.store();
    await store.append(to("a", [1]));
    const reader = await bench.reader();
    const backend = await bench.readBackend();
    assertEquals(positions(await all(reader.readAll())), [1]);
    await store.append(to("a", [2]));
    assertEquals(positions(await all(reader.readAll())), [1, 2]);
    const writes = [
      codeOf(backend.commit(batch(backend, [record(3, "a", 3)]))),
      codeOf(backend.putCursor("view", 1)),
      codeOf(backend.putSnapshot({ name: "a", position: 1, foldVersion: 1, state: 1 })),
    ];
    assertEquals(await Promise.all(writes), Array(3).fill("logReadOnly"));
    await store.close();
    assertEquals(positions(await all(reader.readStream("a"))), [1, 2]);
    assertEquals((await reader.end()).position, 2);
  },
};

/** All cases about writers. */
export const WRITER_CASES: readonly ConformanceCase[] = [
  tokens,
  fencing,
  rows,
  stale,
  readOnly,
];
