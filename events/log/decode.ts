/** Reading stored rows back as events. Called by the readers, subscriptions and verifiers. */
import { JoblogError } from "./errors.ts";
import type { StoredRecord } from "./backend.ts";
import type { RecordedEvent } from "./event.ts";

/**
 * Decodes a stored row and compares it with its index columns.
 *
 * The hash is not checked here: that is the verifier's work.
 *
 * @throws {JoblogError} code "logDamaged" when the text is no record or contradicts its columns
 */
export function decodeRecord(row: StoredRecord): RecordedEvent {
  let event: RecordedEvent;
  try {
    event = JSON.parse(row.text);
  } catch (cause) {
    throw damaged(row.position, "its text is no JSON", cause);
  }
  if (
    event === null || typeof event !== "object" || event.position !== row.position ||
    event.stream !== row.stream || event.version !== row.version || event.type !== row.type ||
    event.time !== row.time || typeof event.data !== "object" || event.data === null ||
    typeof event.metadata !== "object" || event.metadata === null
  ) {
    throw damaged(row.position, "its text contradicts its index columns", undefined);
  }
  return event;
}

function damaged(position: number, state: string, cause: unknown): JoblogError<"logDamaged"> {
  return new JoblogError("logDamaged", `Cannot read the record at position ${position}: ${state}`, {
    subject: String(position),
    hint: "Verify the log to find every fault, and restore it from a copy.",
    cause,
  });
}
