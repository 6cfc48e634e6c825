import type { EventReader, SubscribeOptions, Subscription } from "../../events/log/store.ts";

/** Filters of a subscription. */
export interface FollowOptions {
  /** The last position already seen. @default 0 */
  readonly after?: number;
  /** Only these types. */
  readonly types?: readonly string[];
  /** Only this job, by id or run id. */
  readonly job?: string;
  /** Ends it. */
  readonly signal?: AbortSignal;
}

/**
 * Follows the log.
 *
 * @param stream only this one; undefined = all
 * @throws {JoblogError} code "invalidArgument"
 */
export function followLog(
  reader: EventReader,
  options: FollowOptions,
  stream: string | undefined,
): Subscription {
  const subscribe: SubscribeOptions = {
    ...(options.after === undefined ? {} : { after: options.after }),
    ...(options.types === undefined ? {} : { types: options.types }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(stream === undefined ? {} : { stream }),
  };
  return reader.subscribe(subscribe);
}
