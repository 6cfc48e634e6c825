/**
 * What the conformance suite of event stores asks of an implementation, and the bench it works on.
 *
 * A case gets a `Bench`: an empty log that it may open, close and open again. Everything that it
 * opened is closed after it, also when it failed.
 */
import {
  type AppendRequest,
  type EventReader,
  type EventStore,
  type EventStoreOptions,
  type ExpectedVersion,
  type NewEvent,
  openEventReader,
  openEventStore,
  type RecordedEvent,
  type StoreBackend,
} from "../../../events/log/mod.ts";

/** One log of the implementation under test, empty at first. */
export interface LogFixture {
  /** Opens the log for writing; no other writer is open. */
  openWriter(): Promise<StoreBackend>;
  /** Opens the log for reading, beside a writer or alone. */
  openReader(): Promise<StoreBackend>;
  /** Opens a second writer that takes the log over while the first is open. */
  takeOver?(): Promise<StoreBackend>;
  /** Removes what the log left behind. Everything is closed before. */
  cleanup(): Promise<void>;
}

/** An implementation under test. */
export interface StoreFactory {
  /** Makes a new log. */
  create(): Promise<LogFixture>;
  /** Opens a store over a writer's backend. @default openEventStore */
  readonly openStore?: typeof openEventStore;
  /** Opens a reader over a reader's backend. @default openEventReader */
  readonly openReader?: typeof openEventReader;
  /** Names of cases that are left out, each with the reason. */
  readonly skips?: Readonly<Record<string, string>>;
}

/** One property that every store has. */
export interface ConformanceCase {
  /** What holds. */
  readonly name: string;
  /** True if the case needs `takeOver`. */
  readonly takesOver?: boolean;
  /** Throws if it does not hold. */
  run(bench: Bench): Promise<void>;
}

/** A clock that stands still until it is set. */
export interface BenchClock {
  /** Milliseconds since 1970 UTC. */
  time: number;
  /** The port. */
  now(): number;
}

/** One log under test with all that was opened on it. */
export class Bench {
  /** The clock of every store that is opened here. */
  readonly clock: BenchClock = { time: 1_764_000_000_000, now: () => this.clock.time };
  readonly #factory: StoreFactory;
  readonly #log: LogFixture;
  readonly #open: { close(): Promise<void> }[] = [];

  private constructor(factory: StoreFactory, log: LogFixture) {
    this.#factory = factory;
    this.#log = log;
  }

  /** Runs a case on a new log and cleans up after it. */
  static async run(factory: StoreFactory, work: (bench: Bench) => Promise<void>): Promise<void> {
    const bench = new Bench(factory, await factory.create());
    try {
      await work(bench);
    } finally {
      for (const opened of bench.#open.reverse()) await opened.close().catch(() => {});
      await bench.#log.cleanup();
    }
  }

  /** Opens the log for writing. */
  async store(options: Partial<EventStoreOptions> = {}): Promise<EventStore> {
    return await this.#openStore(await this.#log.openWriter(), options);
  }

  /** Opens a second writer while the first is open. */
  async rival(): Promise<EventStore> {
    return await this.#openStore(await this.#log.takeOver!(), {});
  }

  /** Opens the log for reading. */
  async reader(): Promise<EventReader> {
    const backend = await this.#log.openReader();
    const reader = (this.#factory.openReader ?? openEventReader)(backend);
    this.#open.push(reader);
    return reader;
  }

  /** Opens a backend for writing, without a store over it. */
  async backend(): Promise<StoreBackend> {
    return this.#keep(await this.#log.openWriter());
  }

  /** Opens a backend for reading, without a reader over it. */
  async readBackend(): Promise<StoreBackend> {
    return this.#keep(await this.#log.openReader());
  }

  async #openStore(
    backend: StoreBackend,
    options: Partial<EventStoreOptions>,
  ): Promise<EventStore> {
    this.#open.push(backend);
    const open = this.#factory.openStore ?? openEventStore;
    const store = await open(backend, { clock: this.clock, ...options });
    this.#open.push(store);
    return store;
  }

  #keep(backend: StoreBackend): StoreBackend {
    this.#open.push(backend);
    return backend;
  }
}

/** An event of type `Noted` with a number in it. */
export function noted(n: number, type = "Noted"): NewEvent {
  return { type, data: { n }, metadata: { actor: "ann", via: "api" } };
}

/** An append of numbered events to one stream. */
export function to(
  stream: string,
  numbers: readonly number[],
  expectedVersion: ExpectedVersion = "any",
): AppendRequest {
  return { streams: [{ stream, expectedVersion, events: numbers.map((n) => noted(n)) }] };
}

/** Everything that an iterable gives. */
export async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}

/** The numbers from `first` to `last`, both inclusive. */
export function range(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
}

/** The positions of events. */
export function positions(events: readonly RecordedEvent[]): number[] {
  return events.map((event) => event.position);
}

/** The next `count` events of a subscription. */
export async function take(
  subscription: AsyncIterator<RecordedEvent, undefined>,
  count: number,
): Promise<RecordedEvent[]> {
  const events: RecordedEvent[] = [];
  while (events.length < count) {
    const answer = await subscription.next();
    if (answer.done) throw new Error(`Subscription ended after ${events.length} of ${count}`);
    events.push(answer.value);
  }
  return events;
}

/** The code of the error that a promise rejects with; "none" if it does not. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "none";
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}
