/** Forces a garbage collection where the runtime offers one. */

interface Collecting {
  readonly Bun?: { gc(force: boolean): void };
  readonly gc?: () => void;
}

/** Collects garbage now. Returns false if this runtime has no way to ask for it. */
export function collectGarbage(): boolean {
  const runtime = globalThis as unknown as Collecting;
  if (runtime.Bun !== undefined) runtime.Bun.gc(true);
  else if (runtime.gc !== undefined) runtime.gc();
  else return false;
  return true;
}
