/**
 * QEMU's rate limit: slices of 100 ms, work is never split, a burst is paid for afterwards.
 *
 * Pure arithmetic over instants that the caller gives, in nanoseconds.
 *
 * Source: QEMU 7.2 include/qemu/ratelimit.h; include/block/blockjob_int.h BLOCK_JOB_SLICE_TIME.
 */

/** Length of a slice: 100 ms, in nanoseconds. */
export const SLICE_NS = 100_000_000;

/**
 * The limiter of one job.
 *
 * @example 64 KiB a second and a chunk of 512 KiB cost eight seconds
 * ```ts
 * import { Throttle } from "./throttle.ts";
 *
 * const throttle = new Throttle();
 * throttle.setSpeed(65_536);
 * const delayNs = throttle.account(0, 524_288);
 * if (Math.round(delayNs / 1e6) !== 8001) throw new Error(String(delayNs));
 * ```
 */
export class Throttle {
  #speed = 0;
  #quota = 0;
  #sliceStartNs = 0;
  #sliceEndNs = 0;
  #dispatched = 0;

  /** Bytes per second; 0 = unlimited. */
  get speed(): number {
    return this.#speed;
  }

  /** Changes the limit. What was dispatched stays accounted until its slice has passed. */
  setSpeed(bytesPerSecond: number): void {
    this.#speed = bytesPerSecond;
    this.#quota = bytesPerSecond === 0 ? 0 : Math.max(1, Math.floor(bytesPerSecond * 0.1));
  }

  /**
   * Accounts dispatched work.
   *
   * @param nowNs a monotonic instant in nanoseconds
   * @param length bytes dispatched; 0 only asks
   * @returns nanoseconds to wait before more is dispatched; 0 = none
   */
  account(nowNs: number, length: number): number {
    if (this.#quota === 0) return 0;
    if (this.#sliceEndNs < nowNs) {
      this.#sliceStartNs = nowNs;
      this.#sliceEndNs = nowNs + SLICE_NS;
      this.#dispatched = 0;
    }
    this.#dispatched += length;
    if (this.#dispatched < this.#quota) return 0;
    const slices = this.#dispatched / this.#quota;
    this.#sliceEndNs = this.#sliceStartNs + Math.floor(slices * SLICE_NS);
    return this.#sliceEndNs - nowNs;
  }
}

/** Says whether a change of speed wakes a sleeping job: only faster or unlimited does. */
export function wakesSleeper(before: number, after: number): boolean {
  return after === 0 || after > before;
}
