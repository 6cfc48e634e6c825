/**
 * The check of the index of commands: under each command's id the store must give exactly the
 * records that carry the id. By this index a repeated command gets its first answer, so a row that
 * was changed would answer with somebody else's.
 *
 * Memory is one id per command that can be repeated. What cannot be found is a row under an id that
 * no record carries: the store only answers for ids that it is asked for.
 *
 * Source: DESIGN.md, The log, Commands are records.
 */
import { JoblogError } from "../log/errors.ts";
import type { RecordedEvent } from "../log/event.ts";
import type { EventReader } from "../log/store.ts";
import type { Faults } from "./faults.ts";

/** First and last record of one command. */
interface Range {
  readonly first: number;
  last: number;
}

/** See the head of this file. */
export class CommandIndexCheck {
  readonly #reader: EventReader;
  readonly #faults: Faults;
  readonly #ranges = new Map<string, Range>();

  /**
   * @param reader where the index is asked
   * @param faults where findings go
   */
  constructor(reader: EventReader, faults: Faults) {
    this.#reader = reader;
    this.#faults = faults;
  }

  /** Notes whose record this is. */
  note({ position, metadata }: RecordedEvent): void {
    const { commandId } = metadata;
    if (commandId === undefined) return;
    const range = this.#ranges.get(commandId);
    if (range === undefined) this.#ranges.set(commandId, { first: position, last: position });
    else range.last = position;
  }

  /** Asks the index about every command that was noted. */
  async finish(): Promise<void> {
    for (const [id, { first, last }] of this.#ranges) {
      const found = await this.#found(id);
      const expected = `records ${first} to ${last}`;
      if (found === expected) continue;
      this.#faults.add("command", first, `the index entry of command "${id}"`, expected, found);
    }
  }

  async #found(id: string): Promise<string> {
    try {
      const events = await this.#reader.command(id);
      if (events === undefined) return "none";
      return `records ${events[0]?.position} to ${events.at(-1)?.position}`;
    } catch (error) {
      if (error instanceof JoblogError) return error.message;
      throw error;
    }
  }
}
