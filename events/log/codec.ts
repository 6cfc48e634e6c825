/**
 * The exact bytes of a record: validation and encoding.
 *
 * Invariants:
 *
 * - the key order is that of `event.ts`, without white space; equal events give equal text;
 * - `JSON.parse(text)` gives back exactly what the appender handed out: `-0` is written as 0,
 *   `undefined` members are left out, and the caller is told when either happened (`rewritten`);
 * - whatever JSON cannot hold exactly (floats, NaN, lone surrogates, class instances, holes in
 *   arrays, functions) is refused with the path of the bad value, before anything is stored.
 *
 * This is the hot path of every append. One recursive pass validates, and what it lets through
 * `JSON.stringify` writes as one flat string: a text put together here from pieces takes longer to
 * make, and much longer to hash, because the runtimes join the pieces only then. (A member with a
 * getter is hence read twice.) The path of a bad value is kept in a module-wide trail, which is
 * sound because the pass never yields.
 *
 * Called by the appender and by everything that verifies or copies stored bytes.
 * Source: DESIGN.md, The log, Record.
 */
import { JoblogError } from "./errors.ts";
import type { EventMetadata } from "./event.ts";

/** Deepest nesting of `data`, the object itself included. */
export const MAX_DEPTH = 64;
/** Longest `data` and `metadata` together, in UTF-16 units of their JSON text: 1 MiB. */
export const MAX_RECORD_LENGTH = 1_048_576;
/** Longest string in `metadata`, in UTF-16 units. */
export const MAX_METADATA_LENGTH = 512;

const TYPE_NAME = /^[A-Za-z0-9]{1,64}$/;
const STREAM_NAME = /^[A-Za-z0-9._-]{1,200}$/;

const trail: (string | number)[] = new Array(MAX_DEPTH + 2).fill("");
let rewritten = false;

function pathOf(depth: number): string {
  let path = String(trail[0]);
  for (let i = 1; i <= depth; i++) {
    const part = trail[i];
    path += typeof part === "number" ? `[${part}]` : `.${part}`;
  }
  return path;
}

function fault(depth: number, found: string): JoblogError<"invalidRecord"> {
  const path = pathOf(depth);
  return new JoblogError("invalidRecord", `Cannot record "${path}": it is ${found}`, {
    subject: path,
    actual: found,
    hint: "An event carries null, booleans, safe integers, well-formed strings, arrays and " +
      "plain objects, at most 64 levels deep.",
  });
}

function checkString(value: string, depth: number): void {
  if (!value.isWellFormed()) throw fault(depth, "a string with a lone surrogate");
}

function checkNumber(value: number, depth: number): void {
  if (!Number.isSafeInteger(value)) {
    throw fault(depth, `the number ${value}, which is no safe integer`);
  }
  if (value === 0 && 1 / value < 0) rewritten = true;
}

/** Whether `JSON.stringify` would ask the value for another one: by a hidden `toJSON`. */
function speaksForItself(value: object): boolean {
  return typeof (value as { readonly toJSON?: unknown }).toJSON === "function";
}

function checkArray(value: readonly unknown[], depth: number): void {
  if (depth >= MAX_DEPTH) throw fault(depth, `nested deeper than ${MAX_DEPTH} levels`);
  for (let i = 0; i < value.length; i++) {
    trail[depth + 1] = i;
    checkAny(value[i], depth + 1);
  }
  if (speaksForItself(value)) throw fault(depth, "an array that is not plain");
}

function checkPlain(value: object, depth: number): void {
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw fault(depth, "an object that is not plain");
  }
  if (depth >= MAX_DEPTH) throw fault(depth, `nested deeper than ${MAX_DEPTH} levels`);
  const members = value as Record<string, unknown>;
  for (const key of Object.keys(members)) {
    const member = members[key];
    if (member === undefined) {
      rewritten = true;
      continue;
    }
    trail[depth + 1] = key;
    checkString(key, depth + 1);
    checkAny(member, depth + 1);
  }
  if (speaksForItself(value)) throw fault(depth, "an object that is not plain");
}

function checkAny(value: unknown, depth: number): void {
  switch (typeof value) {
    case "string":
      return checkString(value, depth);
    case "number":
      return checkNumber(value, depth);
    case "boolean":
      return;
    case "object":
      if (value === null) return;
      return Array.isArray(value) ? checkArray(value, depth) : checkPlain(value, depth);
    default:
      throw fault(depth, `of type ${typeof value}`);
  }
}

/**
 * Encodes one JSON value, such as the state of a snapshot.
 *
 * @param value null, a boolean, a safe integer, a well-formed string, an array or a plain object
 * @param name what an error calls the value
 * @throws {JoblogError} code "invalidRecord" with the path of the bad value
 */
export function encodeValue(value: unknown, name: string): string {
  trail[0] = name;
  rewritten = false;
  checkAny(value, 0);
  return JSON.stringify(value);
}

/**
 * Whether the text that was encoded last says less than its value did (`-0`, `undefined` members).
 *
 * @internal
 */
export function lastRewritten(): boolean {
  return rewritten;
}

/**
 * Encodes the `data` of an event.
 *
 * @throws {JoblogError} code "invalidRecord" with the path of the bad value
 */
