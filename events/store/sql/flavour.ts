/**
 * The few places where SQL databases differ, as data and functions; no query asks which database
 * it runs on.
 */
import type { ColumnDataType, Expression, RawBuilder } from "kysely";

/** What a database must say about itself so that the shared schema and queries fit it. */
export interface SqlFlavour {
  /** Type of positions, versions and times: integers up to 2^53 - 1. */
  readonly integer: ColumnDataType;
  /** Type of bytes. */
  readonly bytes: ColumnDataType;
  /** Clause at the end of a table whose primary key is not one integer; empty if none. */
  readonly clustered: RawBuilder<unknown>;
  /** Reads bytes as lower-case hex text. */
  hex(bytes: Expression<Uint8Array>): RawBuilder<string>;
  /** Turns a bound hex text into bytes. */
  unhex(text: string): RawBuilder<string>;
  /** Statements after which UPDATE and DELETE on a table fail. */
  appendOnly(table: string): readonly RawBuilder<unknown>[];
  /** Statement that notes the format number of the schema. */
  noteFormat(format: number): RawBuilder<unknown>;
}
