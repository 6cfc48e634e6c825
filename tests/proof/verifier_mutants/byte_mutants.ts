/** Mutants of the file itself: one bit of one byte, wherever it lies. */
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { COLUMNS } from "./cell_mutants.ts";
import type { Mutant } from "./row_mutants.ts";

/** Tables that the verifier claims nothing about; see `isUnclaimed`. */
const UNCLAIMED = new Set(["cursors", "meta"]);

/** What of a file can be read, as digests. */
export interface Digests {
  /** All that is verified: rows, and whether the indexes agree with them. */
  readonly claimed: string;
  /** Everything, the texts of the schema included. */
  readonly all: string;
}

/** What of a file can be read; undefined when it cannot be read at all. */
export function digestOfRows(path: string): Digests | undefined {
  const claimed = createHash("sha256");
  const rest = createHash("sha256");
  const db = new DatabaseSync(path);
  try {
    db.exec("pragma query_only = on");
    for (const [table, columns] of Object.entries(COLUMNS)) {
      const rows = db.prepare(`select ${columns.map((name) => `quote(${name}) as ${name}`)}
        from ${table} order by ${columns.map((_, index) => index + 1).join(", ")}`);
      const hash = UNCLAIMED.has(table) ? rest : claimed;
      for (const row of rows.iterate()) hash.update(JSON.stringify(Object.values(row)));
      hash.update(table);
    }
    const schema = db.prepare("select type, name, tbl_name, sql from sqlite_master order by 1, 2");
    rest.update(JSON.stringify(schema.all()));
    for (const name of ["user_version", "application_id", "integrity_check"]) {
      claimed.update(JSON.stringify(db.prepare(`pragma ${name}`).all()));
    }
    const digest = claimed.digest("hex");
    return { claimed: digest, all: `${digest} ${rest.digest("hex")}` };
  } catch {
    return undefined;
  } finally {
    db.close();
    for (const side of ["-wal", "-shm"]) rmSync(`${path}${side}`, { force: true });
  }
}

/** Flips a bit of a file. Flipping it again takes it back. */
function flip(path: string, offset: number, bit: number): void {
  const file = openSync(path, "r+");
  try {
    const byte = new Uint8Array(1);
    readSync(file, byte, 0, 1, offset);
    byte[0]! ^= 1 << bit;
    writeSync(file, byte, 0, 1, offset);
  } finally {
    closeSync(file);
  }
}

/** A mutant of one byte. */
export function flippedByte(path: string, offset: number, bit: number): Mutant {
  const turn = () => flip(path, offset, bit);
  return {
    kind: "bit of the file",
    name: `byte ${offset}, bit ${bit}`,
    // Nobody knows which record lies there.
    place: [-1, -1],
    make: turn,
    undo: turn,
  };
}
