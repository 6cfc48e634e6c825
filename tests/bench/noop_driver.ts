/**
 * Kinds of jobs that do nothing, for measurements of the machine around them.
 */
import type { Driver, DriverContext } from "../../engine/drivers/driver.ts";

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
  open: () =>
    Promise.resolve({
      run: async (context: DriverContext) => {
        while (!context.isCancelled) await context.yield();
      },
    }),
};
