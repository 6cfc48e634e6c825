/**
 * The checks of a single stored row and its neighbours: bytes, columns, order, hashes.
 *
 * - Hashes are taken over the stored bytes; nothing is serialised again.
 * - After a hole the tree cannot be compared any more, so only the first break is reported.
 */
import type { StoredRecord, SubtreeRow } from "../log/backend.ts";
import type { RecordedEvent } from "../log/event.ts";
import { Frontier, leafHash } from "../log/merkle.ts";
import type { EventReader } from "../log/store.ts";
import type { Faults } from "./faults.ts";

const KEYS = "position,stream,version,type,schema,time,data,metadata";
const COLUMNS = ["position", "stream", "version", "type", "time"] as const;

/** What was checked of the rows. */
export interface RowCounts {
  /** Rows read. */
  records: number;
  /** UTF-8 bytes of their texts. */
  bytes: number;
  /** Streams seen. */
  streams: number;
  /** Stored subtrees compared. */
  subtrees: number;
}

/** See the head of this file. */
export class RowCheck {
  /** What was checked so far. */
  readonly counts: RowCounts = { records: 0, bytes: 0, streams: 0, subtrees: 0 };
  /** Position of the last row; that of the row before it plus 1 where it is in order. */
  position = 0;
  /** Time of the last row. */
  time = 0;
  readonly #faults: Faults;
  readonly #reader: EventReader;
  readonly #versions = new Map<string, number>();
  readonly #frontier = new Frontier();
  readonly #full: SubtreeRow[] = [];
  #isTreeBroken = false;

  /**
   * @param reader where stored subtrees are read
   * @param faults where findings go
   */
  constructor(reader: EventReader, faults: Faults) {
    this.#reader = reader;
    this.#faults = faults;
  }

  /** Root over the rows so far. */
  get root(): string {
    return this.#frontier.root();
  }

  /** Number of rows in the tree so far. */
  get size(): number {
    return this.#frontier.size;
  }

  /** True once rows were missing: hashes above the leaves cannot be compared any more. */
  get isTreeBroken(): boolean {
    return this.#isTreeBroken;
  }

  /** Last version of a stream so far; 0 = not seen. */
  versionOf(stream: string): number {
    return this.#versions.get(stream) ?? 0;
  }

  /**
   * Checks one row.
   *
   * @returns the record, or undefined when its bytes are none
   */
  check(row: StoredRecord): RecordedEvent | undefined {
    this.counts.records += 1;
    this.#checkPosition(row);
    const leaf = leafHash(row.text);
    if (leaf !== row.leaf) {
      this.#faults.add("leaf", row.position, "the hash of its bytes", leaf, row.leaf);
    }
    // The tree is built over the bytes, so that a subtree shows a leaf that was changed with them.
    this.#frontier.push(leaf, 0, this.#full);
    const event = this.#parse(row);
    if (event === undefined) return undefined;
    this.#checkColumns(row, event);
    this.#checkVersion(event);
    if (event.time < this.time) {
      this.#faults.add("time", row.position, "its time", `${this.time} or more`, event.time);
    } else this.time = event.time;
    return event;
  }

  /** True when subtrees wait for {@linkcode checkSubtrees}. */
  get hasFullSubtrees(): boolean {
    return this.#full.length > 0;
  }

  #checkPosition(row: StoredRecord): void {
    const expected = this.position + 1;
    if (row.position !== expected) {
      this.#faults.add("position", expected, "its place in the log", expected, row.position);
      this.#isTreeBroken = true;
    }
    this.position = Math.max(this.position + 1, row.position);
  }

  #parse(row: StoredRecord): RecordedEvent | undefined {
    const { text, position } = row;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      this.#faults.add("record", position, "its bytes", "a JSON object", excerpt(text));
      return undefined;
    }
    // Nearly all texts are ASCII, and then a unit is a byte.
    this.counts.bytes += text.length;
    if (NOT_ASCII.test(text)) this.counts.bytes += ENCODER.encode(text).length - text.length;
    const keys = typeof value === "object" && value !== null ? Object.keys(value).join() : "";
    if (keys !== KEYS || !isShaped(value as RecordedEvent)) {
      this.#faults.add("record", position, "the members of its bytes", KEYS, keys || excerpt(text));
      return undefined;
    }
    return value as RecordedEvent;
  }

  #checkColumns(row: StoredRecord, event: RecordedEvent): void {
    for (const column of COLUMNS) {
      if (row[column] === event[column]) continue;
      const what = `its column "${column}" against its bytes`;
      this.#faults.add("column", row.position, what, event[column], row[column]);
    }
  }

  #checkVersion({ stream, version, position }: RecordedEvent): void {
    const before = this.#versions.get(stream);
    if (before === undefined) this.counts.streams += 1;
    const expected = (before ?? 0) + 1;
    if (version !== expected) {
      this.#faults.add("version", position, `its version in "${stream}"`, expected, version);
    }
    this.#versions.set(stream, version);
  }

  /** Compares the subtrees that were filled since the last call with the stored ones. */
  async checkSubtrees(): Promise<void> {
    for (const { level, index, hash } of this.#full.splice(0)) {
      if (this.#isTreeBroken) continue;
      this.counts.subtrees += 1;
      const [stored] = await this.#reader.subtrees(level, index, index);
      if (stored?.index === index && stored.hash === hash) continue;
      const width = 256 ** level;
      const last = (index + 1) * width;
      const what = `the stored hash over records ${last - width + 1} to ${last}`;
      const found = stored?.index === index ? stored.hash : "nothing";
      this.#faults.add("subtree", last, what, hash, found);
    }
  }

  /** A full subtree that is stored beyond the end shows that records were cut off. */
  async checkBeyond(): Promise<void> {
    if (this.#isTreeBroken) return;
    const next = Math.floor(this.size / 256);
    const [beyond] = await this.#reader.subtrees(1, next, next);
    if (beyond === undefined) return;
    const found = `a stored hash over records ${next * 256 + 1} to ${(next + 1) * 256}`;
    this.#faults.add("truncated", 0, "its end", `${(next + 1) * 256} records or more`, found);
  }
}

// deno-lint-ignore no-control-regex
const NOT_ASCII = /[^\u0000-\u007f]/;
const ENCODER = new TextEncoder();

function isShaped(event: RecordedEvent): boolean {
  return typeof event.data === "object" && event.data !== null && !Array.isArray(event.data) &&
    typeof event.metadata === "object" && event.metadata !== null &&
    typeof event.type === "string" && typeof event.stream === "string" &&
    Number.isSafeInteger(event.position) && Number.isSafeInteger(event.version) &&
    Number.isSafeInteger(event.schema) && Number.isSafeInteger(event.time);
}

function excerpt(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}...` : text);
}
