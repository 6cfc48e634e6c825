/**
 * The live end of a log: how far it is durable, and the last events, kept once for all followers.
 *
 * Invariants:
 *
 * - `end` only grows, and everything up to it is durable;
 * - the ring holds the events `first` to `end` without a hole, at most `maxEvents` of them and at
 *   most `maxLength` of text, however many followers there are and however slow they are; it is
 *   empty while nobody follows.
 *
 * The appender of a writer publishes here; a reader learns from its backend how far the log went
 * and keeps no ring. Called by the appender, `event_store.ts` and subscriptions.
 */
import type { EncodedRecord } from "./backend.ts";
import type { RecordedEvent } from "./event.ts";

/** Bounds of the ring. */
export interface FeedOptions {
  /** Events kept at most. @default 4,096 */
  readonly maxEvents?: number;
  /** Text of these events at most, in UTF-16 units. @default 16 MiB */
  readonly maxLength?: number;
}

/** See the head of this file. */
export class Feed {
  readonly #slots: (RecordedEvent | undefined)[];
  readonly #lengths: number[];
  readonly #capacity: number;
  readonly #maxLength: number;
  readonly #followers = new Set<() => void>();
  #first: number;
  #end: number;
  #length = 0;
  #known: boolean;

  /** @param end position up to which the log is durable; undefined = not read yet */
  constructor(end: number | undefined, options: FeedOptions = {}) {
    this.#capacity = Math.max(1, options.maxEvents ?? 4_096);
    this.#maxLength = options.maxLength ?? 16 * 1_048_576;
    this.#slots = [];
    this.#lengths = [];
    this.#known = end !== undefined;
    this.#end = end ?? 0;
    this.#first = this.#end + 1;
  }

  /** Position up to which everything is durable. */
  get end(): number {
    return this.#end;
  }

  /** False until a reader has learnt where the log ends. */
  get known(): boolean {
    return this.#known;
  }

  /** The oldest position in the ring; `end` + 1 if it is empty. */
  get first(): number {
    return this.#first;
  }

  /** How many followers wait for news. */
  get followerCount(): number {
    return this.#followers.size;
  }

  /** An event of the ring; `position` is `first` to `end`. */
  at(position: number): RecordedEvent {
    return this.#slots[position % this.#capacity]!;
  }

  /** Adds durable events that follow `end`, and wakes the followers. */
  publish(events: readonly RecordedEvent[], records: readonly EncodedRecord[]): void {
    if (this.#followers.size === 0) return this.#pass(events.at(-1)!.position);
    for (let i = 0; i < events.length; i++) {
      const event = events[i]!;
      const length = records[i]!.text.length;
      if (this.#end - this.#first + 1 >= this.#capacity) this.#drop();
      const slot = event.position % this.#capacity;
      this.#slots[slot] = event;
      this.#lengths[slot] = length;
      this.#length += length;
      this.#end = event.position;
      while (this.#length > this.#maxLength && this.#first < this.#end) this.#drop();
    }
    this.#wake();
  }

  /** Notes that the log is durable up to `end` through another process, and wakes the followers. */
  advance(end: number): void {
    this.#known = true;
    if (end > this.#end) {
      this.#end = end;
      this.#first = end + 1;
    }
    this.#wake();
  }

  /** Calls back after each growth, synchronously and quickly. Returns a stop. */
  follow(wake: () => void): () => void {
    this.#followers.add(wake);
    return () => void this.#followers.delete(wake);
  }

  /** Keeps nothing while nobody follows: a later follower reads what it missed from the store. */
  #pass(end: number): void {
    this.#slots.length = 0;
    this.#length = 0;
    this.#end = end;
    this.#first = end + 1;
  }

  #drop(): void {
    const slot = this.#first % this.#capacity;
    this.#length -= this.#lengths[slot]!;
    this.#slots[slot] = undefined;
    this.#first++;
  }

  #wake(): void {
    for (const wake of this.#followers) wake();
  }
}
