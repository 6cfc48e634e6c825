/**
 * Events as a stream of server-sent events.
 *
 * - Each message is one event: its position is the id, its JSON the data. A client that comes back
 *   with `Last-Event-ID` goes on after it, with no gap and no repeat.
 * - The stream is pulled: a slow client is not read for, and costs at most one chunk. The log
 *   serves it at its own pace.
 * - A heartbeat carries the position that was scanned, so that a client with a narrow filter does
 *   not begin anew.
 *
 * Called by `app.ts`. Source: HTML Living Standard, Server-sent events.
 */
import type { RecordedEvent, Subscription } from "../service.ts";

/** Milliseconds between heartbeats; proxies drop connections that are silent for a minute. */
export const HEARTBEAT_MS = 15_000;

/** Bytes of a chunk, roughly: events at hand are sent together up to this. */
const CHUNK_LENGTH = 65_536;

/** How a client is told to come back after a break. */
const RETRY = "retry: 1000\n\n";

/** A timer that can be taken back. */
export type After = (ms: number, callback: () => void) => () => void;

/** The system's timers. */
export const systemAfter: After = (ms, callback) => {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
};

type Answer = IteratorResult<RecordedEvent, undefined>;

function message(event: RecordedEvent): string {
  return `id: ${event.position}\ndata: ${JSON.stringify(event)}\n\n`;
}

class Sender {
  readonly #subscription: Subscription;
  readonly #after: After;
  readonly #encoder = new TextEncoder();
  #pending: Promise<Answer> | undefined;
  #hasGreeted = false;

  constructor(subscription: Subscription, after: After) {
    this.#subscription = subscription;
    this.#after = after;
  }

  /** The next chunk; undefined at the end. */
  async chunk(): Promise<Uint8Array | undefined> {
    // The answer's head goes out at once, also when nothing has happened yet.
    if (!this.#hasGreeted) {
      this.#hasGreeted = true;
      return this.#encoder.encode(RETRY);
    }
    const first = await this.#nextOrBeat();
    if (first === "beat") {
      return this.#encoder.encode(`: heartbeat\nid: ${this.#subscription.position}\n\n`);
    }
    if (first.done) return undefined;
    let text = message(first.value);
    while (text.length < CHUNK_LENGTH) {
      this.#pending ??= this.#subscription.next();
      const more = await Promise.race([this.#pending, Promise.resolve(undefined)]);
      // The end, like what is not there yet, is left to the next chunk.
      if (more === undefined || more.done) break;
      this.#pending = undefined;
      text += message(more.value);
    }
    return this.#encoder.encode(text);
  }

  async #nextOrBeat(): Promise<Answer | "beat"> {
    this.#pending ??= this.#subscription.next();
    let cancel = () => {};
    const beat = new Promise<"beat">((resolve) => {
      cancel = this.#after(HEARTBEAT_MS, () => resolve("beat"));
    });
    try {
      const answer = await Promise.race([this.#pending, beat]);
      if (answer !== "beat") this.#pending = undefined;
      return answer;
    } finally {
      cancel();
    }
  }
}

/**
 * The response that follows a subscription; its end closes the subscription.
 *
 * @param after timers for heartbeats
 */
export function eventStream(subscription: Subscription, after: After = systemAfter): Response {
  const sender = new Sender(subscription, after);
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const chunk = await sender.chunk();
      if (chunk === undefined) controller.close();
      else controller.enqueue(chunk);
    },
    cancel() {
      subscription.close();
    },
  }, { highWaterMark: 1 });
  return new Response(body, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
  });
}
