/**
 * The cause chain of an event: from its direct cause to the command or signal at the root.
 *
 * A causation id is either `@n`, the global position of an event, or a command id, whose record is
 * the `VerbAccepted` or `VerbRefused` with that id. Pure: the events come from a
 * {@linkcode CauseSource} that was filled before.
 */
import type { RecordedEvent } from "../log/event.ts";
import type { ReadAllOptions } from "../log/store.ts";
import type { JobEvent, JobEventType } from "./events.ts";
import { isJobEvent, jobStream, runIdOfStream } from "./events.ts";

/** Longest chain that is followed; a longer one is cut, because chains of decisions are short. */
export const CHAIN_MAX = 32;

/** Where the events of a chain come from. */
export interface CauseSource {
  /** The event at a position, if it is known. */
  event(position: number): JobEvent | undefined;
  /** The record of a command, if it is known. */
  command(id: string): JobEvent | undefined;
  /** The last known event of a type in a stream before a position. */
  lastBefore(stream: string, type: JobEventType, position: number): JobEvent | undefined;
  /** The id that users know a job by; undefined = not known. */
  nameOf(runId: string): string | undefined;
}

/** A reference of a causation id: a position or a command. */
export type CauseReference =
  | { readonly kind: "event"; readonly position: number }
  | { readonly kind: "command"; readonly id: string };

/** Reads a causation id; undefined when the event has none, or one that points nowhere. */
export function causeReference(event: RecordedEvent | JobEvent): CauseReference | undefined {
  const id = event.metadata.causationId;
  if (id === undefined) return undefined;
  if (!id.startsWith("@")) return { kind: "command", id };
  const position = Number(id.slice(1));
  return Number.isSafeInteger(position) && position > 0 ? { kind: "event", position } : undefined;
}

/** Events by position, commands and names: a source that is filled by hand. */
export class KnownCauses implements CauseSource {
  readonly #events = new Map<number, JobEvent>();
  readonly #commands = new Map<string, JobEvent>();
  readonly #names = new Map<string, string>();
  readonly #runs = new Set<string>();

  /** Makes an event known; a command's record and a job's name become known with it. */
  add(event: RecordedEvent | JobEvent): void {
    if (!isJobEvent(event as RecordedEvent)) return;
    const known = event as JobEvent;
    this.#events.set(known.position, known);
    if (known.type === "VerbAccepted" || known.type === "VerbRefused") {
      this.#commands.set(known.data.commandId, known);
    } else if (known.type === "JobCreated") {
      this.#runs.add(known.data.runId);
      if (known.data.id !== null) this.#names.set(known.data.runId, known.data.id);
    }
  }

  /** Whether the creation of a run was looked for already. */
  knowsRun(runId: string): boolean {
    return this.#runs.has(runId);
  }

  /** Notes that the creation of a run is looked for. */
  markRun(runId: string): void {
    this.#runs.add(runId);
  }

  event(position: number): JobEvent | undefined {
    return this.#events.get(position);
  }

  command(id: string): JobEvent | undefined {
    return this.#commands.get(id);
  }

  lastBefore(stream: string, type: JobEventType, position: number): JobEvent | undefined {
    let last: JobEvent | undefined;
    for (const event of this.#events.values()) {
      if (event.stream !== stream || event.type !== type || event.position >= position) continue;
      if (last === undefined || event.position > last.position) last = event;
    }
    return last;
  }

  nameOf(runId: string): string | undefined {
    return this.#names.get(runId);
  }
}

/** The direct cause of an event, recorded or implied. */
export function causeOf(event: JobEvent, source: CauseSource): JobEvent | undefined {
  const reference = causeReference(event);
  if (reference?.kind === "event") return source.event(reference.position);
  if (reference?.kind === "command") {
    const record = source.command(reference.id);
    return record?.position === event.position ? undefined : record;
  }
  // A commit follows the last prepare; what set it going is the finalization before it.
  if (event.type === "TxnDecided" && event.data.decision === "commit") {
    return source.lastBefore(event.stream, "TxnFinalizing", event.position);
  }
  return undefined;
}

/**
 * The causes of an event, the direct one first, the root last; empty when it has none.
 *
 * A chain ends at a command, at an event without a cause, at one that the source does not know,
 * or after {@linkcode CHAIN_MAX} links.
 */
export function causeChain(event: JobEvent, source: CauseSource): readonly JobEvent[] {
  const chain: JobEvent[] = [];
  let at = causeOf(event, source);
  while (at !== undefined && chain.length < CHAIN_MAX) {
    chain.push(at);
    at = causeOf(at, source);
  }
  return chain;
}

const RECORDS = ["VerbAccepted", "VerbRefused"] as const;

/**
 * The reads of a log that make the causes of some events known.
 *
 * The caller does each read and adds what it finds before it asks for the next one:
 *
 * ```ts ignore
 * for (const read of causeReads(events, known)) {
 *   for await (const event of reader.readAll(read)) known.add(event);
 * }
 * ```
 *
 * The record of a command stands in the append of its effects, so the nearest record before or
 * after them is tried first; only a cause from far away asks for all records.
 *
 * @param events whose causes are wanted; they are added to `known`
 * @param known what is known already is not asked for
 */
export function* causeReads(
  events: Iterable<JobEvent>,
  known: KnownCauses,
): Generator<ReadAllOptions, void, void> {
  for (const event of events) {
    let at: JobEvent | undefined = event;
    for (let i = 0; i < CHAIN_MAX && at !== undefined; i++) {
      known.add(at);
      yield* nameReads(at, known);
      const reference = causeReference(at);
      if (reference?.kind === "command") {
        // The record of a command is a root.
        yield* recordReads(reference.id, at.position, known);
        break;
      }
      yield* reference === undefined
        ? impliedReads(at, known)
        : eventReads(reference.position, known);
      at = causeOf(at, known);
    }
  }
}

function* eventReads(position: number, known: KnownCauses): Generator<ReadAllOptions> {
  if (known.event(position) === undefined) yield { from: position, to: position };
}

function* recordReads(id: string, near: number, known: KnownCauses): Generator<ReadAllOptions> {
  const nearest = { from: near, types: RECORDS, limit: 1 };
  const reads: readonly ReadAllOptions[] = [
    { ...nearest, direction: "backwards" },
    { ...nearest, direction: "forwards" },
    { types: RECORDS },
  ];
  for (const read of reads) if (known.command(id) === undefined) yield read;
}

function* impliedReads(event: JobEvent, known: KnownCauses): Generator<ReadAllOptions> {
  if (event.type !== "TxnDecided" || event.data.decision !== "commit") return;
  if (known.lastBefore(event.stream, "TxnFinalizing", event.position) !== undefined) return;
  const { stream, position: from } = event;
  yield { direction: "backwards", from, stream, types: ["TxnFinalizing"], limit: 1 };
}

/** Sentences name jobs by id; the creation of a run knows it. */
function* nameReads(event: JobEvent, known: KnownCauses): Generator<ReadAllOptions> {
  const runIds = [runIdOfStream(event.stream)];
  if (event.type === "TxnDecided") runIds.push(event.data.trigger ?? undefined);
  for (const runId of runIds) {
    if (runId === undefined || known.knowsRun(runId)) continue;
    known.markRun(runId);
    yield { stream: jobStream(runId), types: ["JobCreated"], limit: 1 };
  }
}
