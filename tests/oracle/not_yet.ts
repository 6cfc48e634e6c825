/** Recorded scenarios that do not pass yet: what is missing, and which of them wait for it. */

/** Something that is missing. It is no decision: those are in the table of deviations. */
export interface Missing {
  /** What. */
  readonly what: string;
  /** Scenarios that wait for it. */
  readonly scenarios: readonly string[];
}

/** All that is missing. A scenario that passes must leave this list. */
export const NOT_YET: readonly Missing[] = [];
