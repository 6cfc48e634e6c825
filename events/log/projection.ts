/**
 * The projection runner: a fold that follows the log, with a cursor that survives the process.
 *
 * Invariants:
 *
 * - a projection is a pure fold, so each event counts exactly once: state and cursor are stored
 *   together, and a restart folds on from them;
 * - a stored state of another fold version is ignored, and the log is folded again from zero;
 * - what goes wrong in a fold stops this runner only, never the writer or another reader.
 *
 * Called by whoever keeps a view. Source: DESIGN.md, The log.
 */
import { bound } from "./read_bounds.ts";
import type { JsonValue, RecordedEvent } from "./event.ts";
import type { Fold, Folded } from "./fold.ts";
import type { EventReader, EventStore, Subscription } from "./store.ts";
import type { Upcast } from "./upcast.ts";

/** A store to project from; one that only reads keeps the state in memory. */
export type ProjectionSource = EventReader & Partial<Pick<EventStore, "putCursor">>;

/** Filters and bounds of a projection. */
export interface ProjectionOptions {
  /** Only these event types. */
  readonly types?: readonly string[];
  /** Only this stream. */
  readonly stream?: string;
  /** Turns old event shapes into today's. */
  readonly upcast?: Upcast;
  /** Events between two stores of state and cursor. @default 1,000 */
  readonly every?: number;
  /**
   * Calls back once after a while in which the state should be stored if nothing came meanwhile.
   * Returns a cancel. @default none: stored every `every` events and at `stop()`
   */
  readonly idle?: (check: () => void) => () => void;
  /** Called after each event with the new state. Must be quick and must not throw. */
  readonly onChange?: (folded: Folded<JsonValue>, event: RecordedEvent) => void;
}

/** A projection that runs. */
export interface ProjectionRunner<State extends JsonValue> {
  /** The state, and the position up to which everything that passes the filter is in it. */
  readonly folded: Folded<State>;
  /** Resolves when the state has met the live end since the start or the last rebuild. */
  readonly caughtUp: Promise<void>;
  /** Resolves when the runner has ended; rejects with the error that ended it. */
  readonly done: Promise<void>;
  /** Stores state and cursor now. */
  save(): Promise<void>;
  /** Drops the state, here and in the store, and folds again from zero; resolves at the end. */
  rebuild(): Promise<void>;
  /** Stores state and cursor, and ends; to be called before the store is closed. Repeatable. */
  stop(): Promise<void>;
}

/**
 * Starts a projection: finds its cursor, catches up and follows.
 *
 * @throws {JoblogError} code "invalidArgument" when `every` is no integer of 1 or more
 *
 * @example Counting what happens
 * ```ts
 * import { type EventStore, type Fold, runProjection } from "./mod.ts";
 * const counting: Fold<number> = {
 *   name: "count",
 *   foldVersion: 1,
 *   initial: () => 0,
 *   evolve: (count) => count + 1,
 * };
 * const countNow = async (store: EventStore) => {
 *   const runner = await runProjection(store, counting);
 *   await runner.caughtUp;
 *   await runner.stop();
 *   return runner.folded.state;
 * };
 * if (typeof countNow !== "function") throw new Error("unreachable");
 * ```
 */
export async function runProjection<State extends JsonValue>(
  source: ProjectionSource,
  fold: Fold<State>,
  options: ProjectionOptions = {},
): Promise<ProjectionRunner<State>> {
  const every = bound("every", options.every, 1, 1_000);
  return new Runner(source, fold, options, every, await load(source, fold));
}

async function load<State extends JsonValue>(
  source: ProjectionSource,
  fold: Fold<State>,
): Promise<Folded<State>> {
  const cursor = await source.cursor(fold.name);
  const stored = cursor?.state;
  if (isStored(stored) && stored.foldVersion === fold.foldVersion) {
    const { position } = cursor!;
    if (fold.accepts?.(stored.state) ?? true) return { state: stored.state as State, position };
  }
  return { state: fold.initial(), position: 0 };
}

