/** Counts outcomes by kind, and prints them as a table. */
import type { Outcome } from "./judge.ts";

const TITLE_OF: { readonly [O in Outcome]: string } = {
  exact: "exact",
  found: "elsewhere",
  refused: "refused",
  head: "head only",
  meaningless: "meaningless",
  unclaimed: "unclaimed",
  valid: "VALID",
};
const OUTCOMES = Object.keys(TITLE_OF) as readonly Outcome[];
const TITLES = Object.values(TITLE_OF);

/** See the head of this file. */
export class Tally {
  /** Changes that the database itself refused to make. */
  skipped = 0;
  readonly #counts = new Map<string, Map<Outcome, number>>();

  /** Counts one mutant. */
  add(kind: string, outcome: Outcome): void {
    const row = this.#counts.get(kind) ?? new Map<Outcome, number>();
    row.set(outcome, (row.get(outcome) ?? 0) + 1);
    this.#counts.set(kind, row);
  }

  /** How many ended so. */
  count(outcome: Outcome): number {
    return [...this.#counts.values()].reduce((sum, row) => sum + (row.get(outcome) ?? 0), 0);
  }

  /** How many there were. */
  get total(): number {
    return OUTCOMES.reduce((sum, outcome) => sum + this.count(outcome), 0);
  }

  /** The table, one line a kind. */
  lines(): string[] {
    const width = Math.max(...[...this.#counts.keys()].map(({ length }) => length), 8);
    const cells = (values: readonly (string | number)[]) =>
      values.map((value) => String(value).padStart(12)).join("");
    const head = "kind".padEnd(width) + cells(["mutants", ...TITLES]);
    const lines = [...this.#counts].map(([kind, row]) => {
      const counts = OUTCOMES.map((outcome) => row.get(outcome) ?? 0);
      const total = counts.reduce((sum, count) => sum + count, 0);
      return kind.padEnd(width) + cells([total, ...counts]);
    });
    const rest = this.skipped === 0 ? [] : [`${this.skipped} changes were refused by SQLite`];
    return [head, ...lines, ...rest];
  }
}
