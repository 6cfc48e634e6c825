/**
 * Giving an append its place: checks, positions, versions, times and texts, all synchronous.
 *
 * Invariant: everything is checked before anything is assigned, so a refused append leaves the
 * head as it was.
 *
 * Called by the appender only; this is the hot path.
 */
import {
  checkCommandId,
  checkType,
  encodeData,
  encodeMetadata,
  lastRewritten,
  MAX_RECORD_LENGTH,
} from "./codec.ts";
import { JoblogError } from "./errors.ts";
import { joinMarked } from "./record_text.ts";
import type { Group } from "./group.ts";
import { hashMarked, LEAF_MARK } from "./merkle.ts";
import { checkExpected, type StreamHeads, UNKNOWN } from "./stream_heads.ts";
import type { EventMetadata, NewEvent, RecordedEvent } from "./event.ts";
import type { AppendRequest } from "./store.ts";

/** An append that passed all checks and has no place yet. */
export interface CheckedAppend {
  /** Texts of data and metadata by turns, in the order of the events. */
  readonly texts: readonly string[];
  /** Length of all texts together, in UTF-16 units, the fixed parts estimated from above. */
  readonly length: number;
  /** How many events. */
  readonly count: number;
  /** Members that have to be read back from their text, because the text says less. */
  readonly rewritten: boolean;
}

/** Upper bound of the fixed keys, numbers and names of a record's text. */
const FIXED_LENGTH = 420;

/** The metadata with the append's command id in it. */
function stamped(metadata: EventMetadata, commandId: string | undefined): EventMetadata {
  if (commandId === undefined || metadata.commandId !== undefined) return metadata;
  return { ...metadata, commandId };
}

/**
 * Checks an append against the head and encodes its events.
 *
 * @throws {JoblogError} codes "versionConflict", "invalidRecord", "invalidArgument"
 */
export function checkAppend(request: AppendRequest, heads: StreamHeads): CheckedAppend {
  const texts: string[] = [];
  if (request.commandId !== undefined) checkCommandId(request.commandId);
  const mark = heads.nextMark();
  let length = 0;
  let rewritten = false;
  for (const part of request.streams) {
    const head = heads.head(part.stream);
    if (head.mark !== mark) {
      checkExpected(part, head.version);
      head.mark = mark;
    }
    if (part.events.length === 0) throw empty(`stream "${part.stream}" gets no event`);
    for (const event of part.events) {
      checkType(event.type, event.schema ?? 1);
      const data = encodeData(event.data);
      rewritten ||= lastRewritten();
      const metadata = encodeMetadata(stamped(event.metadata, request.commandId));
      rewritten ||= lastRewritten();
      const size = data.length + metadata.length;
      if (size > MAX_RECORD_LENGTH) throw tooLong(event, size);
      texts.push(data, metadata);
      length += size + FIXED_LENGTH;
    }
  }
  if (texts.length === 0) throw empty("it has no stream");
  return { texts, length, count: texts.length / 2, rewritten };
}

function empty(state: string): JoblogError<"invalidArgument"> {
  return new JoblogError("invalidArgument", `Cannot append: ${state}`, {
    hint: "An append carries at least one stream, and each of its streams at least one event.",
  });
}

function tooLong(event: NewEvent, size: number): JoblogError<"invalidRecord"> {
  return new JoblogError("invalidRecord", `Cannot record "${event.type}": it is too long`, {
    subject: event.type,
    expected: MAX_RECORD_LENGTH,
    actual: size,
    hint: "Split the event, or keep the bulk beside the log and record its digest.",
  });
}

/**
 * Gives a checked append its place at the end of a group and advances the heads.
 *
 * @param last position before it
 * @param time ms since 1970 UTC of all its events
 * @returns the events as recorded
 */
export function placeAppend(
  request: AppendRequest,
  checked: CheckedAppend,
  heads: StreamHeads,
  group: Group,
  last: number,
  time: number,
): readonly RecordedEvent[] {
  const recorded: RecordedEvent[] = [];
  const { texts, rewritten } = checked;
  let position = last;
  let next = 0;
  for (const part of request.streams) {
    const stream = part.stream;
    const head = heads.head(stream);
    if (head.version === UNKNOWN) {
      head.version = typeof part.expectedVersion === "number" ? part.expectedVersion : 0;
    }
    for (const event of part.events) {
      const version = ++head.version;
      const { type, schema = 1 } = event;
      const dataText = texts[next++]!;
      const metadataText = texts[next++]!;
      position++;
      const marked = joinMarked(
        position,
        stream,
        version,
        type,
        schema,
        time,
        dataText,
        metadataText,
      );
      // Hashing makes one piece of the joined parts; the text is then a view of that piece, and
      // neither the store nor the garbage collector meets the parts again.
      const leaf = hashMarked(marked);
      const text = marked.slice(LEAF_MARK.length);
      const data = rewritten ? JSON.parse(dataText) : event.data;
      const metadata = rewritten
        ? JSON.parse(metadataText)
        : stamped(event.metadata, request.commandId);
      const full = { position, stream, version, type, schema, time, data, metadata };
      recorded.push(full);
      group.events.push(full);
      group.records.push({ position, stream, version, type, time, text, leaf });
      group.length += text.length;
    }
    head.lastPosition = position;
  }
  return recorded;
}