/** What is stored beside a cursor. */
type StoredFold = { readonly foldVersion: number; readonly state: JsonValue };

function isStored(value: JsonValue | undefined): value is StoredFold {
  return typeof value === "object" && value !== null && "foldVersion" in value && "state" in value;
}

class Runner<State extends JsonValue> implements ProjectionRunner<State> {
  readonly done: Promise<void>;
  readonly #source: ProjectionSource;
  readonly #fold: Fold<State>;
  readonly #options: ProjectionOptions;
  readonly #every: number;
  readonly #ended = Promise.withResolvers<void>();
  #state: State;
  #subscription: Subscription;
  #loop: Promise<void>;
  #count = 0;
  #unsaved = 0;
  #saving: Promise<void> = Promise.resolve();
  #cancelIdle: (() => void) | undefined;

  constructor(
    source: ProjectionSource,
    fold: Fold<State>,
    options: ProjectionOptions,
    every: number,
    start: Folded<State>,
  ) {
    this.#source = source;
    this.#fold = fold;
    this.#options = options;
    this.#every = every;
    this.#state = start.state;
    this.done = this.#ended.promise;
    this.done.catch(() => {});
    this.#subscription = this.#follow(start.position);
    this.#loop = this.#run(this.#subscription);
  }

  get folded(): Folded<State> {
    return { state: this.#state, position: this.#subscription.position };
  }

  get caughtUp(): Promise<void> {
    return this.#subscription.caughtUp;
  }

  save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#store());
    return this.#saving;
  }

  async rebuild(): Promise<void> {
    await this.#halt();
    await this.#source.putCursor?.(this.#fold.name, 0);
    this.#state = this.#fold.initial();
    this.#unsaved = 0;
    this.#subscription = this.#follow(0);
    this.#loop = this.#run(this.#subscription);
    await this.caughtUp;
  }

  async stop(): Promise<void> {
    await this.#halt();
    if (this.#unsaved > 0) await this.save();
    this.#ended.resolve();
  }

  async #halt(): Promise<void> {
    this.#subscription.close();
    this.#cancelIdle?.();
    this.#cancelIdle = undefined;
    await this.#loop;
    await this.#saving;
  }

  #follow(after: number): Subscription {
    const { stream, types, upcast } = this.#options;
    return this.#source.subscribe({
      after,
      ...(stream === undefined ? {} : { stream }),
      ...(types === undefined ? {} : { types }),
      // Folding at delivery keeps state and position in step, also over what the filter holds
      // back; an error in here ends the subscription and nothing else.
      upcast: (event) => {
        this.#state = this.#fold.evolve(this.#state, upcast === undefined ? event : upcast(event));
        this.#count++;
        this.#unsaved++;
        return event;
      },
    });
  }

  async #run(subscription: Subscription): Promise<void> {
    try {
      for await (const event of subscription) {
        this.#options.onChange?.(this.folded, event);
        if (this.#unsaved >= this.#every) await this.save();
        else this.#awaitIdle();
      }
    } catch (error) {
      this.#cancelIdle?.();
      this.#ended.reject(error);
    }
  }

  #awaitIdle(): void {
    if (this.#options.idle === undefined || this.#cancelIdle !== undefined) return;
    const count = this.#count;
    this.#cancelIdle = this.#options.idle(() => {
      this.#cancelIdle = undefined;
      if (this.#count !== count) this.#awaitIdle();
      else if (this.#unsaved > 0) this.save().catch((error) => this.#ended.reject(error));
    });
  }

  async #store(): Promise<void> {
    const { position, state } = this.folded;
    this.#unsaved = 0;
    const stored: StoredFold = { foldVersion: this.#fold.foldVersion, state };
    await this.#source.putCursor?.(this.#fold.name, position, stored);
  }
}
