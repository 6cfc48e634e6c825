/**
 * The last events of the log, as text, once for all connections.
 *
 * - One follower of the log and one projection, however many connections there are. A connection
 *   keeps a place in the ring and nothing else; one that is slow costs only its own delay.
 * - The ring is bounded. A connection whose place has left it reads the log itself from then on.
 */
import type { LiveJobs, WireItem } from "../service.ts";
import { jsonOf } from "./json/value.ts";

/** One recorded event, with its messages as they go out. */
export interface Entry extends Omit<WireItem, "messages"> {
  /** The lines of all its messages; often empty. */
  readonly text: string;
}

/** Where a connection takes its events from. */
export interface Source {
  /** The next event; undefined = none yet. */
  peek(): Entry | undefined;
  /** Takes the next event away. */
  advance(): void;
  /** Everything up to here was taken or can be taken; Infinity when nothing more will come. */
  readonly position: number;
  /** Ends it. */
  close(): void;
}

/** Entries that are kept at most. */
const ENTRIES_MAX = 4_096;
/** Text that is kept at most, in characters. */
const TEXT_MAX = 4 * 1_048_576;

/** An event with its messages as lines. */
export function entryOf({ messages, ...item }: WireItem): Entry {
  const text = messages.map((message) => `${jsonOf(message)}\r\n`).join("");
  return { ...item, text };
}

/** See the head of this file. */
export class Ring {
  readonly #live: LiveJobs;
  readonly #ended = new AbortController();
  readonly #entries: (Entry | undefined)[] = [];
  readonly #listeners = new Set<() => void>();
  /** Number of the first entry that is kept, and of the one behind the last. */
  #first = 0;
  #next = 0;
  #text = 0;
  #position: number;
  /** Resolves when nothing more comes. */
  readonly over: Promise<void>;

  /** Begins to follow at the end of the log. */
  constructor(live: LiveJobs) {
    this.#live = live;
    this.#position = live.position;
    this.over = this.#follow(live.follow(this.#ended.signal));
  }

  /** Takes events from behind a position on; `wake` is called when there are more. */
  source(after: number, wake: () => void): Source {
    return new RingSource(this, this.#live, after, wake);
  }

  /** Number of the next entry to come. */
  get next(): number {
    return this.#next;
  }

  /** Position up to which all entries are here. */
  get position(): number {
    return this.#position;
  }

  /** An entry by its number: undefined = not yet; "gone" = no longer. */
  at(number: number): Entry | "gone" | undefined {
    if (number < this.#first) return "gone";
    return number < this.#next ? this.#entries[number % ENTRIES_MAX] : undefined;
  }

  /** Is called after each growth; returns a stop. */
  listen(wake: () => void): () => void {
    this.#listeners.add(wake);
    return () => void this.#listeners.delete(wake);
  }

  /** Ends it. */
  close(): void {
    this.#ended.abort();
  }

  async #follow(items: AsyncIterable<WireItem>): Promise<void> {
    try {
      for await (const item of items) this.#add(entryOf(item));
    } finally {
      this.#position = Infinity;
      this.#wake();
    }
  }

  #add(entry: Entry): void {
    while (this.#next - this.#first >= ENTRIES_MAX || this.#text > TEXT_MAX) this.#drop();
    this.#entries[this.#next % ENTRIES_MAX] = entry;
    this.#next += 1;
    this.#text += entry.text.length;
    this.#position = entry.position;
    this.#wake();
  }

  #drop(): void {
    const slot = this.#first % ENTRIES_MAX;
    this.#text -= this.#entries[slot]!.text.length;
    this.#entries[slot] = undefined;
    this.#first += 1;
  }

  #wake(): void {
    for (const wake of this.#listeners) wake();
  }
}

class RingSource implements Source {
  readonly #ring: Ring;
  readonly #live: LiveJobs;
  readonly #wake: () => void;
  readonly #stop: () => void;
  readonly #ended = new AbortController();
  #number: number;
  #seen: number;
  /** The log itself, once the ring has gone on without this one. */
  #own: { entry: Entry | undefined; iterator: AsyncIterator<WireItem> | undefined } | undefined;
  #isOver = false;

  constructor(ring: Ring, live: LiveJobs, after: number, wake: () => void) {
    this.#ring = ring;
    this.#live = live;
    this.#wake = wake;
    this.#number = ring.next;
    this.#seen = after;
    this.#stop = ring.listen(wake);
  }

  get position(): number {
    if (this.#isOver) return Infinity;
    return this.#own === undefined ? this.#ring.position : this.#own.entry?.position ?? this.#seen;
  }

  peek(): Entry | undefined {
    if (this.#own !== undefined) return this.#own.entry;
    for (;;) {
      const entry = this.#ring.at(this.#number);
      if (entry === "gone") {
        this.#own = { entry: undefined, iterator: undefined };
        void this.#read();
        return undefined;
      }
      if (entry === undefined || entry.position > this.#seen) return entry;
      this.#number += 1;
    }
  }

  advance(): void {
    if (this.#own === undefined) {
      this.#seen = (this.#ring.at(this.#number) as Entry).position;
      this.#number += 1;
      return;
    }
    this.#seen = this.#own.entry!.position;
    this.#own.entry = undefined;
    void this.#read();
  }

  close(): void {
    this.#stop();
    this.#ended.abort();
  }

  /** One event at a time, and the next one only when this one was taken. */
  async #read(): Promise<void> {
    const own = this.#own!;
    try {
      if (own.iterator === undefined) {
        const items = await this.#live.followAfter(this.#seen, this.#ended.signal);
        own.iterator = items[Symbol.asyncIterator]();
      }
      const { done, value } = await own.iterator.next();
      if (done === true) this.#isOver = true;
      else own.entry = entryOf(value);
    } catch {
      // The log is closed: there is nothing more to tell.
      this.#isOver = true;
    }
    this.#wake();
  }
}
