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

/** Since when no process runs jobs; null = none ever did. */
async function idleSince(reader: EventReader): Promise<number | null> {
  const options = {
    direction: "backwards",
    stream: ENGINE_STREAM,
    types: ["EngineOpened", "EngineClosed"],
  } as const;
  let next: RecordedEvent | undefined;
  for await (const event of reader.readAll(options)) {
    const isRun = event.type === "EngineOpened" &&
      (event.data as JobEventData["EngineOpened"]).isRunning;
    if (!isRun) {
      next = event;
      continue;
    }
    if (next === undefined) return (await reader.end()).time;
    if (next.type === "EngineClosed") return next.time;
    const before = { direction: "backwards", from: next.position - 1, limit: 1 } as const;
    for await (const last of reader.readAll(before)) return last.time;
  }
  return null;
}

/**
 * Looks who writes the log.
 *
 * A process that only took verbs meanwhile does not count as one that ran jobs. One that was killed
 * leaves no record of its end: it was there at least until its last event, and that instant is
 * given.
 *
 * @param isAlive true if a live process holds the log for writing
 */
export async function writerOf(reader: EventReader, isAlive: boolean): Promise<WriterViewValue> {
  const opened = await last(reader, "EngineOpened");
  if (opened === undefined) return { isAlive, isRunning: false, since: null, pid: null };
  const { pid, isRunning } = opened.data as JobEventData["EngineOpened"];
  if (isAlive) return { isAlive, isRunning, since: opened.time, pid };
  return { isAlive, isRunning: false, since: await idleSince(reader), pid };
}