export function encodeData(data: unknown): string {
  trail[0] = "data";
  rewritten = false;
  if (typeof data !== "object" || data === null || Array.isArray(data)) {
    throw fault(0, "no plain object");
  }
  checkPlain(data, 0);
  return JSON.stringify(data);
}

function encodeName(value: unknown): string {
  if (typeof value !== "string" || value === "") throw fault(1, "no text");
  if (value.length > MAX_METADATA_LENGTH) {
    throw fault(1, `longer than ${MAX_METADATA_LENGTH} characters`);
  }
  checkString(value, 1);
  return JSON.stringify(value);
}

const VIAS: ReadonlySet<unknown> = new Set(["api", "http", "qmp", "cli", "engine"]);
/** Comparisons, because each member of each event is looked at. */
function isMetadataKey(key: string): boolean {
  return key === "actor" || key === "via" || key === "causationId" || key === "correlationId" ||
    key === "commandId";
}

/**
 * Encodes the `metadata` of an event; unknown members are refused, because they would be lost.
 *
 * @throws {JoblogError} code "invalidRecord" with the path of the bad value
 */
export function encodeMetadata(metadata: EventMetadata): string {
  trail[0] = "metadata";
  rewritten = false;
  if (typeof metadata !== "object" || metadata === null) throw fault(0, "no plain object");
  // deno-lint-ignore guard-for-in -- what is inherited would be lost just the same
  for (const key in metadata) {
    if (!isMetadataKey(key)) {
      trail[1] = key;
      throw fault(1, "not a member of the metadata");
    }
    if (metadata[key as keyof EventMetadata] === undefined) rewritten = true;
  }
  if (isLastMetadata(metadata)) return lastMetadataText;
  const text = encodeMembers(metadata);
  const { actor, via, correlationId, causationId, commandId } = metadata;
  lastMetadata = { actor, via, correlationId, causationId, commandId };
  lastMetadataText = text;
  return text;
}

/** The metadata encoded last: neighbouring events mostly have the same. */
let lastMetadata: { readonly [K in keyof EventMetadata]: EventMetadata[K] | undefined } | undefined;
let lastMetadataText = "";

function isLastMetadata(metadata: EventMetadata): boolean {
  const last = lastMetadata;
  return last !== undefined && last.actor === metadata.actor && last.via === metadata.via &&
    last.correlationId === metadata.correlationId && last.causationId === metadata.causationId &&
    last.commandId === metadata.commandId;
}

function encodeMembers(metadata: EventMetadata): string {
  trail[1] = "actor";
  let text = '{"actor":' + encodeName(metadata.actor);
  trail[1] = "via";
  if (!VIAS.has(metadata.via)) throw fault(1, "none of api, http, qmp, cli and engine");
  text += ',"via":"' + metadata.via + '"';
  if (metadata.correlationId !== undefined) {
    trail[1] = "correlationId";
    text += ',"correlationId":' + encodeName(metadata.correlationId);
  }
  if (metadata.causationId !== undefined) {
    trail[1] = "causationId";
    text += ',"causationId":' + encodeName(metadata.causationId);
  }
  if (metadata.commandId !== undefined) {
    trail[1] = "commandId";
    text += ',"commandId":' + encodeName(metadata.commandId);
  }
  return text + "}";
}

/**
 * Refuses a command id that is empty, too long or not well-formed.
 *
 * @throws {JoblogError} code "invalidRecord"
 */
export function checkCommandId(id: unknown): void {
  trail[0] = "append";
  trail[1] = "commandId";
  encodeName(id);
}

/** The first 1,024 type names that were allowed. */
const knownTypes = new Set<unknown>();

/**
 * Refuses a type name that is not 1 to 64 characters of `A-Z a-z 0-9`, and a schema version that
 * is not a safe integer of 1 or more.
 *
 * @throws {JoblogError} code "invalidRecord"
 */
export function checkType(type: unknown, schema: unknown): void {
  if (!knownTypes.has(type)) {
    if (typeof type !== "string" || !TYPE_NAME.test(type)) {
      trail[0] = "type";
      throw fault(0, `${JSON.stringify(type)}, not 1 to 64 characters of A-Z a-z 0-9`);
    }
    if (knownTypes.size < 1_024) knownTypes.add(type);
  }
  if (!Number.isSafeInteger(schema) || (schema as number) < 1) {
    trail[0] = "schema";
    throw fault(0, `${String(schema)}, not an integer of 1 or more`);
  }
}

/**
 * Refuses a stream name that is not 1 to 200 characters of `A-Z a-z 0-9 - . _`.
 *
 * @throws {JoblogError} code "invalidRecord"
 */
export function checkStream(stream: unknown): void {
  if (typeof stream === "string" && STREAM_NAME.test(stream)) return;
  trail[0] = "stream";
  throw fault(0, `${JSON.stringify(stream)}, not 1 to 200 characters of A-Z a-z 0-9 - . _`);
}

/**
 * Refuses a number that is not an integer of at least `least`.
 *
 * @internal
 */
export function checkCount(name: string, value: unknown, least: number): void {
  if (Number.isSafeInteger(value) && (value as number) >= least) return;
  trail[0] = name;
  throw fault(0, `${String(value)}, not an integer of ${least} or more`);
}
