/**
 * Whether a live process stands behind what the log says, and since when.
 */
import type { JobEventData } from "../../events/job/mod.ts";
import { ENGINE_STREAM } from "../../events/job/mod.ts";
import type { RecordedEvent } from "../../events/log/event.ts";
import type { EventReader } from "../../events/log/store.ts";
import type { WriterViewValue } from "../contract.ts";

async function last(reader: EventReader, type: string): Promise<RecordedEvent | undefined> {
  const options = {
    direction: "backwards",
    stream: ENGINE_STREAM,
    types: [type],
    limit: 1,
  } as const;
  for await (const event of reader.readAll(options)) return event;
  return undefined;
}

/**
 * Looks who writes the log.
 *
 * A writer that was killed leaves no record of its end: it was there at least until the last
 * event, and that instant is given.
 *
 * @param isAlive true if a live process holds the log for writing
 */
export async function writerOf(reader: EventReader, isAlive: boolean): Promise<WriterViewValue> {
  const opened = await last(reader, "EngineOpened");
  if (opened === undefined) return { isAlive, isRunning: false, since: null, pid: null };
  const { pid, isRunning } = opened.data as JobEventData["EngineOpened"];
  if (isAlive) return { isAlive, isRunning, since: opened.time, pid };
  const closed = await last(reader, "EngineClosed");
  const hasClosed = closed !== undefined && closed.position > opened.position;
  const since = hasClosed ? closed.time : (await reader.end()).time;
  return { isAlive, isRunning: false, since, pid };
}
