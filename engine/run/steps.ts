/**
 * The recorder of one job's steps: ordering, merging and back-pressure.
 *
 * - Steps of work that was issued in parallel are recorded in the order of issue, so that what is
 *   recorded before a checkpoint is a contiguous prefix of the work.
 * - Neighbouring steps of a mergeable kind become one; the run is closed by another kind, a pause
 *   that takes effect, a checkpoint, or 64 GiB.
 * - Nobody waits for durability until 1,024 steps are unsaved.
 * - After the end of `run` nothing is recorded any more.
 *
 * Source: DESIGN.md, The log, Steps.
 */
import type { DriverStep, ProgressMeter, StepTicket } from "../drivers/driver.ts";

/** How many steps may be unsaved before a driver has to wait. */
export const UNSAVED_STEPS_MAX = 1_024;

/** How long a merged step may become, in the driver's unit: 64 GiB for the four. */
export const MERGED_LENGTH_MAX = 64 * 2 ** 30;

/** Kinds of which neighbouring steps become one. */
export const MERGEABLE_KINDS: ReadonlySet<string> = new Set(["zeroed", "skipped", "hole"]);

/** Kinds of steps that do nothing to a target. */
const FREE_KINDS: ReadonlySet<string> = new Set(["skipped", "hole"]);

/** Where the recorder puts what it has. Promises resolve when durable. */
export interface StepSink {
  /** Records one step. */
  writeStep(step: DriverStep): Promise<void>;
  /** Records a new total. */
  writeTotal(total: number): Promise<void>;
}

type Slot = { step: DriverStep | null | undefined };

/** Records the steps of one `run`. */
export class StepRecorder implements ProgressMeter {
  readonly #sink: StepSink;
  readonly #slots: Slot[] = [];
  #run: DriverStep | undefined;
  #current: number;
  #total: number;
  #unsaved = 0;
  #room: { promise: Promise<void>; resolve: () => void } | undefined;
  #workSinceMark = 0;
  #hasEnded = false;

  /**
   * @param sink where steps and totals go
   * @param start progress at the beginning of this `run`
   */
  constructor(sink: StepSink, start: { readonly current: number; readonly total: number }) {
    this.#sink = sink;
    this.#current = start.current;
    this.#total = start.total;
  }

  /** Work done, steps that are not recorded yet included. */
  get current(): number {
    return this.#current;
  }

  /** Work in all. */
  get total(): number {
    return this.#total;
  }

  /** Work since `mark()`, holes and what was skipped left out. */
  get workSinceMark(): number {
    return this.#workSinceMark;
  }

  /** True once `run` has ended. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Records what was merged so far, and nothing after it. */
  end(): void {
    this.close();
    this.#hasEnded = true;
  }

  /** Starts to count work anew. */
  mark(): void {
    this.#workSinceMark = 0;
  }

  /** total = current + remaining. */
  setRemaining(remaining: number): void {
    this.#setTotal(this.#current + remaining);
  }

  /** total += delta. */
  increaseRemaining(delta: number): void {
    this.#setTotal(this.#total + delta);
  }

  #setTotal(total: number): void {
    if (total === this.#total || this.#hasEnded) return;
    this.#total = total;
    this.#track(this.#sink.writeTotal(total));
  }

  /** Records a step that is done and was not issued before. */
  step(step: DriverStep): Promise<void> | undefined {
    this.issue().done(step);
    return this.saved();
  }

  /** Takes a place in the order. */
  issue(): StepTicket {
    const slot: Slot = { step: undefined };
    this.#slots.push(slot);
    const settle = (step: DriverStep | null) => {
      if (slot.step !== undefined || this.#hasEnded) return;
      if (step !== null) checkStep(step);
      slot.step = step;
      this.#drain();
    };
    return { done: settle, drop: () => settle(null) };
  }

  /** Resolves when there is room for more steps; undefined = there is. */
  saved(): Promise<void> | undefined {
    if (this.#unsaved < UNSAVED_STEPS_MAX) return undefined;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  /** Records what was merged so far. */
  close(): void {
    const run = this.#run;
    this.#run = undefined;
    if (run !== undefined) this.#write(run);
  }

  #drain(): void {
    while (this.#slots.length > 0 && this.#slots[0]!.step !== undefined) {
      const step = this.#slots.shift()!.step;
      if (step) this.#take(step);
    }
  }

  #take(step: DriverStep): void {
    const work = step.work ?? step.length;
    this.#current += work;
    // What left nothing to be flushed brings no checkpoint nearer.
    if (!FREE_KINDS.has(step.kind)) this.#workSinceMark += work;
    if (!MERGEABLE_KINDS.has(step.kind) || step.detail !== undefined) {
      this.close();
      this.#write(step);
      return;
    }
    const run = this.#run;
    if (run === undefined || !continues(run, step)) {
      this.close();
      this.#run = step;
      return;
    }
    const length = run.length + step.length;
    const merged = (run.work ?? run.length) + work;
    const { kind, offset } = run;
    const next = { kind, offset, length };
    this.#run = merged === length ? next : { ...next, work: merged };
  }

  #write(step: DriverStep): void {
    this.#track(this.#sink.writeStep(step));
  }

  #track(durable: Promise<void>): void {
    this.#unsaved += 1;
    const saved = () => {
      this.#unsaved -= 1;
      if (this.#room === undefined || this.#unsaved >= UNSAVED_STEPS_MAX) return;
      this.#room.resolve();
      this.#room = undefined;
    };
    durable.then(saved, saved);
  }
}

function continues(run: DriverStep, step: DriverStep): boolean {
  return run.kind === step.kind && run.offset + run.length === step.offset &&
    run.length + step.length <= MERGED_LENGTH_MAX;
}

/** A length below 0 would take work back, and a fraction would not fit a record. */
function checkStep({ kind, offset, length, work = length }: DriverStep): void {
  const isNatural = (value: number) => Number.isSafeInteger(value) && value >= 0;
  if (isNatural(offset) && isNatural(length) && isNatural(work) && /^[a-z0-9-]{1,32}$/.test(kind)) {
    return;
  }
  throw new TypeError(
    `Cannot record step "${kind}" of ${length} at ${offset} with work ${work}: its kind needs 1 ` +
      "to 32 characters of a-z, 0-9 and -, its numbers need integers of 0 or more",
  );
}
