/**
 * Every error code of the house with its HTTP status, its exit code and its class on the QMP wire:
 * one exhaustive table, consulted by all ways in.
 *
 * - The table's type names all codes of the log, all refusals of the job layer, those of the
 *   engine and those of the ways in: a new code does not compile before it stands here, and a test
 *   looks through the product for codes that the types do not show.
 * - Refusals are all `GenericError` in the `job-*` family. The `block-job-*` family reports an
 *   unknown job as `DeviceNotActive`, and has a code of its own for it.
 *
 * Source: QEMU 7.2 qapi/error.json QapiErrorClass; job-qmp.c; RFC 9110 for the statuses.
 */
import type { LogErrorCode } from "../events/log/errors.ts";
import type { RefusalCode } from "../engine/core/refusals.ts";
import type { GraphRefusalCode } from "../engine/graph/refusals.ts";

/** Codes of the ways in: what is wrong with a request before it is a command. */
export type ApiErrorCode =
  /** A request's body, query or argument does not fit the contract; `subject` names the field. */
  | "invalidRequest"
  /** The body is no JSON; `actual` is the offset of the first fault. */
  | "malformedJson"
  /** The body is larger than the limit. */
  | "bodyTooLarge"
  /** The body's media type is not JSON. */
  | "unsupportedMediaType"
  /** No route has this path. */
  | "unknownRoute"
  /** The route does not have this method. */
  | "methodNotAllowed"
  /** A host name that this server does not go by. */
  | "wrongHost"
  /** A command that a page of another site sends through a browser. */
  | "foreignOrigin"
  /** Too many commands in too short a time. */
  | "tooManyRequests"
  /** A position beyond the end of the log. */
  | "unknownPosition"
  /** The verifier found a fault in the log. */
  | "logFault"
  /** A job that was waited for failed or was cancelled. */
  | "jobFailed"
  /** A live writer holds the log and does not answer on its socket. */
  | "writerUnreachable"
  /** The writer's socket cannot be made. */
  | "socketUnusable"
  /** The command line cannot be understood. */
  | "usage"
  /** A wait was ended by a signal. */
  | "interrupted"
  /** A fault of the program itself. */
  | "internal";

/** Codes that the engine and the drivers raise beside the common refusals. */
export type EngineErrorCode =
  /** No block job has this id. The `block-job-*` commands of QMP know no other jobs. */
  | "unknownBlockJob"
  /** A transaction holds an action that only undoes the others. */
  | "transactionAborted"
  | "forbiddenTransition"
  | "forbiddenGraphChange"
  | "invalidDriver"
  | "duplicateDriver"
  | "unknownType";

/** Every code of the house. */
export type ErrorCode =
  | LogErrorCode
  | RefusalCode
  | GraphRefusalCode
  | EngineErrorCode
  | ApiErrorCode;

/** Error classes of the QMP wire. */
export type QmpClass =
  | "GenericError"
  | "CommandNotFound"
  | "DeviceNotActive"
  | "DeviceNotFound"
  | "KVMMissingCap";

/**
 * Exit statuses of the command line.
 *
 * | status | name | meaning |
 * |---|---|---|
 * | 0 | ok | done as asked |
 * | 1 | failed | a job failed or was cancelled, or the verifier found a fault |
 * | 2 | usage | the command line cannot be understood |
 * | 3 | refused | the command was understood and refused |
 * | 4 | notFound | no such job, transaction or position |
 * | 5 | log | the log cannot be opened, read or written, or its writer cannot be reached |
 * | 70 | fault | a fault of the program itself |
 * | 130 | interrupted | ended by Ctrl-C; resumable jobs are parked |
 */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  refused: 3,
  notFound: 4,
  log: 5,
  fault: 70,
  interrupted: 130,
} as const;

/** Name of an exit status. */
export type ExitName = keyof typeof EXIT;

/** How one code looks at each way in. */
export interface ErrorRow {
  /** HTTP status. */
  readonly status: number;
  /** Exit status of the command line, by name. */
  readonly exit: ExitName;
  /** Class on the QMP wire. */
  readonly qmp: QmpClass;
  /** Title of the problem document: the same for every occurrence. */
  readonly title: string;
}

function row(
  status: number,
  exit: ExitName,
  title: string,
  qmp: QmpClass = "GenericError",
): ErrorRow {
  return { status, exit, title, qmp };
}

