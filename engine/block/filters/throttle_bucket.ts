/** How much may pass in one way: on average, and in bursts. */
export interface BucketLimit {
  /** Units per second; 0 = unlimited. */
  readonly average: number;
  /** Units per second while a burst lasts; 0 = bursts of a tenth of a second at `average`. */
  readonly burst: number;
  /** Seconds that a burst may last, 1 or more. */
  readonly burstSeconds: number;
}

const NS_PER_SECOND = 1_000_000_000;

/**
 * A leaky bucket: what passes fills it, time empties it, and when it is full one has to wait.
 *
 * Pure arithmetic over instants that the caller gives. Source: QEMU 7.2 util/throttle.c.
 */
export class ThrottleBucket {
  readonly #limit: BucketLimit;
  #level = 0;
  #burstLevel = 0;

  /** @param limit how fast it empties and how much it holds; it is empty at first */
  constructor(limit: BucketLimit) {
    this.#limit = limit;
  }

  /** Lets `ns` nanoseconds pass. */
  leak(ns: number): void {
    const { average, burst, burstSeconds } = this.#limit;
    this.#level = Math.max(0, this.#level - average * ns / NS_PER_SECOND);
    if (burstSeconds <= 1) return;
    this.#burstLevel = Math.max(0, this.#burstLevel - burst * ns / NS_PER_SECOND);
  }

  /** Lets `units` pass. */
  fill(units: number): void {
    this.#level += units;
    if (this.#limit.burstSeconds > 1) this.#burstLevel += units;
  }

  /** Nanoseconds until more may pass; 0 = now. */
  waitNs(): number {
    const { average, burst, burstSeconds } = this.#limit;
    if (average === 0) return 0;
    const size = burst === 0 ? average / 10 : burst * burstSeconds;
    const extra = this.#level - size;
    if (extra > 0) return extra / average * NS_PER_SECOND;
    if (burstSeconds <= 1) return 0;
    return Math.max(0, (this.#burstLevel - burst / 10) / burst * NS_PER_SECOND);
  }
}
