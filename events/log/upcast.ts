/**
 * Upcasting: turning old event shapes into today's while reading.
 *
 * Invariants:
 *
 * - stored bytes are never touched; position, stream, version, time and metadata pass unchanged;
 * - an upcaster takes one schema version to the next; they are applied in a row;
 * - at a type or version that nobody knows a writer stops, because it could break what it does not
 *   understand, while a reader passes the event on raw and says that its view is incomplete.
 *
 * Called by readers through the option `upcast`. Source: DESIGN.md, The log, Evolution.
 */
import { JoblogError } from "./errors.ts";
import type { JsonObject, RecordedEvent } from "./event.ts";

/** Turns an event as stored into today's shape. */
export type Upcast = (event: RecordedEvent) => RecordedEvent;

/** Turns the `data` of one schema version into that of the next. Pure. */
export type Upcaster = (data: JsonObject, event: RecordedEvent) => JsonObject;

/** What is known of one event type. */
export interface TypeHistory {
  /** Today's schema version, 1 or more. */
  readonly schema: number;
  /** From each older version to the next: `schema` - 1 entries, that of version 1 first. */
  readonly upcasters?: readonly Upcaster[];
}

/** An upcast for readers, and what it could not understand. */
export interface ReaderUpcast {
  /** Passes unknown events on as they are stored. */
  readonly upcast: Upcast;
  /** Position of the first event that was passed on raw; undefined = all were understood. */
  readonly incompleteSince: () => number | undefined;
}

/** The event types that a program knows. */
export interface UpcastRegistry {
  /** Whether an event's type and schema version are known. */
  knows(event: Pick<RecordedEvent, "type" | "schema">): boolean;
  /** Today's schema version of a type; undefined = unknown type. */
  schemaOf(type: string): number | undefined;
  /**
   * The upcast of a writer.
   *
   * It throws a JoblogError with code "unknownEvent" at a type or version that is not known.
   */
  readonly forWriter: Upcast;
  /** A new upcast for one reader, with its own mark of incompleteness. */
  forReader(): ReaderUpcast;
}

/**
 * Makes a registry of event types.
 *
 * @param types today's schema version of each type, with the upcasters from every older one
 * @throws {JoblogError} code "invalidArgument" when a type lacks an upcaster or has too many
 *
 * @example A second shape of an event
 * ```ts
 * import { createUpcasts } from "./upcast.ts";
 * const upcasts = createUpcasts({
 *   SpeedSet: { schema: 2, upcasters: [(data) => ({ speedBytesPerSecond: data.speed ?? 0 })] },
 * });
 * if (upcasts.schemaOf("SpeedSet") !== 2) throw new Error("unexpected schema");
 * ```
 */
export function createUpcasts(types: Readonly<Record<string, TypeHistory>>): UpcastRegistry {
  const histories = new Map(Object.entries(types));
  for (const [type, history] of histories) checkHistory(type, history);
  const knows = (event: Pick<RecordedEvent, "type" | "schema">) => {
    const history = histories.get(event.type);
    return history !== undefined && event.schema >= 1 && event.schema <= history.schema;
  };
  const upcast = (event: RecordedEvent): RecordedEvent | undefined => {
    const history = histories.get(event.type);
    if (history === undefined || event.schema > history.schema) return undefined;
    if (event.schema === history.schema) return event;
    let data = event.data;
    for (const step of history.upcasters!.slice(event.schema - 1)) data = step(data, event);
    return { ...event, schema: history.schema, data };
  };
  return {
    knows,
    schemaOf: (type) => histories.get(type)?.schema,
    forWriter: (event) => {
      const today = upcast(event);
      if (today !== undefined) return today;
      throw unknown(event, histories.get(event.type)?.schema);
    },
    forReader: () => {
      let since: number | undefined;
      return {
        upcast: (event) => {
          const today = upcast(event);
          if (today !== undefined) return today;
          since = Math.min(since ?? event.position, event.position);
          return event;
        },
        incompleteSince: () => since,
      };
    },
  };
}

function checkHistory(type: string, history: TypeHistory): void {
  const count = history.upcasters?.length ?? 0;
  if (Number.isSafeInteger(history.schema) && history.schema === count + 1) return;
  throw new JoblogError(
    "invalidArgument",
    `Cannot register event type "${type}" at schema ${history.schema}: it has ${count} upcasters`,
    { subject: type, expected: history.schema - 1, actual: count },
  );
}

function unknown(event: RecordedEvent, known: number | undefined): JoblogError<"unknownEvent"> {
  const state = known === undefined
    ? "the type is not known"
    : `the newest known schema is ${known}`;
  return new JoblogError(
    "unknownEvent",
    `Cannot understand "${event.type}" schema ${event.schema} at position ${event.position}: ` +
      state,
    {
      subject: event.type,
      ...(known === undefined ? {} : { expected: known }),
      actual: event.schema,
      hint: "Use the program version that wrote the log, or a newer one.",
    },
  );
}