/** The table. */
export const ERROR_TABLE: { readonly [C in ErrorCode]: ErrorRow } = {
  versionConflict: row(409, "refused", "The log moved on meanwhile"),
  fenced: row(503, "log", "Another writer took over"),
  logLocked: row(423, "log", "Another process holds the log"),
  logForeign: row(500, "log", "The file is not a log"),
  logNewer: row(500, "log", "The log is newer than this program"),
  logDamaged: row(500, "log", "The log is damaged"),
  logUnreadable: row(500, "log", "The log cannot be opened"),
  logReadOnly: row(403, "refused", "The log is open for reading only"),
  logClosed: row(503, "log", "The log is closed"),
  commitFailed: row(503, "log", "The log could not be written"),
  commandReused: row(422, "refused", "The command id was used for something else"),
  invalidRecord: row(400, "refused", "A value cannot be recorded"),
  unknownEvent: row(500, "log", "The log holds events that this program does not know"),
  invalidArgument: row(400, "usage", "An argument is out of range"),
  unknownJob: row(404, "notFound", "No such job"),
  transactionAborted: row(409, "refused", "The transaction aborts itself"),
  unknownBlockJob: row(404, "notFound", "No such block job", "DeviceNotActive"),
  unknownTxn: row(404, "notFound", "No such transaction"),
  verbRefused: row(409, "refused", "The job's status does not accept the verb"),
  alreadyPaused: row(409, "refused", "The job is paused already"),
  notPaused: row(409, "refused", "The job is not paused"),
  currentlyPaused: row(409, "refused", "The job is paused"),
  notCompletable: row(409, "refused", "The job cannot be completed"),
  invalidSpeed: row(400, "refused", "The speed is out of range"),
  changeUnsupported: row(409, "refused", "The job cannot be changed"),
  changeRefused: row(409, "refused", "The job cannot be changed so"),
  invalidJobId: row(400, "refused", "The job id is malformed"),
  duplicateJobId: row(409, "refused", "The job id is in use"),
  jobIdRequired: row(400, "refused", "A job id is required"),
  unknownJobType: row(400, "refused", "No such job type"),
  invalidParameter: row(400, "refused", "A parameter of the job does not fit"),
  openFailed: row(422, "refused", "What the job works on cannot be opened"),
  closing: row(503, "refused", "The engine is closing"),
  idempotencyConflict: row(422, "refused", "The idempotency key was used for something else"),
  unknownNode: row(404, "notFound", "No such node"),
  unknownDevice: row(404, "notFound", "No such device", "DeviceNotFound"),
  duplicateNode: row(409, "refused", "The node name is in use"),
  invalidNodeName: row(400, "refused", "The node name is malformed"),
  nodeInUse: row(409, "refused", "The node is in use"),
  nodeBusy: row(409, "refused", "The node is busy"),
  nodeMissing: row(409, "refused", "The node is missing"),
  nodeReadOnly: row(409, "refused", "The node is read-only"),
  notRootNode: row(409, "refused", "The node has a parent"),
  permissionConflict: row(409, "refused", "Users of the node do not go together"),
  nodeNotReopened: row(409, "refused", "The node cannot be opened anew in this way"),
  unknownBitmap: row(404, "notFound", "No such bitmap"),
  duplicateBitmap: row(409, "refused", "The bitmap name is in use"),
  bitmapUnusable: row(409, "refused", "The bitmap cannot be used"),
  forbiddenGraphChange: row(500, "fault", "The graph of nodes was changed against the rules"),
  forbiddenTransition: row(500, "fault", "A job was moved against the rules"),
  invalidDriver: row(500, "fault", "A driver is malformed"),
  duplicateDriver: row(500, "fault", "Two drivers have one name"),
  unknownType: row(400, "refused", "No such job type"),
  invalidRequest: row(400, "usage", "The request does not fit the contract"),
  malformedJson: row(400, "usage", "The body is not JSON"),
  bodyTooLarge: row(413, "usage", "The body is too large"),
  unsupportedMediaType: row(415, "usage", "The body is of another media type"),
  unknownRoute: row(404, "notFound", "No such route", "CommandNotFound"),
  methodNotAllowed: row(405, "usage", "The route does not have this method"),
  wrongHost: row(421, "usage", "This server does not go by that name"),
  foreignOrigin: row(403, "refused", "Pages of other sites may not command"),
  tooManyRequests: row(429, "refused", "Too many commands"),
  unknownPosition: row(404, "notFound", "No such position in the log"),
  logFault: row(500, "failed", "The log does not verify"),
  jobFailed: row(409, "failed", "The job did not succeed"),
  writerUnreachable: row(503, "log", "The writer of the log does not answer"),
  socketUnusable: row(500, "log", "The socket beside the log cannot be used"),
  usage: row(400, "usage", "The command line cannot be understood"),
  interrupted: row(503, "interrupted", "Interrupted"),
  internal: row(500, "fault", "A fault of the program"),
};

/** What a way in tells about an error. */
export interface ErrorReport extends ErrorRow {
  /** The code; `internal` for anything that has no code of the house. */
  readonly code: ErrorCode;
  /** The error's text; for `internal` a plain one, as the real one may tell too much. */
  readonly message: string;
  /** The thing that the error is about. */
  readonly subject?: string;
  /** What was expected. */
  readonly expected?: string | number;
  /** What was found. */
  readonly actual?: string | number;
  /** A full sentence that says what to do. */
  readonly hint?: string;
}

/** True for a code of the house. */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === "string" && Object.hasOwn(ERROR_TABLE, code);
}

/**
 * Describes anything that was thrown by its row of the table.
 *
 * @example
 * ```ts
 * import { reportOf } from "./errors.ts";
 * const error = Object.assign(new Error("Job not found"), { code: "unknownJob" });
 * if (reportOf(error).status !== 404) throw error;
 * ```
 */
export function reportOf(thrown: unknown): ErrorReport {
  const coded = typeof thrown === "object" && thrown !== null ? thrown as Partial<ErrorReport> : {};
  if (!(thrown instanceof Error) || !isErrorCode(coded.code)) {
    return { ...ERROR_TABLE.internal, code: "internal", message: "Cannot do this: internal fault" };
  }
  const { subject, expected, actual, hint } = coded;
  return {
    ...ERROR_TABLE[coded.code],
    code: coded.code,
    message: thrown.message,
    ...(subject === undefined ? {} : { subject }),
    ...(expected === undefined ? {} : { expected }),
    ...(actual === undefined ? {} : { actual }),
    ...(hint === undefined ? {} : { hint }),
  };
}
