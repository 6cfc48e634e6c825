/**
 * The one error class of the project and the codes that the log itself raises.
 *
 * Rooms above add codes of their own; `api/errors.ts` lists every code once, with its HTTP status,
 * its exit code and its wire class.
 */

/** Codes of the log and its stores. A code never changes its meaning. */
export type LogErrorCode =
  /** An append expected another version of a stream; `expected` and `actual` are set. */
  | "versionConflict"
  /** The writer's fencing token is older than the newest one; another writer took over. */
  | "fenced"
  /** Another live process holds the writer's token of this log. */
  | "logLocked"
  /** The file is not a log. */
  | "logForeign"
  /** The log was written by a newer format than this program knows. */
  | "logNewer"
  /** The log's bytes contradict each other or cannot be read. */
  | "logDamaged"
  /** The file or its folder does not exist or cannot be opened. */
  | "logUnreadable"
  /** The log is open for reading only. */
  | "logReadOnly"
  /** The log was closed, or a commit failed and the log must be opened again. */
  | "logClosed"
  /** A commit failed; nothing of it is in the log. */
  | "commitFailed"
  /** A command id was used again with other events. */
  | "commandReused"
  /** A value that does not fit the record format: a float, a lone surrogate, a bad name. */
  | "invalidRecord"
  /** An event type or schema version that this program does not know. */
  | "unknownEvent"
  /** An argument of a read, a subscription or a snapshot is out of range. */
  | "invalidArgument";

/** What an error says beside its text; all members are optional plain data. */
export interface ErrorDetails {
  /** The thing that the error is about, such as a stream, a file or an id. */
  readonly subject?: string;
  /** What was expected. */
  readonly expected?: string | number;
  /** What was found. */
  readonly actual?: string | number;
  /** A full sentence that says what to do. */
  readonly hint?: string;
  /** The error that this one was made from. */
  readonly cause?: unknown;
}

/**
 * An error with a code that programs can branch on.
 *
 * The message starts with the action that failed, quotes values, and names the current state after
 * a colon; `hint` says in a full sentence what to do about it.
 *
 * @example A version conflict knows both versions
 * ```ts
 * import { JoblogError } from "./errors.ts";
 * const error = new JoblogError("versionConflict", 'Cannot append to "a": it has moved on', {
 *   subject: "a",
 *   expected: 3,
 *   actual: 4,
 * });
 * if (error.actual !== 4) throw error;
 * ```
 */
export class JoblogError<Code extends string = string> extends Error {
  /** Names the kind of failure; closed per room, listed in `api/errors.ts`. */
  readonly code: Code;
  /** The thing that the error is about. */
  readonly subject: string | undefined;
  /** What was expected. */
  readonly expected: string | number | undefined;
  /** What was found. */
  readonly actual: string | number | undefined;
  /** A full sentence that says what to do. */
  readonly hint: string | undefined;

  /**
   * Makes an error; throwing it is the caller's.
   *
   * @param code names the kind of failure
   * @param message action first, values quoted, current state after a colon, no full stop
   * @param details subject, expected, actual, hint and cause
   */
  constructor(code: Code, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "JoblogError";
    this.code = code;
    this.subject = details.subject;
    this.expected = details.expected;
    this.actual = details.actual;
    this.hint = details.hint;
  }
}
