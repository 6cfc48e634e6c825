/**
 * Work that nobody awaits: counted, so that a close can wait for its end.
 *
 * A count and one pair of functions for all: a hundred thousand jobs may run at once.
 */
export class Background {
  #count = 0;
  #idle: PromiseWithResolvers<void> | undefined;
  readonly #ended = (): void => {
    this.#count -= 1;
    if (this.#count > 0) return;
    this.#idle?.resolve();
    this.#idle = undefined;
  };
  readonly #failed: (error: unknown) => void;

  /** @param failed told of each failure */
  constructor(failed: (error: unknown) => void) {
    this.#failed = (error) => {
      failed(error);
      this.#ended();
    };
  }

  /** Keeps an eye on some work. */
  add(work: Promise<void>): void {
    this.#count += 1;
    void work.then(this.#ended, this.#failed);
  }

  /** Resolves when no work is under way. */
  async untilIdle(): Promise<void> {
    while (this.#count > 0) {
      this.#idle ??= Promise.withResolvers<void>();
      await this.#idle.promise;
    }
  }
}
