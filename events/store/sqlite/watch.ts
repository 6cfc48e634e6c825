/**
 * How a reader learns that another process has appended: it looks at the log's change mark, which
 * costs a few microseconds and no lock.
 */

/** How often a watched log is looked at, in milliseconds. */
export const WATCH_INTERVAL_MS = 100;

/** Runs `look` every `intervalMs` until the returned function is called. */
export type Repeat = (look: () => void, intervalMs: number) => () => void;

/**
 * Timers that keep the process alive, as whoever watches is waiting for the next event; they end
 * with the watch.
 */
export const repeatByTimer: Repeat = (look, intervalMs) => {
  const timer = setInterval(look, intervalMs);
  return () => clearInterval(timer);
};

/**
 * Calls back after each look that finds another mark. A mark that cannot be read is left to the
 * next read, which reports it to somebody who can act on it.
 */
export function watchMark(mark: () => string, changed: () => void, repeat: Repeat): () => void {
  const read = (): string | undefined => {
    try {
      return mark();
    } catch {
      return undefined;
    }
  };
  let last = read();
  return repeat(() => {
    const now = read();
    if (now === last) return;
    last = now;
    changed();
  }, WATCH_INTERVAL_MS);
}
