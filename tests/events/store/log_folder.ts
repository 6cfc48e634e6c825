/** A folder for the logs of one test, and rows to put into them. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CommitBatch, EncodedRecord, StoreBackend } from "../../../events/log/backend.ts";
import { JoblogError } from "../../../events/log/errors.ts";
import { openSqliteLog, type OpenSqliteOptions } from "../../../events/store/sqlite/mod.ts";

/** A temporary folder; everything that was opened through it is closed with it. */
export class LogFolder {
  /** Absolute path of the folder. */
  readonly folder: string;
  readonly #open: StoreBackend[] = [];

  constructor(folder: string = mkdtempSync(join(tmpdir(), "joblog-store-"))) {
    this.folder = folder;
  }

  /** Path of a file in the folder. */
  path(name = "a.log"): string {
    return join(this.folder, name);
  }

  /** Opens a log in the folder, without a reserve unless asked for. */
  async open(options: OpenSqliteOptions = {}, name = "a.log"): Promise<StoreBackend> {
    const backend = await openSqliteLog(this.path(name), { reserve: false, ...options });
    this.#open.push(backend);
    return backend;
  }

  /** Closes all and removes the folder. */
  async remove(): Promise<void> {
    for (const backend of this.#open) await backend.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A row as the appender would make it; the leaf is its position. */
export function record(
  position: number,
  stream: string,
  version: number,
  type = "Tested",
): EncodedRecord {
  return {
    position,
    stream,
    version,
    type,
    time: position * 10,
    text: JSON.stringify({ position, stream, version, type }),
    leaf: position.toString(16).padStart(64, "0"),
  };
}

/** A batch of rows with the token of the backend. */
export function batch(
  backend: StoreBackend,
  records: readonly EncodedRecord[],
  more: Partial<CommitBatch> = {},
): CommitBatch {
  return { token: backend.token, records, subtrees: [], commands: [], ...more };
}

/** Rows `first` to `last` of one stream whose versions equal the positions. */
export function records(first: number, last: number, stream = "a"): EncodedRecord[] {
  return Array.from({ length: last - first + 1 }, (_, i) => record(first + i, stream, first + i));
}

/** The error with a code that a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<JoblogError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof JoblogError) return error;
    throw error;
  }
  throw new Error("Cannot take the failure: the promise was fulfilled");
}
