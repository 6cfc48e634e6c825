/**
 * What command ids brought about: queued, recorded lately, or long ago.
 *
 * Called by the appender only.
 */
import { equalJson } from "./equal.ts";
import { JoblogError } from "./errors.ts";
import { Generations } from "./generations.ts";
import type { RecordedEvent } from "./event.ts";
import type { Group } from "./group.ts";
import type { AppendRequest } from "./store.ts";

/** The events of a command, and the group that makes or made them durable. */
export interface CommandOutcome {
  /** The events, as recorded. */
  readonly events: readonly RecordedEvent[];
  /** Their group. */
  readonly group: Group;
}

/** Reads what a command id recorded in the past. */
export type CommandLookup = (id: string) => Promise<readonly RecordedEvent[] | undefined>;

/** Outcomes by command id; those that are not durable yet are never forgotten. */
export class CommandOutcomes {
  readonly #lookup: CommandLookup;
  readonly #outcomes: Generations<CommandOutcome>;
  readonly #end: () => number;

  /**
   * @param lookup reads from the store
   * @param limit outcomes remembered after they are durable
   * @param end position up to which everything is durable
   */
  constructor(lookup: CommandLookup, limit: number, end: () => number) {
    this.#lookup = lookup;
    this.#end = end;
    this.#outcomes = new Generations(limit, (outcome) => !this.isDurable(outcome));
  }

  /** Whether the outcome of an id is remembered. */
  has(id: string): boolean {
    return this.#outcomes.get(id) !== undefined;
  }

  /** Remembers an outcome. */
  set(id: string, outcome: CommandOutcome): void {
    this.#outcomes.set(id, outcome);
  }

  /**
   * The remembered outcome of a request's command id.
   *
   * @throws {JoblogError} code "commandReused" when it recorded other events
   */
  known(request: AppendRequest): CommandOutcome | undefined {
    if (request.commandId === undefined) return undefined;
    const outcome = this.#outcomes.get(request.commandId);
    if (outcome !== undefined) requireSame(request, outcome.events);
    return outcome;
  }

  /** Reads the events of an id from the store, unless its outcome is remembered. */
  async past(id: string | undefined): Promise<readonly RecordedEvent[] | undefined> {
    return id === undefined || this.has(id) ? undefined : await this.#lookup(id);
  }

  /** Whether the events of an outcome are durable. */
  isDurable(outcome: CommandOutcome): boolean {
    return outcome.events.at(-1)!.position <= this.#end();
  }

  /** Resolves when the events of an outcome are durable. */
  durable(outcome: CommandOutcome): Promise<void> {
    return this.isDurable(outcome) ? Promise.resolve() : outcome.group.durable;
  }
}

/**
 * The recorded events, if the request would record the same again.
 *
 * @throws {JoblogError} code "commandReused" otherwise
 */
export function requireSame(
  request: AppendRequest,
  recorded: readonly RecordedEvent[],
): readonly RecordedEvent[] {
  if (sameEvents(request, recorded)) return recorded;
  const id = request.commandId!;
  throw new JoblogError("commandReused", `Cannot append command "${id}": it recorded others`, {
    subject: id,
    actual: recorded[0]!.position,
    hint: "Use a new command id for another command.",
  });
}

/** Whether an append would record these very events: streams, types, schemas and data. */
function sameEvents(request: AppendRequest, recorded: readonly RecordedEvent[]): boolean {
  let i = 0;
  for (const part of request.streams) {
    for (const event of part.events) {
      const known = recorded[i++];
      if (known === undefined || known.stream !== part.stream) return false;
      if (known.type !== event.type || known.schema !== (event.schema ?? 1)) return false;
      if (!equalJson(known.data, event.data)) return false;
    }
  }
  return i === recorded.length;
}
