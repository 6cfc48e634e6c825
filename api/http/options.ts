import type { Service } from "../service.ts";
import type { After } from "./sse.ts";
import type { BucketOptions } from "./token_bucket.ts";

/** What the app stands on. */
export interface AppOptions {
  /** The facade. */
  readonly service: Service;
  /** Ends all streams; aborted before the server is stopped. */
  readonly signal?: AbortSignal;
  /** Names that a request's Host header may have; absent = any, for sockets that have no names. */
  readonly hosts?: ReadonlySet<string>;
  /** How fast an actor may send commands. */
  readonly bucket?: BucketOptions;
  /** Milliseconds, for the buckets. */
  readonly now?: () => number;
  /** Timers of heartbeats. */
  readonly after?: After;
  /** Told about faults of the program, whose text is not for clients. */
  readonly onFault?: (error: unknown) => void;
}

/** Who stands behind a request, as the server sees it. */
export interface RequestOrigin {
  /** Such as `http:127.0.0.1` or `cli:ann`. */
  readonly actor: string;
  /** The way in. @default "http" */
  readonly via?: "http" | "cli";
}
