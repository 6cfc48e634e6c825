/**
 * Quick checks of an opened file: is it a log, of a known format, and whole at its ends?
 *
 * They cost a few page reads, whatever the size of the log. That every byte is as it was written
 * is for the verifier to say. Called by `open.ts`.
 */
import { statSync } from "node:fs";
import { JoblogError } from "../../log/errors.ts";
import { LOG_FORMAT, type SqlParameter } from "../sql/mod.ts";
import { APPLICATION_ID } from "./create.ts";
import type { SqliteRow } from "./connection.ts";
import { readFailure } from "./failures.ts";

/** Rows at the end of the log that are looked at. */
const LAST_ROWS = 16;

const TABLES = [
  "commands",
  "cursors",
  "events",
  "meta",
  "snapshots",
  "streams",
  "subtrees",
  "types",
];

/** A connection that answers. */
export interface Inspected {
  /** All rows of a query. */
  all(text: string, parameters?: readonly SqlParameter[]): readonly SqliteRow[];
  /** The number that a pragma answers with. */
  pragma(name: string): number;
}

/** What is known about a log after the checks. */
export interface LogFacts {
  /** Random name of the log: 32 lower-case hex digits. */
  readonly logId: string;
  /** Format number of the schema. */
  readonly format: number;
  /** The newest fencing token. */
  readonly token: number;
}

function damaged(path: string, state: string, actual?: string | number): JoblogError {
  return new JoblogError("logDamaged", `Cannot open log "${path}": ${state}`, {
    subject: path,
    hint: "Restore the log from a copy, then verify it.",
    ...(actual === undefined ? {} : { actual }),
  });
}

/**
 * Checks that a file is a log of a known format.
 *
 * @returns the format
 * @throws {JoblogError} code "logForeign", "logNewer" or "logDamaged"
 */
export function checkHeader(path: string, file: Inspected): number {
  const id = file.pragma("application_id");
  if (id !== APPLICATION_ID) {
    throw new JoblogError("logForeign", `Cannot open log "${path}": it is another program's file`, {
      subject: path,
      expected: APPLICATION_ID,
      actual: id,
      hint: "Name another path; the file is an SQLite database, but not a log.",
    });
  }
  const format = file.pragma("user_version");
  if (format > LOG_FORMAT) {
    throw new JoblogError("logNewer", `Cannot open log "${path}": its format is ${format}`, {
      subject: path,
      expected: LOG_FORMAT,
      actual: format,
      hint: "Use the version of joblog that wrote the log, or a newer one.",
    });
  }
  if (format < 1) throw damaged(path, "its format number is missing", format);
  return format;
}

function checkWhole(path: string, file: Inspected): void {
  const wal = statSync(`${path}-wal`, { throwIfNoEntry: false });
  if (wal === undefined || wal.size === 0) {
    const needed = file.pragma("page_count") * file.pragma("page_size");
    const size = statSync(path).size;
    if (size < needed) {
      throw damaged(path, `the file is cut off at ${size} of ${needed} bytes`, size);
    }
  }
  const present = file.all("select name from sqlite_master where type = 'table' order by name");
  const names = present.map((row) => String(row["name"]));
  const missing = TABLES.find((table) => !names.includes(table));
  if (missing !== undefined) throw damaged(path, `table "${missing}" is missing`, missing);
}

function checkEnds(path: string, file: Inspected): void {
  const first = file.all("select position from events order by position limit 1")[0];
  if (first !== undefined && first["position"] !== 1) {
    throw damaged(path, "its first event is missing", Number(first["position"]));
  }
  const rows = file.all(
    `select position, time, length(leaf) as leaf, substr(text, 1, 1) as start
     from events order by position desc limit ${LAST_ROWS}`,
  );
  let next: SqliteRow | undefined;
  for (const row of rows) {
    const position = Number(row["position"]);
    if (next !== undefined && Number(next["position"]) !== position + 1) {
      throw damaged(path, `event ${position + 1} is missing`, position + 1);
    }
    if (next !== undefined && Number(next["time"]) < Number(row["time"])) {
      throw damaged(path, `event ${position + 1} is older than event ${position}`, position + 1);
    }
    if (row["leaf"] !== 32 || row["start"] !== "{") {
      throw damaged(path, `event ${position} is not a record`, position);
    }
    next = row;
  }
}

function metaOf(path: string, file: Inspected): { logId: string; token: number } {
  const rows = file.all("select name, value from meta where name in ('log_id', 'token')");
  const values = new Map(rows.map((row) => [String(row["name"]), String(row["value"])]));
  const logId = values.get("log_id") ?? "";
  if (!/^[0-9a-f]{32}$/.test(logId)) throw damaged(path, "its name is missing", logId);
  const token = Number(values.get("token"));
  if (!Number.isSafeInteger(token) || token < 0) {
    throw damaged(path, "its writer's token is missing", values.get("token") ?? "");
  }
  return { logId, token };
}

/**
 * Checks a file and says what it is.
 *
 * @throws {JoblogError} code "logForeign" when it is not a log
 * @throws {JoblogError} code "logNewer" when its format is newer than this program
 * @throws {JoblogError} code "logDamaged" when its bytes contradict each other
 */
export function inspect(path: string, file: Inspected): LogFacts {
  try {
    const format = checkHeader(path, file);
    checkWhole(path, file);
    const meta = metaOf(path, file);
    checkEnds(path, file);
    return { ...meta, format };
  } catch (error) {
    throw readFailure("open log", path, error);
  }
}
