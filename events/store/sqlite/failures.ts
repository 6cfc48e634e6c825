/**
 * Turns what SQLite and the file system throw into errors with a code and a hint.
 *
 * SQLite's text is matched, as one of the runtimes gives nothing else that tells them apart.
 */
import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { JoblogError, type LogErrorCode } from "../../log/errors.ts";

/** Less room than this in the file system means that an I/O error was a full disk. */
const FULL_DISK_BYTES = 64 * 1024;

/** The text of anything thrown. */
export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function errnoOf(error: unknown): string | undefined {
  const code = (error as { readonly code?: unknown } | undefined)?.code;
  return typeof code === "string" && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}

interface Meaning {
  readonly code: LogErrorCode;
  readonly state: string;
  readonly hint: string;
}

const MEANINGS: readonly (readonly [RegExp, Meaning])[] = [
  [/not a database/, {
    code: "logForeign",
    state: "it is not an SQLite file",
    hint: "Name another path; the file was left as it is.",
  }],
  [/malformed|no such (table|column)/, {
    code: "logDamaged",
    state: "its pages contradict each other",
    hint: "Restore the log from a copy, then verify it.",
  }],
  [/locked|busy/, {
    code: "logLocked",
    state: "another process holds it",
    hint: "Try again after that process has finished.",
  }],
  [/EACCES|EPERM|permission|readonly|read-only/i, {
    code: "logUnreadable",
    state: "permission denied",
    hint: "Give this user access to the file and its folder.",
  }],
];

const UNKNOWN: Meaning = {
  code: "logUnreadable",
  state: "it cannot be opened or read",
  hint: "Check that the disk is readable and the folder is accessible.",
};

/**
 * An error of opening or reading.
 *
 * @param action first words of the message, such as `open log`
 */
export function readFailure(action: string, path: string, error: unknown): JoblogError {
  if (error instanceof JoblogError) return error;
  const text = textOf(error);
  const meaning = MEANINGS.find(([pattern]) => pattern.test(text))?.[1] ?? UNKNOWN;
  return new JoblogError(meaning.code, `Cannot ${action} "${path}": ${meaning.state}`, {
    subject: path,
    actual: errnoOf(error) ?? text,
    hint: meaning.hint,
    cause: error,
  });
}

function diskIsFull(path: string): boolean {
  try {
    const room = statfsSync(dirname(path));
    return room.bavail * room.bsize < FULL_DISK_BYTES;
  } catch {
    return false;
  }
}

/** An error of a commit, after its rollback. `actual` is `ENOSPC` if the disk is full. */
export function commitFailure(path: string, error: unknown): JoblogError {
  if (error instanceof JoblogError) return error;
  const text = textOf(error);
  const full = /is full/.test(text) || errnoOf(error) === "ENOSPC" ||
    (/I\/O error/.test(text) && diskIsFull(path));
  if (full) {
    return new JoblogError("commitFailed", `Cannot commit to log "${path}": the disk is full`, {
      subject: path,
      actual: "ENOSPC",
      hint: "Make room on the disk of the log.",
      cause: error,
    });
  }
  return new JoblogError("commitFailed", `Cannot commit to log "${path}": ${text}`, {
    subject: path,
    actual: errnoOf(error) ?? text,
    hint: "Check the disk, then open the log again.",
    cause: error,
  });
}
