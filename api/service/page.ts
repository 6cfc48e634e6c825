/**
 * Pages of events: keyset by position, with a token that says where the next one begins.
 */
import type { EventReader } from "../../events/log/store.ts";
import { EventsQuery, type EventsQueryValue, PAGE_EVENTS_DEFAULT } from "../contract.ts";
import type { EventsReplyValue } from "../contract.ts";
import { invalidRequest, parsed } from "./request.ts";

type Direction = "forwards" | "backwards";

interface Start {
  readonly direction: Direction;
  readonly from: number | undefined;
}

function tokenOf(direction: Direction, from: number): string {
  return btoa(`${direction[0]}${from}`).replaceAll("=", "");
}

function startOf(query: EventsQueryValue): Start {
  if (query.page === undefined) {
    const direction = query.direction ?? "forwards";
    if (query.after !== undefined && (direction === "backwards" || query.from !== undefined)) {
      throw invalidRequest("after", 'cannot be used with "from" or backwards');
    }
    return { direction, from: query.after === undefined ? query.from : query.after + 1 };
  }
  const text = /^[\w+/]{1,40}$/.test(query.page) ? decoded(query.page) : "";
  const match = /^([fb])(\d{1,15})$/.exec(text);
  if (match === null) throw invalidRequest("page", "is no token of a page", query.page);
  const direction = match[1] === "f" ? "forwards" : "backwards";
  return { direction, from: Number(match[2]) };
}

function decoded(token: string): string {
  try {
    return atob(token);
  } catch {
    return "";
  }
}

/**
 * Reads one page.
 *
 * @param stream only this stream
 * @throws {JoblogError} code "invalidRequest" when an option is out of range or the token is none
 */
export async function eventsPage(
  reader: EventReader,
  input: unknown,
  stream: string | undefined,
): Promise<EventsReplyValue> {
  const query = parsed(EventsQuery, input);
  const { direction, from } = startOf(query);
  const limit = query.limit ?? PAGE_EVENTS_DEFAULT;
  const { position } = await reader.end();
  const events = [];
  const isEmpty = from !== undefined && (direction === "forwards" ? from > position : from < 1);
  const options = {
    direction,
    limit: limit + 1,
    ...(from === undefined ? {} : { from: Math.max(1, from) }),
    ...(direction === "forwards" ? { to: position } : {}),
    ...(stream === undefined ? {} : { stream }),
    ...(query.type === undefined ? {} : { types: query.type }),
  };
  if (!isEmpty && position > 0) {
    for await (const event of reader.readAll(options)) events.push(event);
  }
  const next = events.length > limit ? tokenOf(direction, events.pop()!.position) : null;
  return { events, next, position };
}
