/**
 * Waits for work that may hang, such as an access to a dead disk, but not beyond a cancel. The work
 * goes on by itself then; whoever started it looks after its end.
 *
 * @param signal aborted at a force cancel
 * @returns undefined when the cancel came first
 *
 * @example A flush that nobody waits for after a cancel
 * ```ts ignore
 * const isFlushed = await untilCancelled(context.signal, node.flush().then(() => true));
 * if (isFlushed === undefined) return;
 * ```
 */
export async function untilCancelled<T>(
  signal: AbortSignal,
  work: Promise<T>,
): Promise<T | undefined> {
  let stop = () => {};
  const cancelled = new Promise<undefined>((resolve) => stop = () => resolve(undefined));
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    return await Promise.race([work, cancelled]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
