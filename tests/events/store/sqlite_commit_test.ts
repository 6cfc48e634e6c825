import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { assertEquals, assertThrows } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import type { PageQuery, StoreBackend } from "../../../events/log/backend.ts";
import { NAME_KEYS_MAX } from "../../../events/store/sqlite/name_keys.ts";
import { APPEND_ONLY_TABLES } from "../../../events/store/sql/mod.ts";
import { batch, failure, LogFolder, record, records } from "./log_folder.ts";

const NOTHING = "0".repeat(64);

describe("the SQLite backend", () => {
  let logs: LogFolder;
  let backend: StoreBackend;

  beforeEach(async () => {
    logs = new LogFolder();
    backend = await logs.open();
  });

  afterEach(() => logs.remove());

  /** Positions of one page. */
  async function positions(query: Partial<PageQuery>): Promise<readonly number[]> {
    const whole = { direction: "forwards", from: 1, to: 1_000_000, limit: 1_000 } as const;
    return (await backend.readPage({ ...whole, ...query })).map((row) => row.position);
  }

  it("refuses UPDATE and DELETE on every table of the record", async () => {
    await backend.commit(batch(backend, records(1, 3), {
      subtrees: [{ level: 1, index: 0, hash: NOTHING }],
      commands: [{ id: "c1", firstPosition: 1, lastPosition: 3 }],
    }));
    const other = new DatabaseSync(logs.path());
    try {
      for (const table of APPEND_ONLY_TABLES) {
        const column = other.prepare(`pragma table_info(${table})`).get()!["name"];
        assertThrows(
          () => other.exec(`update ${table} set ${column} = ${column}`),
          Error,
          `${table} is append-only: update refused`,
        );
        assertThrows(
          () => other.exec(`delete from ${table}`),
          Error,
          `${table} is append-only: delete refused`,
        );
      }
    } finally {
      other.close();
    }
    assertEquals(await positions({}), [1, 2, 3]);
  });

  it("refuses a stale token inside the commit", async () => {
    await backend.commit(batch(backend, records(1, 1)));
    const other = new DatabaseSync(logs.path());
    other.exec("update meta set value = '2' where name = 'token'");
    other.close();
    const error = await failure(backend.commit(batch(backend, records(2, 2))));
    assertEquals([error.code, error.expected, error.actual], ["fenced", 2, 1]);
    assertEquals((await failure(backend.putCursor("p", 1))).code, "fenced");
    assertEquals([(await backend.end()).position, await backend.cursor("p")], [1, undefined]);
  });

  it("refuses records that are not at the next position and version, or have a hole", async () => {
    await backend.commit(batch(backend, records(1, 2)));
    for (const first of [1, 2, 4]) {
      const error = await failure(backend.commit(batch(backend, records(first, first))));
      assertEquals([error.code, error.expected, error.actual], ["versionConflict", 3, first]);
    }
    const holed = [record(3, "a", 3), record(5, "a", 4)];
    assertEquals((await failure(backend.commit(batch(backend, holed)))).code, "versionConflict");
    for (const version of [1, 2, 4]) {
      const error = await failure(backend.commit(batch(backend, [record(3, "a", version)])));
      assertEquals([error.code, error.expected, error.actual], ["versionConflict", 3, version]);
    }
    assertEquals(await positions({}), [1, 2]);
  });

  it("leaves no trace of a failed batch, its new names included", async () => {
    await backend.commit(batch(backend, [record(1, "a", 1)]));
    const bad = [record(2, "lost", 1, "Lost"), record(3, "a", 1)];
    const commands = [{ id: "c", firstPosition: 2, lastPosition: 3 }];
    const error = await failure(backend.commit(batch(backend, bad, { commands })));
    assertEquals(error.code, "versionConflict");
    assertEquals(await backend.streamNames("", "", 10), ["a"]);
    assertEquals(await backend.command("c"), undefined);

    await backend.commit(batch(backend, [record(2, "kept", 1, "Kept"), record(3, "lost", 1)]));
    const rows = await backend.readPage({ direction: "forwards", from: 1, to: 9, limit: 9 });
    assertEquals(
      rows.map((row) => [row.stream, row.type]),
      [["a", "Tested"], ["kept", "Kept"], ["lost", "Tested"]],
    );
  });

  it("refuses a command id that is known, with the whole batch", async () => {
    const commands = [{ id: "c", firstPosition: 1, lastPosition: 1 }];
    await backend.commit(batch(backend, records(1, 1), { commands }));
    const again = await failure(backend.commit(batch(backend, records(2, 2), { commands })));
    assertEquals(again.code, "commandReused");
    assertEquals((await backend.end()).position, 1);
  });

  it("gives names their keys again after they left the bounded cache", async () => {
    const count = NAME_KEYS_MAX + 10;
    const rows = Array.from({ length: count }, (_, i) => record(i + 1, `s${i}`, 1));
    await backend.commit(batch(backend, rows));
    await backend.commit(batch(backend, [record(count + 1, "s0", 2), record(count + 2, "s9", 2)]));
    assertEquals(await positions({ stream: "s0" }), [1, count + 1]);
    assertEquals(await positions({ stream: "s9" }), [10, count + 2]);
  });

  it("pages by stream and position in both directions", async () => {
    const rows = Array.from(
      { length: 60 },
      (_, i) => record(i + 1, `s${i % 3}`, Math.floor(i / 3) + 1, i % 2 === 0 ? "Even" : "Odd"),
    );
    await backend.commit(batch(backend, rows));
    const all = rows.map((row) => row.position);
    for (const [from, to] of [[1, 60], [2, 59], [3, 3], [17, 44], [60, 60], [61, 99]] as const) {
      const within = all.filter((position) => position >= from && position <= to);
      const ofStream = within.filter((position) => (position - 1) % 3 === 1);
      const even = ofStream.filter((position) => position % 2 === 1);
      const backwards = { direction: "backwards", from: to, to: from } as const;
      assertEquals(await positions({ from, to }), within);
      assertEquals(await positions(backwards), within.toReversed());
      assertEquals(await positions({ from, to, stream: "s1" }), ofStream);
      assertEquals(await positions({ ...backwards, stream: "s1" }), ofStream.toReversed());
      assertEquals(await positions({ from, to, stream: "s1", types: ["Even", "No"] }), even);
      assertEquals(await positions({ from, to, types: ["Odd", "Even"] }), within);
    }
    assertEquals(await positions({ stream: "none" }), []);
  });

  it("finds types through the merged indexes and, when they are many, by a scan", async () => {
    const rows = Array.from({ length: 80 }, (_, i) => record(i + 1, "a", i + 1, `T${i % 40}`));
    await backend.commit(batch(backend, rows));
    const few = ["T3", "T7", "T3"];
    const many = Array.from({ length: 38 }, (_, i) => `T${i + 2}`);
    const expected = (types: readonly string[]) =>
      rows.filter((row) => types.includes(row.type)).map((row) => row.position);
    for (const types of [few, many]) {
      assertEquals(await positions({ types }), expected(types));
      const backwards = { direction: "backwards", from: 80, to: 1, types, limit: 3 } as const;
      assertEquals(await positions(backwards), expected(types).toReversed().slice(0, 3));
      assertEquals(
        await positions({ types, from: 30, to: 60 }),
        expected(types).filter((p) => p >= 30 && p <= 60),
      );
    }
    assertEquals(await positions({ types: [] }), []);
  });

  it("appends while a reader of the same process is in the middle of its pages", async () => {
    await backend.commit(batch(backend, records(1, 100)));
    const reader = await logs.open({ readOnly: true });
    const query = { direction: "forwards", from: 1, to: 200, limit: 50 } as const;
    const first = reader.readPage(query);
    const append = backend.commit(batch(backend, records(101, 150)));
    assertEquals((await first).length, 50);
    await append;
    const rest = await reader.readPage({ ...query, from: 51, limit: 100 });
    assertEquals(rest.at(-1)?.position, 150);
  });
});
