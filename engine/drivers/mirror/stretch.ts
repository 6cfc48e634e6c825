import type { DirtyArea } from "../../block/dirty_map.ts";
import type { DriverContext, StepTicket } from "../driver.ts";

/** What is done with a stretch; `hole`: zeros where the target has zeros already. */
export type StretchKind = "copied" | "zeroed" | "hole";

/**
 * Neighbouring operations of one kind, recorded as one step when the last of them has ended.
 *
 * If some of them failed, the parts between them are recorded, each as a step.
 */
export class Stretch {
  /** What is done. */
  readonly kind: StretchKind;
  readonly #context: DriverContext;
  readonly #ticket: StepTicket;
  readonly #offset: number;
  readonly #settled: () => void;
  readonly #failed: DirtyArea[] = [];
  #length = 0;
  // One for the stretch itself, until it is closed.
  #openCount = 1;
  #isDropped = false;

  /**
   * Takes its place in the order of steps.
   *
   * @param settled called once, when nothing of it is left to record
   */
  constructor(context: DriverContext, kind: StretchKind, offset: number, settled: () => void) {
    this.#context = context;
    this.#ticket = context.issue();
    this.#offset = offset;
    this.#settled = settled;
    this.kind = kind;
  }

  /** Adds an operation at its end. */
  begin(length: number): void {
    this.#length += length;
    this.#openCount++;
  }

  /** Adds a part for which nothing is to be done. */
  skip(length: number): void {
    this.#length += length;
  }

  /** An operation has ended. */
  end(range: DirtyArea, isDone: boolean): void {
    if (!isDone) this.#failed.push(range);
    this.close();
  }

  /** Nothing more is added; also called by `end`, for each operation. */
  close(): void {
    this.#openCount--;
    if (this.#openCount > 0 || this.#isDropped) return;
    this.#settled();
    this.#record();
  }

  /** Nothing of it is recorded. */
  drop(): void {
    this.#isDropped = true;
    this.#ticket.drop();
  }

  #record(): void {
    const { kind } = this;
    let at = this.#offset;
    let isFirst = true;
    const take = (end: number) => {
      if (end <= at) return;
      const step = { kind, offset: at, length: end - at };
      if (isFirst) this.#ticket.done(step);
      else void this.#context.step(step);
      isFirst = false;
    };
    for (const { offset, length } of this.#failed.toSorted((a, b) => a.offset - b.offset)) {
      take(offset);
      at = offset + length;
    }
    take(this.#offset + this.#length);
    if (isFirst) this.#ticket.drop();
  }
}
