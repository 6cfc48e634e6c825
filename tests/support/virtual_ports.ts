/**
 * Ports on virtual time: an engine over them runs the same way every time.
 *
 * - The clock stands still but for `advance` and `runTimers`; timers fire in the order of their
 *   instants, then of their setting.
 * - `settle` lets promises run, and gives commits and turns their chance one after the other, until
 *   only time could change anything.
 * - A machine that crashed is simply never settled again: its timers and commits stay undone.
 */
import { setImmediate } from "node:timers";
import type { Ports, Timer } from "../../engine/run/mod.ts";

interface VirtualTimer {
  readonly atMs: number;
  readonly order: number;
  readonly callback: () => void;
}

/** A clock and a source of ids that outlive a crash. */
export class VirtualClock {
  /** Milliseconds since 1970 UTC. */
  nowMs = 1_764_000_000_000;
  #idCount = 0;

  /** The next id: a UUIDv7 by its shape, counted. */
  newId(): string {
    this.#idCount += 1;
    return `019ab000-0000-7000-8000-${String(this.#idCount).padStart(12, "0")}`;
  }
}

/** See the head of this file. */
export class VirtualPorts implements Ports {
  /** The clock; several machines of one test may share it. */
  readonly clock: VirtualClock;
  readonly #startMs: number;
  #timers: VirtualTimer[] = [];
  #orderCount = 0;
  #turns: (() => void)[] = [];
  #flushes: (() => void)[] = [];

  /** @param clock time and ids; a machine after a crash gets the same one */
  constructor(clock = new VirtualClock()) {
    this.clock = clock;
    this.#startMs = clock.nowMs;
  }

  /** Port: see `Ports`. */
  readonly now = (): number => Math.floor(this.clock.nowMs);

  /** Port: nanoseconds since these ports were made. */
  readonly monotonicNs = (): number => (this.clock.nowMs - this.#startMs) * 1e6;

  /** Port: see `Ports`. */
  readonly newId = (): string => this.clock.newId();

  /** Port: see `Ports`. */
  readonly setTimer = (ms: number, callback: () => void): Timer => {
    this.#orderCount += 1;
    const timer = { atMs: this.clock.nowMs + ms, order: this.#orderCount, callback };
    this.#timers.push(timer);
    return { cancel: () => this.#drop(timer) };
  };

  /** Port: see `Ports`. */
  readonly turn = (): Promise<void> => new Promise((resolve) => this.#turns.push(resolve));

  /** The `schedule` of an event store over these ports. */
  readonly schedule = (flush: () => void): void => void this.#flushes.push(flush);

  /** Timers that are set. */
  get timerCount(): number {
    return this.#timers.length;
  }

  /** Lets everything run that needs no time to pass. */
  async settle(): Promise<void> {
    for (let count = 0; count < 100_000; count++) {
      await allPromises();
      const next = this.#flushes.shift() ?? this.#turns.shift();
      if (next === undefined) return;
      next();
    }
    throw new Error("Cannot settle: something goes on without time passing");
  }

  /** Lets so many milliseconds pass. */
  async advance(ms: number): Promise<void> {
    const endMs = this.clock.nowMs + ms;
    await this.settle();
    for (let timer = this.#due(endMs); timer !== undefined; timer = this.#due(endMs)) {
      await this.#fire(timer);
    }
    this.clock.nowMs = endMs;
    await this.settle();
  }

  /** Lets time pass until no timer is set. */
  async runTimers(): Promise<void> {
    await this.settle();
    for (let count = 0; count < 10_000; count++) {
      const timer = this.#due(Infinity);
      if (timer === undefined) return;
      await this.#fire(timer);
    }
    throw new Error("Cannot run all timers: each one sets another");
  }

  async #fire(timer: VirtualTimer): Promise<void> {
    this.#drop(timer);
    this.clock.nowMs = Math.max(this.clock.nowMs, timer.atMs);
    timer.callback();
    await this.settle();
  }

  #due(endMs: number): VirtualTimer | undefined {
    return this.#timers.filter(({ atMs }) => atMs <= endMs)
      .sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0];
  }

  #drop(timer: VirtualTimer): void {
    this.#timers = this.#timers.filter((other) => other !== timer);
  }
}

/** Resolves once no promise can go on by itself; the log in memory answers by promises alone. */
function allPromises(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
