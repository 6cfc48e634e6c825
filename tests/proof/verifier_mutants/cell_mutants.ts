/** Mutants of single cells: one bit of one value, in every column of every table. */
import type { DatabaseSync } from "node:sqlite";
import type { Place } from "./judge.ts";
import type { Mutant } from "./row_mutants.ts";

/** Columns by table. */
export const COLUMNS: Readonly<Record<string, readonly string[]>> = {
  events: ["position", "stream", "version", "type", "time", "text", "leaf"],
  streams: ["key", "name"],
  types: ["key", "name"],
  subtrees: ["level", "idx", "hash"],
  commands: ["id", "first_position", "last_position"],
  snapshots: ["name", "fold_version", "position", "state"],
  cursors: ["name", "position", "state"],
  meta: ["name", "value"],
};
/** What identifies a row. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  events: ["position"],
  streams: ["key"],
  types: ["key"],
  subtrees: ["level", "idx"],
  commands: ["id"],
  snapshots: ["name", "fold_version", "position"],
  cursors: ["name"],
  meta: ["name"],
};

/**
 * Cells that are no part of what is verified, so that a change without a fault is no failure:
 *
 * - a cursor is a view's own note of how far it has come; the view can be dropped and made anew;
 * - `meta` holds the name of the log, the newest token and who opened it last;
 * - a snapshot under another name, or of another fold, is one that nobody asks for, and a missing
 *   one costs time only; one that is found is compared with the fold at its position.
 */
export function isUnclaimed(kind: string): boolean {
  return /^(cursors|meta|snapshots)\./.test(kind);
}

type Cell = number | string | Uint8Array;

/** Flips one bit of a value; what kind of value it is stays as it was. */
export function flipped(value: Cell, random: () => number): Cell {
  // Low bits: a flip of bit 40 is easier to find than one of bit 0.
  if (typeof value === "number") return value ^ (1 << Math.floor(random() * 8));
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value.slice();
  if (bytes.length === 0) return value;
  const index = Math.floor(random() * bytes.length);
  // Of a text the lowest bits, so that it stays a text.
  const bit = typeof value === "string" ? Math.floor(random() * 5) : Math.floor(random() * 8);
  bytes[index]! ^= 1 << bit;
  return typeof value === "string" ? new TextDecoder().decode(bytes) : bytes;
}

/** Makes mutants of one copy of a log. */
export class CellMutants {
  readonly #db: DatabaseSync;

  /** @param db the copy, prepared by `keepOriginal` */
  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** How many rows a table has. */
  count(table: string): number {
    const row = this.#db.prepare(`select count(*) as count from base_${table}`).get();
    return Number(row?.["count"]);
  }

  /** A mutant of a cell; undefined when the flip meets a key that is taken. */
  flipped(table: string, column: string, index: number, random: () => number): Mutant {
    const keys = KEYS[table]!;
    const names = COLUMNS[table]!.join(", ");
    const row = this.#db.prepare(`select ${names} from base_${table} limit 1 offset ?`)
      .get(index) as Record<string, Cell>;
    const value = flipped(row[column]!, random);
    const where = keys.map((key) => `${key} = ?`).join(" and ");
    const at = keys.map((key) => row[key]!);
    const place = this.#placeOf(table, row);
    return {
      kind: `${table}.${column}`,
      name: `${keys.map((key) => `${key} ${row[key]}`).join(", ")}: ${row[column]} -> ${value}`
        .slice(0, 160),
      place,
      make: () => {
        this.#db.prepare(`update ${table} set ${column} = ? where ${where}`).run(value, ...at);
      },
      undo: () =>
        this.#db.exec(`delete from ${table}; insert into ${table} select * from base_${table}`),
    };
  }

  /** Where the first fault should be. */
  #placeOf(table: string, row: Record<string, Cell>): Place {
    const first = (column: string) => {
      const query = `select min(position) as position from base_events where ${column} = ?`;
      const found = this.#db.prepare(query).get(row["key"] as number);
      return Number(found?.["position"] ?? 0);
    };
    switch (table) {
      case "events":
        return [Number(row["position"]), Number(row["position"])];
      case "streams":
        return [first("stream"), first("stream")];
      case "types":
        return [first("type"), first("type")];
      case "subtrees": {
        const last = (Number(row["idx"]) + 1) * 256 ** Number(row["level"]);
        return [last, last];
      }
      case "snapshots":
        return [Number(row["position"]), Number(row["position"])];
      case "commands":
        return [Number(row["first_position"]), Number(row["last_position"])];
      default:
        return [0, 0];
    }
  }
}
