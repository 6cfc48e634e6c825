/**
 * What goes out on one connection: replies and events, each in its place.
 *
 * - A reply takes the place of the record that answers its command, with what that command brought
 *   about at once: events of lower positions go before it, all later ones behind it.
 * - While a command is under way, events stop behind its answer until the reply is there.
 * - A reply may wait for what its command sets off: events go on, until one of them or a time says
 *   that it is its turn.
 * - Nothing is taken from the log while the other side does not read: what waits here is never more
 *   than one reply and one event beyond the socket's own buffer.
 *
 * Called by the session.
 */
import type { Entry, Ring, Source } from "./ring.ts";
import type { Settling } from "./settling.ts";

/** Where the bytes go. */
export interface Sink {
  /** Writes; false = no more for now, until it is drained. */
  write(text: string): boolean;
}

interface Reply {
  readonly text: string;
  /** Events up to here go first, but never any behind the answer. */
  readonly upTo: number;
  /** How it waits for what comes behind the answer; undefined = no longer. */
  settling: Settling | undefined;
  readonly written: () => void;
}

/** See the head of this file. */
export class Outbox {
  readonly #sink: Sink;
  readonly #conversation: string;
  #source: Source | undefined;
  #reply: Reply | undefined;
  #isHolding = false;
  /** The command whose answer was passed and whose reply is still to come. */
  #answered: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #canWrite = true;
  #isClosed = false;

  /** @param conversation the correlation id of the connection's commands */
  constructor(sink: Sink, conversation: string) {
    this.#sink = sink;
    this.#conversation = conversation;
  }

  /** False while the other side does not read. */
  get canWrite(): boolean {
    return this.#canWrite;
  }

  /** From now on events go out, from behind a position on. */
  begin(ring: Ring, after: number): void {
    this.#source = ring.source(after, () => this.#pump());
  }

  /** A command is under way that may be answered on record. */
  hold(): void {
    this.#isHolding = true;
  }

  /**
   * Gives the reply of the command that is under way.
   *
   * @param upTo the position that the reply is true of; 0 = of none
   * @param settling how it waits for what comes behind the answer
   * @returns resolves when it is written; never, once this is closed
   */
  reply(text: string, upTo: number, settling?: Settling): Promise<void> | undefined {
    const { promise, resolve } = Promise.withResolvers<void>();
    let isWritten = false;
    const reply: Reply = {
      text,
      upTo,
      settling,
      written: () => {
        isWritten = true;
        clearTimeout(this.#timer);
        resolve();
      },
    };
    this.#reply = reply;
    this.#wait(reply);
    this.#pump();
    return isWritten ? undefined : promise;
  }

  /** From now on a reply waits for what it waits for, so long at most. */
  #wait(reply: Reply): void {
    clearTimeout(this.#timer);
    if (reply.settling === undefined) return;
    this.#timer = setTimeout(() => {
      reply.settling = undefined;
      this.#pump();
    }, reply.settling.msMax);
  }

  /** Writes at once, before everything that waits. */
  now(text: string): void {
    if (!this.#isClosed) this.#canWrite = this.#sink.write(text) && this.#canWrite;
  }

  /** The other side has read. */
  drained(): void {
    this.#canWrite = true;
    this.#pump();
  }

  /** Nothing goes out any more. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#source?.close();
  }

  #pump(): void {
    const batch: string[] = [];
    let length = 0;
    // One write for what is at hand, but no more of it than a socket's buffer holds.
    while (this.#canWrite && !this.#isClosed) {
      const text = this.#next();
      if (text !== undefined) {
        batch.push(text);
        length += text.length;
      }
      if (batch.length > 0 && (text === undefined || length >= BATCH_LENGTH)) {
        this.#canWrite = this.#sink.write(batch.splice(0).join(""));
        length = 0;
      }
      if (text === undefined) return;
    }
  }

  /** The next text to go out; undefined = none for now. */
  #next(): string | undefined {
    for (;;) {
      const entry = this.#source?.peek();
      const isBehindAnswer = this.#answered !== undefined && entry?.causationId !== this.#answered;
      const reply = this.#reply;
      if (reply !== undefined && !this.#isAwaited(reply, entry, isBehindAnswer)) {
        this.#reply = undefined;
        this.#answered = undefined;
        this.#isHolding = false;
        reply.written();
        return reply.text;
      }
      if (entry === undefined) return undefined;
      if (this.#isHolding && isBehindAnswer && reply === undefined) return undefined;
      this.#source!.advance();
      const { answer } = entry;
      if (this.#isHolding && answer?.correlationId === this.#conversation) {
        this.#answered = answer.commandId;
      }
      if (entry.text !== "") return entry.text;
    }
  }

  /** True if an event goes out before the reply, or if it waits for one to come. */
  #isAwaited(reply: Reply, entry: Entry | undefined, isBehindAnswer: boolean): boolean {
    const position = this.#source?.position ?? Infinity;
    if (entry === undefined) {
      return position < reply.upTo || (reply.settling !== undefined && position < Infinity);
    }
    if (reply.settling === undefined || this.#answered === undefined) {
      return entry.position <= reply.upTo && !isBehindAnswer;
    }
    const verdict = reply.settling.judge(entry.milestone);
    if (verdict === "coming") this.#wait(reply);
    else if (verdict !== "wait") reply.settling = undefined;
    return verdict !== "before";
  }
}

const BATCH_LENGTH = 16_384;
