/**
 * Kinds of jobs that do nothing, for measurements of the machine around them.
 */
import type { Driver, DriverJob } from "../../engine/drivers/driver.ts";

/** One for all jobs: it knows nothing of any of them. */
const IDLE_JOB: DriverJob = {
  run: async (context) => {
    while (!context.isCancelled) await context.yield();
  },
};

/** Ends at once. */
export const NOOP: Driver = {
  type: "noop",
  summary: "does nothing and ends",
  parameters: () => ({}),
  open: () => Promise.resolve({ run: () => Promise.resolve() }),
};

/** Waits until it is cancelled, whoever enters it; goes on in a later process. */
export const IDLE: Driver = {
  type: "idle",
  summary: "does nothing and does not end",
  isResumable: true,
  parameters: () => ({}),
  open: () => Promise.resolve(IDLE_JOB),
};
