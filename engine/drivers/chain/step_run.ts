import type { DriverContext, DriverStep } from "../driver.ts";

/** Bytes that one step tells of at most, if they were moved. */
const STEP_BYTES_MAX = 8_388_608;

/** Kinds that the log joins by itself, without an end. */
const JOINED: ReadonlySet<string> = new Set(["skipped", "hole", "zeroed"]);

/**
 * Pieces that are told in order, neighbours of one kind as one step.
 *
 * Under a speed limit each piece is a step, so that progress is seen when it happens.
 */
export class StepRun {
  readonly #context: DriverContext;
  #open: DriverStep | undefined;
  #end: number;

  /** @param from where the first piece begins */
  constructor(context: DriverContext, from: number) {
    this.#context = context;
    this.#end = from;
  }

  /** Where the last piece ended. */
  get end(): number {
    return this.#end;
  }

  /** Adds the next piece. What was told before, and had to be done again, is not told again. */
  add({ kind, offset, length: whole }: DriverStep): void {
    const known = Math.max(0, this.#end - offset);
    if (known < whole) this.#add({ kind, offset: offset + known, length: whole - known });
  }

  /** Records what was added. */
  close(): void {
    const open = this.#open;
    this.#open = undefined;
    if (open !== undefined) void this.#context.step(open);
  }

  #add(piece: DriverStep): void {
    const open = this.#open;
    const isNext = open?.kind === piece.kind && open.offset + open.length === piece.offset;
    if (open !== undefined && !isNext) this.close();
    const length = (isNext ? open.length : 0) + piece.length;
    this.#open = { kind: piece.kind, offset: isNext ? open.offset : piece.offset, length };
    this.#end = piece.offset + piece.length;
    const isLong = !JOINED.has(piece.kind) && length >= STEP_BYTES_MAX;
    if (isLong || this.#context.speed.bytesPerSecond > 0) this.close();
  }
}
