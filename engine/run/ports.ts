/**
 * The ports of the engine: time, identity and the turn of the event loop, as plain functions.
 *
 * With other ports the same engine runs on virtual time; a seed then reproduces a run. The real
 * ones are in `system_ports.ts`, the only file of the engine that names a global clock.
 */

/** A timer that was set. */
export interface Timer {
  /** Takes it back; harmless after it fired. */
  cancel(): void;
}

/** What the engine asks of the world around it. */
export interface Ports {
  /** Milliseconds since 1970 UTC, an integer; may jump. */
  now(): number;
  /** Nanoseconds of a clock that never jumps back; its zero means nothing. */
  monotonicNs(): number;
  /** Calls back once after at least `ms` milliseconds. */
  setTimer(ms: number, callback: () => void): Timer;
  /** Resolves in a later turn of the event loop, after I/O had a chance. */
  turn(): Promise<void>;
  /** A new UUIDv7, lower case. */
  newId(): string;
}

/** Who this process is, for the record of its opening. */
export interface ProcessIdentity {
  /** Version of joblog. */
  readonly version: string;
  /** Runtime and its version, such as `deno 2.9.6`. */
  readonly runtime: string;
  /** Process id. */
  readonly pid: number;
}
