/**
 * What can be wrong with a log, and where: the findings of the verifier.
 *
 * A finding is data; a log with faults is an answer and not an exception.
 */

/** Kinds of faults; a kind never changes its meaning. */
export type FaultKind =
  /** A record is missing or stands at the wrong place. */
  | "position"
  /** The stored bytes are no record. */
  | "record"
  /** An index column contradicts the bytes. */
  | "column"
  /** A stream's versions have a hole or a repeat. */
  | "version"
  /** A time is less than that of the record before. */
  | "time"
  /** The stored leaf is not the hash of the stored bytes. */
  | "leaf"
  /** A stored subtree is missing, is not what its leaves give, or has no records. */
  | "subtree"
  /** The log is shorter than the tree head that it was checked against. */
  | "truncated"
  /** The root is not that of the tree head that it was checked against. */
  | "root"
  /** The end of the log, as the store tells it, is not where its records end. */
  | "end"
  /** An event type or schema version is not known. */
  | "unknown"
  /** An event stands in a stream where it does not belong, or before its job was created. */
  | "stream"
  /** The events of a job break the transition table, or cannot be folded. */
  | "fold"
  /** The members of a transaction do not end on one side, or not in the right order. */
  | "transaction"
  /** A command has no record, two records, or an answer that does not fit. */
  | "command"
  /** A causation id points to nothing, or to something later. */
  | "cause"
  /** A stored snapshot is not what the fold from zero gives. */
  | "snapshot"
  /** The store finds its own files or indexes damaged; the records themselves may be whole. */
  | "store";

/** One thing that is wrong. */
export interface Fault {
  /** Global position of the record; of the last one of a range; 0 = the log as a whole. */
  readonly position: number;
  /** What kind of thing. */
  readonly kind: FaultKind;
  /** What should stand there. */
  readonly expected: string;
  /** What stands there. */
  readonly found: string;
  /** One sentence without a full stop. */
  readonly text: string;
}

/** Collects faults: counts all, keeps the first ones. */
export class Faults {
  /** The first faults, in the order of their positions as they were met. */
  readonly kept: Fault[] = [];
  /** How many there are in all. */
  count = 0;
  readonly #max: number;

  /** @param max how many are kept */
  constructor(max: number) {
    this.#max = max;
  }

  /** Adds a fault. */
  add(
    kind: FaultKind,
    position: number,
    what: string,
    expected: string | number,
    found: string | number,
  ): void {
    this.count += 1;
    if (this.kept.length >= this.#max) return;
    const text = `Record ${position}: ${what}: expected ${expected}, found ${found}`;
    const about = position === 0 ? text.replace("Record 0", "Log") : text;
    this.kept.push({
      position,
      kind,
      expected: String(expected),
      found: String(found),
      text: about,
    });
  }
}
