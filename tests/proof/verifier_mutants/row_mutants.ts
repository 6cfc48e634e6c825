/**
 * Mutants of whole records: dropped, swapped, duplicated, inserted, forged, cut off the end.
 *
 * They are made by SQL on a copy whose triggers are off, and undone from tables in it that hold the
 * original rows.
 */
import type { DatabaseSync } from "node:sqlite";
import { leafHash } from "../../../events/log/mod.ts";
import type { Place } from "./judge.ts";

/** One change of a log. */
export interface Mutant {
  /** Its kind: a row of the table that is printed. */
  readonly kind: string;
  /** What is changed, for a message. */
  readonly name: string;
  /** Where the first fault should be. */
  readonly place: Place;
  /** Makes the change. */
  make(): void;
  /** Takes it back. */
  undo(): void;
}

/** Takes the triggers off a copy and keeps its rows a second time, in tables `base_<name>`. */
export function keepOriginal(db: DatabaseSync): void {
  const list = db.prepare("select name from sqlite_master where type = ?");
  for (const { name } of list.all("trigger")) db.exec(`drop trigger "${name}"`);
  for (const { name } of list.all("table")) {
    db.exec(`create table "base_${name}" as select * from "${name}"`);
  }
}

interface Row {
  readonly position: number;
  readonly text: string;
}

/** Makes mutants of one copy of a log. */
export class RowMutants {
  readonly #db: DatabaseSync;
  readonly #size: number;

  /**
   * @param db the copy, prepared by `keepOriginal`
   * @param size number of its records
   */
  constructor(db: DatabaseSync, size: number) {
    this.#db = db;
    this.#size = size;
  }

  #exec(...statements: readonly string[]): void {
    this.#db.exec(`begin; ${statements.join("; ")}; commit`);
  }

  /** Takes back everything from a position on. */
  #restoreFrom(position: number): void {
    this.#exec(
      `delete from events where position >= ${position}`,
      `insert into events select * from base_events where position >= ${position}`,
    );
  }

  #restoreTable(table: string): void {
    this.#exec(`delete from ${table}`, `insert into ${table} select * from base_${table}`);
  }

  #shiftFrom(position: number): string {
    return `update events set position = -position - 1 where position >= ${position};
      update events set position = -position where position < 0`;
  }

  #row(position: number): Row {
    const select = this.#db.prepare("select position, text from base_events where position = ?");
    const row = select.get(position) as unknown as Row;
    return { position: row.position, text: row.text };
  }

  /** The record is gone; its place is empty. */
  dropped(position: number): Mutant {
    return {
      kind: "record dropped",
      name: `record ${position}`,
      place: [position, position],
      make: () => this.#exec(`delete from events where position = ${position}`),
      undo: () => this.#restoreFrom(position),
    };
  }

  /** The record is gone and those behind it have moved up. */
  closedUp(position: number): Mutant {
    return {
      kind: "record dropped, rest moved up",
      name: `record ${position}`,
      place: [position, position],
      make: () =>
        this.#exec(
          `delete from events where position = ${position}`,
          `update events set position = -position + 1 where position > ${position}`,
          "update events set position = -position where position < 0",
        ),
      undo: () => this.#restoreFrom(position),
    };
  }

  /** The record and the next have changed places. */
  swapped(position: number): Mutant {
    return {
      kind: "record swapped with the next",
      name: `record ${position}`,
      place: [position, position],
      make: () =>
        this.#exec(
          `update events set position = -1 where position = ${position}`,
          `update events set position = ${position} where position = ${position + 1}`,
          `update events set position = ${position + 1} where position = -1`,
        ),
      undo: () => this.#restoreFrom(position),
    };
  }

  /** The record is there twice, one after the other. */
  duplicated(position: number): Mutant {
    return {
      kind: "record duplicated",
      name: `record ${position}`,
      place: [position + 1, position + 1],
      make: () =>
        this.#exec(
          this.#shiftFrom(position + 1),
          `insert into events select position + 1, stream, 1000000 + version, type, time, text, leaf
           from events where position = ${position}`,
        ),
      undo: () => this.#restoreFrom(position),
    };
  }

  /** A record that is right in itself stands before this one. */
  inserted(position: number): Mutant {
    const { text } = this.#row(position);
    const record = { ...JSON.parse(text), version: 1_000_000 };
    const forged = JSON.stringify(record);
    const insert = `insert into events select position - 1, stream, 1000000, type, time,
      '${forged.replaceAll("'", "''")}', unhex('${leafHash(forged)}')
      from events where position = ${position + 1}`;
    return {
      kind: "record inserted",
      name: `record ${position}`,
      place: [position, position],
      make: () => this.#exec(this.#shiftFrom(position), insert),
      undo: () => this.#restoreFrom(position),
    };
  }

  /** Another actor stands in the record, and its leaf fits. */
  forged(position: number): Mutant {
    const { text } = this.#row(position);
    const record = JSON.parse(text);
    record.metadata.actor = `${record.metadata.actor}x`;
    const forged = JSON.stringify(record);
    const last = Math.ceil(position / 256) * 256;
    return {
      kind: "record forged with its leaf",
      name: `record ${position}`,
      place: [position, last],
      make: () => this.#replace(position, forged),
      undo: () => this.#restoreFrom(position),
    };
  }

  #replace(position: number, text: string): void {
    const update = this.#db.prepare(
      "update events set text = ?, leaf = unhex(?) where position = ?",
    );
    update.run(text, leafHash(text), position);
  }

  /** The end is gone; whatever reaches beyond the new end is gone too if the forger is careful. */
  cut(count: number, isCareful: boolean): Mutant {
    const size = this.#size - count;
    const careful = [
      `delete from subtrees
         where (idx + 1) * (case level when 1 then 256 else 65536 end) > ${size}`,
      `delete from snapshots where position > ${size}`,
      `delete from commands where last_position > ${size}`,
    ];
    return {
      kind: isCareful ? "end cut off, traces removed" : "end cut off",
      name: `${count} records`,
      place: [0, 0],
      make: () =>
        this.#exec(
          `delete from events where position > ${size}`,
          ...(isCareful ? careful : []),
        ),
      undo: () => {
        this.#restoreFrom(size + 1);
        for (const table of ["subtrees", "snapshots", "commands"]) this.#restoreTable(table);
      },
    };
  }
}
