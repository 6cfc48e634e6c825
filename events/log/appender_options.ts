/** How long patient appends are meant to wait, in milliseconds. */
export const PATIENCE_MS = 20;

/** Ports and bounds of an appender. */
export interface AppenderOptions {
  /** Where the time comes from: milliseconds since 1970 UTC. */
  readonly clock: { now(): number };
  /** Calls back once, after what arrives in this turn has arrived. @default setImmediate */
  readonly schedule?: (flush: () => void) => void;
  /**
   * Calls back once, after about {@linkcode PATIENCE_MS}: patient appends wait so long.
   * @default as `schedule`: they do not wait
   */
  readonly scheduleLater?: (flush: () => void) => void;
  /** Events a commit holds at most; 1,024 hold the event loop for about 6 ms. @default 1,024 */
  readonly maxEvents?: number;
  /** Text a commit holds at most, in UTF-16 units: bytes, where all is ASCII. @default 1 MiB */
  readonly maxBytes?: number;
  /** Streams whose version is remembered. @default 100,000 */
  readonly maxStreams?: number;
  /** Command ids whose events are remembered after their commit. @default 8,192 */
  readonly maxCommands?: number;
}

/** Patient turns that a commit waits before it takes the next piece of the reserve: 200 ms. */
const REST_TURNS = 10;

/** Waits until those who met the full disk have noticed. */
export async function restFor({ scheduleLater = setImmediate }: AppenderOptions): Promise<void> {
  for (let turn = 0; turn < REST_TURNS; turn++) {
    await new Promise<void>((resolve) => void scheduleLater(resolve));
  }
}
