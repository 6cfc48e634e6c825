/**
 * One way along a chain, from the first byte to the last: each piece is passed over or moved, up to
 * four of them side by side, and recorded in order.
 *
 * ```text
 * piece     |skipped      |copied|copied|copied|..  moved side by side, 512 KiB each, or 2 MiB
 * recorded  |-------------|------|                  up to the first one that is not done
 * failed                         ^ all from here on is looked at again
 * ```
 *
 * - What is recorded is a prefix: after a failure `current` is where the failed piece begins.
 * - Whether a piece is still to be moved is asked anew after each failure, pause and restart; so
 *   what was moved and not recorded costs a look.
 * - A large piece that fails is no failure: it is moved again in small ones, and they tell.
 * - Once a cancel shows, nothing is waited for; `idle` says when the last access has ended.
 *
 * Used by the drivers stream and commit. Source: QEMU 7.2 block/stream.c stream_run,
 * block/commit.c commit_run.
 *
 * Differs from QEMU: pieces are moved side by side; the limit is paid in full, also after a pause
 * (QEMU 10.2 does so, too).
 */

import { BlockError } from "../../block/errors.ts";
import type { ErrorAction, IoOperation } from "../../../events/job/error_policy.ts";
import { type DriverContext, JobParked } from "../driver.ts";
import type { PassExtent, PassOptions } from "./pass_options.ts";
import { StepRun } from "./step_run.ts";
import { untilCancelled } from "../until_cancelled.ts";

/** Bytes that one piece moves at most. Source: QEMU 7.2 STREAM_CHUNK, COMMIT_BUFFER_SIZE. */
export const PIECE_BYTES = 524_288;

/** The same where images copy between themselves, and there is no limit. */
const LARGE_PIECE_BYTES = 2_097_152;

/** Zeros that one piece makes at most when there is no limit. */
const ZERO_PIECE_BYTES = 67_108_864;

/** Pieces in flight. */
const IN_FLIGHT_MAX = 4;

/** Pause before an ignored error is tried again. */
const IGNORED_RETRY_MS = 100;

interface Piece extends PassExtent {
  readonly offset: number;
  isDone: boolean;
}

interface Failure {
  readonly offset: number;
  readonly length: number;
  readonly operation: IoOperation;
  readonly error: unknown;
  readonly isLarge?: boolean;
}

/** See the head of this file. */
export class ChainPass {
  readonly #options: PassOptions;
  readonly #context: DriverContext;
  readonly #steps: StepRun;
  readonly #queue: Piece[] = [];
  #ahead: (PassExtent & { readonly offset: number }) | undefined;
  #cursor: number;
  #durableEnd: number;
  #smallUntil = 0;
  #count = 0;
  #failure: Failure | undefined;
  #skipped: { readonly error: unknown } | undefined;
  #waiting: (() => void)[] = [];

