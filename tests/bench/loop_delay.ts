/** How long the event loop is kept from its timers while something is measured. */

import { figure, printGoal, quantile } from "./measure.ts";

const SAMPLE_MS = 2;
const GOAL_MS = 10;

/** Notes from now on by how many milliseconds timers come late; returns what ends it. */
export function noteDelays(delaysMs: number[]): () => void {
  let dueAt = performance.now() + SAMPLE_MS;
  const sampler = setInterval(() => {
    const now = performance.now();
    delaysMs.push(Math.max(0, now - dueAt));
    dueAt = now + SAMPLE_MS;
  }, SAMPLE_MS);
  return () => clearInterval(sampler);
}

/** Prints the quantiles, and whether 99 of 100 timers were less than 10 ms late. */
export function reportDelays(delaysMs: readonly number[]): void {
  const p99 = quantile(delaysMs, 0.99);
  const figures = `p50 ${figure(quantile(delaysMs, 0.5), 1)} ms, p99 ${figure(p99, 1)} ms, ` +
    `max ${figure(quantile(delaysMs, 1), 1)} ms of ${delaysMs.length} samples`;
  printGoal(`event loop delay ${figures}`, `p99 ${GOAL_MS} ms`, p99 < GOAL_MS);
}
