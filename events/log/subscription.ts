/**
 * A follower of the log: catch-up by pages, then live from the shared ring.
 *
 * Invariants:
 *
 * - events are delivered in ascending position, each that passes the filter exactly once: the
 *   cursor moves over positions, and positions are dense, so nothing can fall between the ways;
 * - only durable events are delivered;
 * - a follower holds at most one page. One that falls behind the ring reads pages again; it never
 *   makes the appender wait or keep more.
 *
 * Called by `event_store.ts`. Source: DESIGN.md, The log.
 */
import { decodeRecord } from "./decode.ts";
import { invalidArgument } from "./read_bounds.ts";
import type { StoreBackend, StoredRecord } from "./backend.ts";
import type { RecordedEvent } from "./event.ts";
import type { Feed } from "./feed.ts";
import type { SubscribeOptions, Subscription } from "./store.ts";
import type { Upcast } from "./upcast.ts";

/** Rows of a catch-up page. */
const PAGE_ROWS = 256;

type Answer = IteratorResult<RecordedEvent, undefined>;

interface Waiter {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Starts to follow a log.
 *
 * @param ended is called once when the subscription has ended
 * @throws {JoblogError} code "invalidArgument" when `after` is no position
 */
export function followLog(
  backend: StoreBackend,
  feed: Feed,
  options: SubscribeOptions,
  ended: (subscription: Subscription) => void,
): Subscription {
  return new Follower(backend, feed, options, ended);
}

class Follower implements Subscription {
  readonly caughtUp: Promise<void>;
  readonly #backend: StoreBackend;
  readonly #feed: Feed;
  readonly #stream: string | undefined;
  readonly #typeList: readonly string[] | undefined;
  readonly #types: ReadonlySet<string> | undefined;
  readonly #upcast: Upcast | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #close = () => this.close();
  readonly #unfollow: () => void;
  readonly #ended: (subscription: Subscription) => void;
  readonly #waiters: Waiter[] = [];
  #page: readonly StoredRecord[] = [];
  #next = 0;
  /** Everything up to here is in the page or was delivered. */
  #scanned: number;
  #position: number;
  #reading = false;
  #closed = false;
  #met: (() => void) | undefined;

  constructor(
    backend: StoreBackend,
    feed: Feed,
    options: SubscribeOptions,
    ended: (subscription: Subscription) => void,
  ) {
    const after = options.after ?? 0;
    if (!Number.isSafeInteger(after) || after < 0) throw invalidArgument("after", after, 0);
    this.#backend = backend;
    this.#feed = feed;
    this.#stream = options.stream;
    this.#typeList = options.types;
    this.#types = options.types && new Set(options.types);
    this.#upcast = options.upcast;
    this.#position = after;
    this.#scanned = after;
    this.#ended = ended;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.caughtUp = promise;
    this.#met = resolve;
    this.#unfollow = feed.follow(() => this.#serve());
    this.#signal = options.signal;
    this.#signal?.addEventListener("abort", this.#close, { once: true });
    if (this.#signal?.aborted) queueMicrotask(this.#close);
    this.#meet();
  }

  get position(): number {
    return this.#position;
  }

  next(): Promise<Answer> {
    if (this.#waiters.length === 0) {
      const event = this.#closed ? undefined : this.#takeOrFail();
      if (event !== undefined) return event;
    }
    if (this.#closed) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#serve();
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#page = [];
    this.#unfollow();
    this.#signal?.removeEventListener("abort", this.#close);
    this.#met?.();
    this.#met = undefined;
    for (const waiter of this.#waiters.splice(0)) waiter.resolve({ done: true, value: undefined });
    this.#ended(this);
  }

  [Symbol.asyncIterator](): AsyncIterator<RecordedEvent, undefined> {
    return {
      next: () => this.next(),
      return: () => {
        this.close();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  #takeOrFail(): Promise<Answer> | undefined {
    try {
      const event = this.#take();
      return event && Promise.resolve({ done: false, value: event });
    } catch (error) {
      this.close();
      return Promise.reject(error);
    }
  }

  /** The next event that is at hand, without reading. */
  #take(): RecordedEvent | undefined {
    const row = this.#page[this.#next];
    if (row !== undefined) {
      this.#next++;
      return this.#deliver(decodeRecord(row), row.position);
    }
    this.#position = Math.max(this.#position, this.#scanned);
    while (this.#position < this.#feed.end && this.#position + 1 >= this.#feed.first) {
      const event = this.#feed.at(this.#position + 1);
      if (this.#passes(event)) return this.#deliver(event, event.position);
      this.#position = event.position;
    }
    this.#meet();
    return undefined;
  }

  #deliver(event: RecordedEvent, position: number): RecordedEvent {
    const today = this.#upcast === undefined ? event : this.#upcast(event);
    this.#position = position;
    if (this.#next >= this.#page.length && this.#scanned > position) this.#position = this.#scanned;
    this.#meet();
    return today;
  }

  #passes(event: RecordedEvent): boolean {
    return (this.#stream === undefined || this.#stream === event.stream) &&
      (this.#types === undefined || this.#types.has(event.type));
  }

  #meet(): void {
    if (this.#met === undefined || !this.#feed.known) return;
    if (this.#position < this.#feed.end) return;
    this.#met();
    this.#met = undefined;
  }

  /** Answers who waits, as far as events are at hand; reads a page when they are not. */
  #serve(): void {
    if (this.#reading || this.#closed) return;
    try {
      while (this.#waiters.length > 0) {
        const event = this.#take();
        if (event !== undefined) {
          this.#waiters.shift()!.resolve({ done: false, value: event });
        } else if (this.#feed.known && this.#position < this.#feed.end) {
          void this.#readPage();
          return;
        } else return;
      }
      this.#meet();
    } catch (error) {
      this.#fail(error);
    }
  }

  async #readPage(): Promise<void> {
    this.#reading = true;
    const from = this.#position + 1;
    const to = this.#feed.end;
    try {
      const page = await this.#backend.readPage({
        direction: "forwards",
        from,
        to,
        limit: PAGE_ROWS,
        leaves: false,
        ...(this.#stream === undefined ? {} : { stream: this.#stream }),
        ...(this.#typeList === undefined ? {} : { types: this.#typeList }),
      });
      if (this.#closed) return;
      this.#page = page;
      this.#next = 0;
      this.#scanned = page.length < PAGE_ROWS ? to : page.at(-1)!.position;
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#reading = false;
    }
    this.#serve();
  }

  #fail(error: unknown): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
    this.close();
  }
}
