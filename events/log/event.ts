/**
 * Events, recorded events and the values that they may carry.
 *
 * A recorded event is stored as UTF-8 JSON with this fixed key order, and exactly these bytes are
 * hashed:
 *
 * ```text
 * {"position":7,"stream":"engine","version":3,"type":"EngineOpened","schema":1,
 *  "time":1764000000000,"data":{...},"metadata":{"actor":"...","via":"...",...}}
 * ```
 *
 * Source: DESIGN.md, The log, Record.
 */

/**
 * What an event may carry: JSON without floats. Numbers are safe integers; strings have no lone
 * surrogates; objects are plain. `undefined` members are left out.
 */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue | undefined };

/** A plain object of JSON values. */
export type JsonObject = { readonly [key: string]: JsonValue | undefined };

/** Where a command came in; `engine` marks what the engine did by itself. */
export type Via = "api" | "http" | "qmp" | "cli" | "engine";

/** Who and what brought an event about. Absent members are left out of the stored bytes. */
export interface EventMetadata {
  /** Who asked for it, stamped by the server and never taken from the client's body. */
  readonly actor: string;
  /** The way in. */
  readonly via: Via;
  /** The same for everything that belongs to one conversation. */
  readonly correlationId?: string;
  /** The direct cause: a command id, or `@` followed by the global position of an event. */
  readonly causationId?: string;
  /** Set on the events of the command that carries this id. */
  readonly commandId?: string;
}

/** An event that is to be appended; the log adds position, version and time. */
export interface NewEvent {
  /** Past tense, noun first: 1 to 64 characters of `A-Z a-z 0-9`. */
  readonly type: string;
  /** Version of the shape of `data`, 1 or more. @default 1 */
  readonly schema?: number;
  /** The fact itself. */
  readonly data: JsonObject;
  /** Who and why. */
  readonly metadata: EventMetadata;
}

/** An event as it stands in the log. Immutable. */
export interface RecordedEvent {
  /** Global position: 1, 2, 3 ... without a hole. */
  readonly position: number;
  /** Name of the stream: 1 to 200 characters of `A-Z a-z 0-9 - . _`. */
  readonly stream: string;
  /** Place in its stream: 1, 2, 3 ... without a hole. */
  readonly version: number;
  /** Name of the event type. */
  readonly type: string;
  /** Version of the shape of `data`. */
  readonly schema: number;
  /** Milliseconds since 1970 UTC; never less than that of the event before. */
  readonly time: number;
  /** The fact itself. */
  readonly data: JsonObject;
  /** Who and why. */
  readonly metadata: EventMetadata;
}

/** A precondition of an append: an exact version, or one of three words. 0 equals `noStream`. */
export type ExpectedVersion = number | "noStream" | "streamExists" | "any";
