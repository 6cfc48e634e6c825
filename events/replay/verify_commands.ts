/**
 * The checks of commands and causes: each command leaves exactly one record, each later answer
 * comes once and in time, each cause is something earlier.
 *
 * - The record of a creation stands behind its effects, within the same append; so a command may be
 *   owed for a while, and the end of the log settles it.
 * - Memory is one id per command and nothing per step.
 *
 * Source: DESIGN.md, The log, Commands are records.
 */
import type { JobEvent } from "../job/mod.ts";
import type { RecordedEvent } from "../log/event.ts";
import type { Faults } from "./faults.ts";

/** What was checked of the commands. */
export interface CommandCounts {
  /** Commands: accepted + refused. */
  commands: number;
  /** Of these, accepted. */
  accepted: number;
  /** Of these, refused. */
  refused: number;
  /** Later answers. */
  answered: number;
  /** Accepted commands whose answer is still to come. */
  open: number;
}

/** A command whose answer is to follow. */
interface Awaited {
  readonly position: number;
  readonly stream: string;
}

/** See the head of this file. */
export class CommandCheck {
  /** What was checked so far. */
  readonly counts: CommandCounts = { commands: 0, accepted: 0, refused: 0, answered: 0, open: 0 };
  readonly #faults: Faults;
  readonly #records = new Set<string>();
  readonly #owed = new Map<string, number>();
  readonly #awaited = new Map<string, Awaited>();

  /** @param faults where findings go */
  constructor(faults: Faults) {
    this.#faults = faults;
  }

  /** Checks the causation id of a record. */
  checkCause({ position, metadata }: RecordedEvent): void {
    const { causationId } = metadata;
    if (causationId === undefined) return;
    if (causationId.charCodeAt(0) !== 64) {
      if (!this.#records.has(causationId) && !this.#owed.has(causationId)) {
        this.#owed.set(causationId, position);
      }
      return;
    }
    const cause = Number(causationId.slice(1));
    if (Number.isSafeInteger(cause) && cause >= 1 && cause < position) return;
    const expected = `an event before ${position}`;
    this.#faults.add("cause", position, "its cause", expected, `"${causationId}"`);
  }

  /** Checks a record, a refusal or an answer. */
  checkRecord(event: JobEvent): void {
    const { position, stream } = event;
    if (event.type === "VerbAnswered") return this.#answer(event.data.commandId, position);
    if (event.type !== "VerbAccepted" && event.type !== "VerbRefused") return;
    const { commandId } = event.data;
    this.counts.commands += 1;
    if (event.type === "VerbRefused") this.counts.refused += 1;
    else this.counts.accepted += 1;
    if (this.#records.has(commandId)) {
      this.#faults.add("command", position, `command "${commandId}"`, "one record", "two");
    }
    this.#records.add(commandId);
    this.#owed.delete(commandId);
    if (event.type === "VerbAccepted" && event.data.isAnsweredLater === true) {
      this.#awaited.set(commandId, { position, stream });
    }
  }

  #answer(commandId: string, position: number): void {
    this.counts.answered += 1;
    if (this.#awaited.delete(commandId)) return;
    const what = `the answer to command "${commandId}"`;
    this.#faults.add("command", position, what, "an accepted command that waits for it", "none");
  }

  /**
   * Settles what is owed at the end of the log.
   *
   * @param isOver says whether the transaction of a stream has ended
   */
  finish(isOver: (stream: string) => boolean): void {
    for (const [commandId, position] of this.#owed) {
      const what = `its cause, command "${commandId}"`;
      this.#faults.add("cause", position, what, "a record of the command", "none");
    }
    for (const [commandId, { position, stream }] of this.#awaited) {
      if (!isOver(stream)) this.counts.open += 1;
      else {
        const what = `command "${commandId}"`;
        this.#faults.add("command", position, what, "an answer: its transaction is over", "none");
      }
    }
  }
}
