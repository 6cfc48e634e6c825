import { assert, assertEquals } from "@std/assert";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { DatabaseSync } from "node:sqlite";
import { openEventReader, openEventStore } from "../../../events/log/mod.ts";
import { treeHead } from "../../../events/replay/mod.ts";
import { openSqliteLog } from "../../../events/store/sqlite/mod.ts";
import { ImageFolder } from "../../support/images.ts";
import { randomOf } from "../../support/random.ts";
import { digestOfRows, flippedByte } from "./byte_mutants.ts";
import { flipped } from "./cell_mutants.ts";
import { judge } from "./judge.ts";
import { keepOriginal, RowMutants } from "./row_mutants.ts";
import { Tally } from "./tally.ts";

/** How many bits differ. */
function distance(a: Uint8Array, b: Uint8Array): number {
  return a.reduce((sum, byte, i) => sum + (byte ^ b[i]!).toString(2).replaceAll("0", "").length, 0);
}

describe("the mutants of a log", () => {
  let folder: ImageFolder;
  let base: string;
  const size = 30;

  beforeEach(async () => {
    folder = new ImageFolder();
    base = folder.file("base.db");
    const store = await openEventStore(await openSqliteLog(base), { clock: { now: () => 5 } });
    const data = { actor: "ann", count: 1, windowMs: 60_000 };
    const event = { type: "CommandsThrottled", data, metadata: { actor: "e", via: "engine" } };
    const events = Array.from({ length: size }, () => event as typeof event & { metadata: never });
    await store.append({ streams: [{ stream: "engine", events }] });
    await store.close();
  });

  afterEach(() => folder.remove());

  async function headOf(path: string) {
    const reader = openEventReader(await openSqliteLog(path, { readOnly: true }));
    try {
      return await treeHead(reader);
    } finally {
      await reader.close();
    }
  }

  it("flipped changes one bit and leaves a text a text", () => {
    const random = randomOf(1);
    for (let nth = 0; nth < 50; nth++) {
      const bytes = new Uint8Array([1, 2, 3, 255]);
      assertEquals(distance(bytes, flipped(bytes, random) as Uint8Array), 1);
      const text = String(flipped("backup", random));
      assertEquals(text.length, 6);
      assert(text !== "backup");
      assert(flipped(7, random) !== 7);
    }
  });

  it("every kind of whole-record mutant is found at its place and taken back", async () => {
    const copy = folder.write("copy.db", folder.read("base.db"));
    const db = new DatabaseSync(copy);
    db.exec("pragma foreign_keys = off");
    keepOriginal(db);
    const head = await headOf(base);
    const rows = new RowMutants(db, size);
    const kinds = ["dropped", "closedUp", "swapped", "duplicated", "inserted"] as const;
    for (const mutant of kinds.map((kind) => rows[kind](9))) {
      mutant.make();
      assertEquals((await judge(copy, head, mutant.place)).outcome, "exact", mutant.kind);
      mutant.undo();
      assertEquals((await judge(copy, head, mutant.place)).outcome, "valid", mutant.kind);
    }
    for (const mutant of [rows.forged(9), rows.cut(4, true)]) {
      mutant.make();
      assertEquals((await judge(copy, head, mutant.place)).outcome, "head", mutant.kind);
      mutant.undo();
    }
    assertEquals((await judge(copy, head, [0, 0])).outcome, "valid");
    db.close();
  });

  it("flippedByte changes what can be read, or nothing, and takes it back", () => {
    const before = folder.read("base.db");
    const digest = digestOfRows(base);
    const text = new TextDecoder("latin1").decode(before);
    const mutant = flippedByte(base, text.indexOf('"position":30,') + 1, 0);
    mutant.make();
    assert(digest !== undefined && digestOfRows(base)?.claimed !== digest.claimed);
    mutant.undo();
    assertEquals(distance(before, folder.read("base.db")), 0);
    assertEquals(digestOfRows(base), digest);
  });

  it("Tally counts by kind and in all", () => {
    const tally = new Tally();
    tally.add("a", "exact");
    tally.add("a", "valid");
    tally.add("b", "exact");
    assertEquals([tally.total, tally.count("exact"), tally.count("valid")], [3, 2, 1]);
    assertEquals(tally.lines().length, 3);
  });
});
