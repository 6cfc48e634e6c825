/**
 * `joblog events`: the log as it stands, and as it grows.
 */
import { EXIT } from "../errors.ts";
import type { RecordedEvent, Service } from "../service.ts";
import type { Invocation } from "./invocation.ts";
import { eventLine } from "./queries.ts";

/** Which events. */
export interface EventsOptions {
  /** Go on with what is appended later. */
  readonly follow?: boolean;
  /** Only these types. */
  readonly type?: readonly string[];
  /** Only this job. */
  readonly job?: string;
  /** First position, inclusive. */
  readonly from?: number;
  /** At most so many. */
  readonly limit?: number;
}

const PAGE = 500;

async function* pages(service: Service, options: EventsOptions): AsyncIterable<RecordedEvent> {
  let left = options.limit ?? Number.MAX_SAFE_INTEGER;
  let from = options.from ?? 1;
  while (left > 0) {
    const query = {
      from,
      limit: Math.min(PAGE, left),
      ...(options.type === undefined ? {} : { type: options.type }),
      ...(options.job === undefined ? {} : { job: options.job }),
    };
    const { events, next } = await service.events(query);
    yield* events as readonly RecordedEvent[];
    left -= events.length;
    if (next === null) return;
    from = events.at(-1)!.position + 1;
  }
}

async function* live(
  service: Service,
  options: EventsOptions,
  signal: AbortSignal,
): AsyncIterable<RecordedEvent> {
  let left = options.limit ?? Number.MAX_SAFE_INTEGER;
  const subscription = await service.follow({
    after: Math.max(0, (options.from ?? 1) - 1),
    ...(options.type === undefined ? {} : { types: options.type }),
    ...(options.job === undefined ? {} : { job: options.job }),
    signal,
  });
  for await (const event of subscription) {
    yield event;
    left -= 1;
    if (left === 0) return;
  }
}

/** Prints events until there are no more or, following, until it is told to stop. */
export async function showEvents(invocation: Invocation, options: EventsOptions): Promise<number> {
  const stop = new AbortController();
  const unlisten = invocation.host.terminal.onInterrupt(() => stop.abort());
  // Following waits on timers that keep no process alive; this one does.
  const awake = setInterval(() => {}, 60_000);
  try {
    return await invocation.ask(async (service) => {
      const events = options.follow === true
        ? live(service, options, stop.signal)
        : pages(service, options);
      for await (const event of events) {
        invocation.tell(event, () => `${eventLine(event)}\n`);
        if (stop.signal.aborted) break;
      }
      return EXIT.ok;
    });
  } finally {
    clearInterval(awake);
    unlisten();
  }
}
