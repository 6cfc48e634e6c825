import type { Facts } from "./facts.ts";
import type { Judge } from "./judge.ts";
import type { Life } from "./life.ts";

/** What the drivers of one process share. */
export interface DriverWorld {
  /** The process. */
  readonly life: Life;
  /** What is durable. */
  readonly facts: Facts;
  /** Told of breaches. */
  readonly judge: Judge;
}
