/**
 * Commands with an idempotency key: a repeat gets the first answer, and appends nothing.
 *
 * A repeat may come while the first is under way, after it, or in a later process.
 */
import type { RecordedEvent } from "../../events/log/event.ts";
import { JoblogError } from "../../events/log/errors.ts";
import type { JobEvent, JobEventData } from "../../events/job/mod.ts";
import type { Engine } from "./engine.ts";
import { refusalError } from "./refusal_error.ts";
import type { CommandHead, CommandRecord } from "./requests.ts";

type Answered = RecordedEvent & JobEvent & { readonly type: "VerbAccepted" | "VerbRefused" };

/** Remembers what is under way; what is over is in the log. */
export class Repeats {
  readonly #engine: Engine;
  readonly #underWay = new Map<string, { record: CommandRecord; done: Promise<unknown> }>();

  /** @param engine whose log has the answers */
  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /**
   * Runs a command unless it was run before.
   *
   * @param key as the client named the command
   * @param run the command
   * @param repeat makes the result from the command's own events
   * @throws {JoblogError} code "idempotencyConflict" when the key named another command
   */
  async once<T>(
    key: string,
    head: CommandHead,
    record: CommandRecord,
    run: () => Promise<T>,
    repeat: (events: readonly RecordedEvent[]) => T,
  ): Promise<T> {
    const { commandId } = head;
    const first = this.#underWay.get(commandId);
    if (first !== undefined) {
      assertSame(key, first.record, record);
      return await (first.done as Promise<T>);
    }
    const done = this.#runOrRepeat(key, head, record, run, repeat);
    this.#underWay.set(commandId, { record, done });
    try {
      return await done;
    } finally {
      this.#underWay.delete(commandId);
    }
  }

  async #runOrRepeat<T>(
    key: string,
    { commandId }: CommandHead,
    record: CommandRecord,
    run: () => Promise<T>,
    repeat: (events: readonly RecordedEvent[]) => T,
  ): Promise<T> {
    const events = await this.#engine.options.store.command(commandId);
    if (events === undefined) return await run();
    const answer = events.find(({ type }) => type === "VerbAccepted" || type === "VerbRefused");
    if (answer === undefined) throw new Error(`Command ${commandId} has no record`);
    const { type, data } = answer as Answered;
    assertSame(key, data, record);
    if (type === "VerbRefused") throw refusalError(data, record.subject);
    if (data.isAnsweredLater === true) await this.#laterAnswer(answer, commandId);
    return repeat(events);
  }

  async #laterAnswer({ stream, position }: RecordedEvent, commandId: string): Promise<void> {
    // Asked of the durable state and not of the log, which may have the answer while it is read.
    if (this.#engine.isAwaited(commandId)) return await this.#engine.waits.answer(commandId);
    const types = ["VerbAnswered"];
    const { store } = this.#engine.options;
    for await (const event of store.readAll({ from: position + 1, stream, types })) {
      const data = event.data as JobEventData["VerbAnswered"];
      if (data.commandId !== commandId) continue;
      if (data.code !== undefined) throw refusalError({ code: data.code, text: data.text ?? "" });
      return;
    }
    throw new Error(`Command ${commandId} has no answer`);
  }
}

function assertSame(key: string, first: CommandRecord, now: CommandRecord): void {
  const text = ({ verb, subject, arguments: args }: CommandRecord) =>
    JSON.stringify([verb, subject, args]);
  if (text(first) === text(now)) return;
  throw new JoblogError(
    "idempotencyConflict",
    `Cannot repeat command "${key}": it was "${first.verb}" of "${first.subject}" with other ` +
      "arguments",
    { subject: key, expected: text(first), actual: text(now), hint: "Use a new key." },
  );
}
