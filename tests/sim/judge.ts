/**
 * Where the checkers of a run report, and where its story is told.
 *
 * A checker is often called from within the engine, which would take what it throws for an error
 * of a driver; so a breach is noted, and the run ends at the next opportunity.
 */

/** Collects the first breach of a run, and tells its story to whoever listens. */
export class Judge {
  /** The first promise that was broken. */
  breach: string | undefined;
  /** Told each line of the story. */
  readonly tell: (line: string) => void;

  /** @param tell listens to the story. @default nobody */
  constructor(tell: (line: string) => void = () => {}) {
    this.tell = tell;
  }

  /** Notes a breach; later ones follow from the first and are left out. */
  fail(text: string): void {
    if (this.breach !== undefined) return;
    this.breach = text;
    this.tell(`BROKEN ${text}`);
  }

  /** Notes a breach unless a condition holds. */
  check(isSound: boolean, text: string | (() => string)): void {
    if (!isSound) this.fail(typeof text === "string" ? text : text());
  }
}
