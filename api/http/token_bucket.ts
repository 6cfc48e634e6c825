/** How many commands an actor may send: a burst at once, then so many each second. */
export interface BucketOptions {
  /** Commands at once. */
  readonly burst: number;
  /** Commands a second in the long run. */
  readonly perSecond: number;
}

/** Enough for any person and most programs. */
export const DEFAULT_BUCKET: BucketOptions = { burst: 200, perSecond: 100 };

/** Actors that are remembered; a full bucket is forgotten first. */
const ACTORS_MAX = 10_000;

/** One bucket of tokens per actor; a command takes one, and time puts them back. */
export class TokenBuckets {
  readonly #options: BucketOptions;
  readonly #now: () => number;
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  /** @param now milliseconds */
  constructor(options: BucketOptions, now: () => number) {
    this.#options = options;
    this.#now = now;
  }

  /** Takes a token; answers 0, or the milliseconds until there is one again. */
  take(actor: string): number {
    const { burst, perSecond } = this.#options;
    const now = this.#now();
    const last = this.#buckets.get(actor) ?? { tokens: burst, at: now };
    const tokens = Math.min(burst, last.tokens + Math.max(0, now - last.at) * perSecond / 1_000);
    // The actor used last stands last, so that the first one is the longest silent.
    this.#buckets.delete(actor);
    this.#buckets.set(actor, { tokens: tokens < 1 ? tokens : tokens - 1, at: now });
    if (this.#buckets.size > ACTORS_MAX) {
      for (const first of this.#buckets.keys()) {
        this.#buckets.delete(first);
        break;
      }
    }
    return tokens < 1 ? Math.ceil((1 - tokens) * 1_000 / perSecond) : 0;
  }
}
