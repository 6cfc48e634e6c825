/** One who waits for a turn. */
interface Waiter {
  readonly isDrain: boolean;
  /** Begins at once, within the call. */
  start(): void;
}

/**
 * Lets requests pass, counts them, and holds them while a drain runs.
 *
 * Requests and drains form one queue in order of arrival. A drain waits for the requests that came
 * before it to settle; those that come after it are held, and then start in their order.
 */
export class RequestGate {
  readonly #waiters: Waiter[] = [];
  #inFlight = 0;
  #isDrained = false;

  /** Requests that have started and not settled. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Requests and drains that wait. */
  get heldCount(): number {
    return this.#waiters.length;
  }

  /** True if a request would start at once. */
  get isOpen(): boolean {
    return !this.#isDrained && this.#waiters.length === 0;
  }

  /** Runs a request, at once or when its turn has come. */
  pass<T>(request: () => Promise<T>): Promise<T> {
    if (this.isOpen) {
      this.#inFlight++;
      return this.#run(request);
    }
    return new Promise<T>((resolve, reject) => {
      const start = () => {
        this.#inFlight++;
        this.#run(request).then(resolve, reject);
      };
      this.#waiters.push({ isDrain: false, start });
    });
  }

  /** Runs `work` while nothing is in flight and everything else is held. */
  async drained<T>(work: () => Promise<T> | T): Promise<T> {
    await this.#beginDrain();
    try {
      return await work();
    } finally {
      this.#isDrained = false;
      this.#advance();
    }
  }

  async #run<T>(request: () => Promise<T>): Promise<T> {
    try {
      return await request();
    } finally {
      this.#inFlight--;
      this.#advance();
    }
  }

  #beginDrain(): Promise<void> {
    if (this.isOpen && this.#inFlight === 0) {
      this.#isDrained = true;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const start = () => {
        this.#isDrained = true;
        resolve();
      };
      this.#waiters.push({ isDrain: true, start });
    });
  }

  /** Starts whoever may start now. A started request may settle or ask again within the call. */
  #advance(): void {
    for (;;) {
      const next = this.#waiters[0];
      if (next === undefined || this.#isDrained) return;
      if (next.isDrain && this.#inFlight > 0) return;
      this.#waiters.shift();
      next.start();
    }
  }
}