  /** A cancel wakes whoever waits for a piece. */
  constructor(options: PassOptions, context: DriverContext) {
    this.#options = options;
    this.#context = context;
    this.#cursor = options.from;
    this.#durableEnd = options.from;
    this.#steps = new StepRun(context, options.from);
    this.#skipped = options.skipped === undefined ? undefined : { error: options.skipped };
    context.signal.addEventListener("abort", () => this.#wake(), { once: true });
  }

  /** True after a cancel, as soon as either sign of it shows. */
  get isCancelled(): boolean {
    return this.#context.isCancelled || this.#context.signal.aborted;
  }

  /**
   * Goes to the end, or to a cancel. Nothing is in flight afterwards, but after a cancel. When the
   * process closes, a checkpoint is taken first.
   *
   * @throws what the policy reports; at the end, what it skipped
   */
  async run(): Promise<void> {
    try {
      await this.#goOn();
    } catch (error) {
      if (error instanceof JobParked) await this.pause();
      throw error;
    } finally {
      if (!this.isCancelled) await this.idle();
    }
  }

  async #goOn(): Promise<void> {
    const { size } = this.#options;
    for (;;) {
      await this.#context.pausePoint();
      if (this.isCancelled) return;
      if (this.#failure !== undefined) await this.#recover();
      else if (this.#cursor < size) await this.#turn();
      else if (this.#count > 0) await this.#nextEnd();
      else if (await this.#flushed()) break;
    }
    this.#steps.close();
    if (this.#skipped !== undefined) throw this.#skipped.error;
  }

  /** Waits for what is in flight and takes a checkpoint; one that fails is taken later. */
  async pause(): Promise<void> {
    await this.#settle();
    if (this.isCancelled || this.#failure !== undefined) return;
    try {
      await this.#options.flush();
      this.#durableEnd = this.#steps.end;
    } catch (error) {
      if (error instanceof BlockError) return;
      throw error;
    }
    await this.#checkpoint();
  }

  /** Resolves when no access is in flight any more, also after a cancel. */
  async idle(): Promise<void> {
    while (this.#count > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Looks at the next range and starts what is to be done with it. */
  async #turn(): Promise<void> {
    const context = this.#context;
    if (context.isCheckpointDue()) {
      if (await this.#flushed()) await this.#checkpoint();
      return;
    }
    await context.stepsSaved();
    const delayMs = context.speed.account(0);
    if (delayMs > 0) {
      // What fails now is not to be met after a rest of hours.
      if (this.#count > 0) return await this.#nextEnd();
      this.#steps.close();
      // Timers know whole milliseconds; a rest of less would be asked for again and again.
      return await context.sleep(Math.ceil(delayMs));
    }
    const extent = await this.#look();
    if (extent === undefined) return;
    const piece: Piece = { offset: this.#cursor, ...extent, isDone: false };
    this.#cursor += piece.length;
    this.#queue.push(piece);
    if (piece.kind === "skipped" || piece.kind === "hole") return this.#end(piece);
    void this.#perform(piece, piece.kind);
    context.speed.account(piece.length);
    while (this.#count >= IN_FLIGHT_MAX && !this.isCancelled) await this.#nextEnd();
  }

  /** What is to be done at the cursor, cut to one piece; undefined after a failure or a cancel. */
  async #look(): Promise<PassExtent | undefined> {
    const offset = this.#cursor;
    const known = this.#ahead;
    const end = known === undefined ? 0 : known.offset + known.length;
    if (known !== undefined && known.offset <= offset && offset < end) {
      return this.#cut({ length: end - offset, kind: known.kind });
    }
    try {
      const looking = this.#options.look(offset, this.#options.size - offset);
      const found = await untilCancelled(this.#context.signal, looking);
      if (found === undefined) return undefined;
      this.#ahead = { offset, ...found };
      return this.#cut(found);
    } catch (error) {
      const length = Math.min(this.#smallBytes, this.#options.size - offset);
      this.#fail({ offset, length, operation: "read", error });
      return undefined;
    }
  }

  #cut({ length, kind }: PassExtent): PassExtent {
    if (kind === "skipped" || kind === "hole") return { length, kind };
    const isLimited = this.#context.speed.bytesPerSecond > 0;
    const isLarge = this.#options.isOffloaded?.() === true && this.#cursor >= this.#smallUntil;
    const most = kind === "zeroed" ? ZERO_PIECE_BYTES : isLarge ? LARGE_PIECE_BYTES : 0;
    return { length: Math.min(length, Math.max(isLimited ? 0 : most, this.#smallBytes)), kind };
  }

  /** Bytes of a piece whose failure is told. */
  get #smallBytes(): number {
    return Math.max(PIECE_BYTES, this.#options.cluster ?? 1);
  }

  async #perform(piece: Piece, kind: "copied" | "zeroed"): Promise<void> {
    this.#count++;
    try {
      await this.#options.move(piece.offset, piece.length, kind);
      this.#count--;
      this.#end(piece);
    } catch (error) {
      this.#count--;
      const isRead = error instanceof BlockError && error.operation === "read";
      const operation = this.#options.operation ?? (isRead ? "read" : "write");
      const { offset, length } = piece;
      const isLarge = kind === "copied" && length > this.#smallBytes;
      if (isLarge) this.#smallUntil = Math.max(this.#smallUntil, offset + length);
      this.#fail({ offset, length, operation, error, isLarge });
    }
    this.#wake();
  }

  #fail(failure: Failure): void {
    const first = this.#failure;
    if (first === undefined || failure.offset < first.offset) this.#failure = failure;
  }

  /** A piece is done: it is recorded as soon as all before it are. */
  #end(piece: Piece): void {
    piece.isDone = true;
    if (this.isCancelled) return;
    while (this.#queue[0]?.isDone === true) {
      const { kind, offset, length } = this.#queue.shift()!;
      this.#steps.add({ kind, offset, length });
    }
  }

  /** Waits for what is in flight; what is behind a failure is forgotten. */
  async #settle(): Promise<void> {
    while (this.#count > 0 && !this.isCancelled) await this.#nextEnd();
    if (this.isCancelled) return;
    if (this.#failure !== undefined) this.#cursor = this.#failure.offset;
    this.#queue.length = 0;
    this.#ahead = undefined;
    this.#steps.close();
  }

  /** Asks the policy about a failure and does what it says. */
  async #recover(): Promise<void> {
    await this.#settle();
    const failure = this.#failure;
    if (failure === undefined || this.isCancelled) return;
    const { operation, error, isLarge } = failure;
    if (isLarge) return void (this.#failure = undefined);
    const action = await this.#context.errorAction(this.#options.policy, operation, error);
    this.#failure = undefined;
    await this.#obey(action, failure);
  }

  async #obey(action: ErrorAction, { offset, length, error }: Failure): Promise<void> {
    // The next turn begins with a pause point.
    if (action === "stop") return;
    if (this.#options.onIgnore === "skip") this.#skipped ??= { error };
    if (action === "report") throw this.#skipped?.error ?? error;
    if (this.#options.onIgnore === "retry") return await this.#context.sleep(IGNORED_RETRY_MS);
    this.#cursor = offset + length;
    this.#steps.add({ kind: "skipped", offset, length });
    this.#steps.close();
  }

  /** Flushes with nothing in flight; false if it failed or was cancelled. */
  async #flushed(): Promise<boolean> {
    await this.#settle();
    if (this.#failure !== undefined || this.isCancelled) return false;
    try {
      const flushing = this.#options.flush().then(() => true);
      const done = await untilCancelled(this.#context.signal, flushing);
      if (done === true) this.#durableEnd = this.#steps.end;
      return done === true;
    } catch (error) {
      // The system may call pages clean now that it never wrote.
      this.#cursor = this.#durableEnd;
      const { policy, operation = "write" } = this.#options;
      const action = await this.#context.errorAction(policy, operation, error);
      if (action === "report") throw error;
      if (action === "ignore") await this.#context.sleep(IGNORED_RETRY_MS);
      return false;
    }
  }

  async #checkpoint(): Promise<void> {
    if (this.isCancelled || this.#failure !== undefined) return;
    await this.#options.checkpoint(this.#steps.end, this.#skipped?.error);
  }

  #nextEnd(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
