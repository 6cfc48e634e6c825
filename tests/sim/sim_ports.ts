/**
 * Ports of one simulated process: virtual time, and turns that chance orders.
 *
 * - What waits for a turn of the event loop is a unit. `step` runs one unit that chance picks, and
 *   lets promises go on until none can; so everything between two units is one atomic stretch.
 * - Timers fire in the order of their instants, then of their setting, once `passTime` makes them
 *   due; a due timer is a unit like any other.
 * - A process that died has no units and gets no more.
 * - The wall clock jumps with `time.skewMs`; the monotonic one does not.
 */
import { setImmediate } from "node:timers";
import type { Ports, Timer } from "../../engine/run/mod.ts";
import type { Chance } from "./chance.ts";

interface SimTimer {
  readonly atMs: number;
  readonly order: number;
  readonly callback: () => void;
}

/** Time and ids, which outlive a process. */
export class SimTime {
  /** Milliseconds since the run began; only grows. */
  elapsedMs = 0;
  /** How far the wall clock is off. */
  skewMs = 0;
  #idCount = 0;

  /** Milliseconds since 1970 UTC, as the wall clock shows them. */
  get wallMs(): number {
    return 1_764_000_000_000 + Math.floor(this.elapsedMs) + this.skewMs;
  }

  /** The next id: a UUIDv7 by its shape, counted. */
  newId(): string {
    this.#idCount += 1;
    return `019ab000-0000-7000-8000-${String(this.#idCount).padStart(12, "0")}`;
  }
}

/** See the head of this file. */
export class SimPorts implements Ports {
  readonly #time: SimTime;
  readonly #chance: Chance;
  readonly #startMs: number;
  #units: (() => void)[] = [];
  #timers: SimTimer[] = [];
  #orderCount = 0;
  #isDead = false;

  /**
   * @param time shared by all processes of a run
   * @param chance orders the units
   */
  constructor(time: SimTime, chance: Chance) {
    this.#time = time;
    this.#chance = chance;
    this.#startMs = time.elapsedMs;
  }

  /** Port: see `Ports`. */
  readonly now = (): number => this.#time.wallMs;

  /** Port: see `Ports`. */
  readonly monotonicNs = (): number => (this.#time.elapsedMs - this.#startMs) * 1e6;

  /** Port: see `Ports`. */
  readonly newId = (): string => this.#time.newId();

  /** Port: see `Ports`. */
  readonly turn = (): Promise<void> => new Promise((resolve) => this.schedule(resolve));

  /** Port: see `Ports`. */
  readonly setTimer = (ms: number, callback: () => void): Timer => {
    this.#orderCount += 1;
    const timer = { atMs: this.#time.elapsedMs + ms, order: this.#orderCount, callback };
    if (!this.#isDead) this.#timers.push(timer);
    return { cancel: () => this.#drop(timer) };
  };

  /** Calls back in a later turn. */
  readonly schedule = (unit: () => void): void => {
    if (!this.#isDead) this.#units.push(unit);
  };

  /** Resolves after so many milliseconds. */
  readonly sleep = (ms: number): Promise<void> =>
    new Promise((resolve) => void this.setTimer(ms, resolve));

  /** The process is no more. */
  die(): void {
    this.#isDead = true;
    this.#units = [];
    this.#timers = [];
  }

  /** Whether something can go on without time passing. */
  get isBusy(): boolean {
    return this.#units.length > 0 || this.#due() !== undefined;
  }

  /** Milliseconds until the next timer; undefined = none is set. */
  get untilTimerMs(): number | undefined {
    const next = this.#next();
    return next && Math.max(0, next.atMs - this.#time.elapsedMs);
  }

  /** Runs one unit. @returns false if there is none */
  async step(): Promise<boolean> {
    const due = this.#due();
    const count = this.#units.length + (due === undefined ? 0 : 1);
    if (count === 0) return false;
    const index = this.#chance.below(count);
    if (index < this.#units.length) this.#units.splice(index, 1)[0]!();
    else {
      this.#drop(due!);
      due!.callback();
    }
    await untilQuiet();
    return true;
  }

  #next(): SimTimer | undefined {
    let first: SimTimer | undefined;
    for (const timer of this.#timers) {
      const isEarlier = first === undefined || timer.atMs < first.atMs ||
        (timer.atMs === first.atMs && timer.order < first.order);
      if (isEarlier) first = timer;
    }
    return first;
  }

  #due(): SimTimer | undefined {
    const next = this.#next();
    return next !== undefined && next.atMs <= this.#time.elapsedMs ? next : undefined;
  }

  #drop(timer: SimTimer): void {
    this.#timers = this.#timers.filter((other) => other !== timer);
  }
}

/** Resolves once no promise can go on by itself. */
export function untilQuiet(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
