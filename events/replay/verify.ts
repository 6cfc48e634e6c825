/**
 * Verification: re-derives everything that a log claims from its stored bytes.
 *
 * One pass, one row at a time. Checked are, for every record: its place, its bytes, its index
 * columns, its stream version, its time, its leaf; for every 256 records their stored subtree; for
 * every event its type, its stream and its cause; for every command its record, its answer and its
 * entry in the index; for every job the transition table; for every transaction its convergence;
 * and every snapshot. In the end the store looks at its own files: an index that lacks a row hides
 * an event from a stream.
 *
 * What cannot be proved from a log alone: that nothing was cut off its end, and that nobody wrote
 * the whole of it anew. For that a tree head (size and root) that was kept elsewhere is needed.
 *
 * Called by auditors and the ways in. Source: DESIGN.md, The log, Tamper evidence.
 */
import { isJobEvent } from "../job/mod.ts";
import type { RecordedEvent } from "../log/event.ts";
import type { EventReader } from "../log/store.ts";
import { type Fault, Faults } from "./faults.ts";
import { jobSnapshotName } from "./job_states.ts";
import type { TreeHead } from "./proofs.ts";
import { CommandIndexCheck } from "./verify_command_index.ts";
import { CommandCheck, type CommandCounts } from "./verify_commands.ts";
import { JobCheck, type JobCounts } from "./verify_jobs.ts";
import { RowCheck, type RowCounts } from "./verify_rows.ts";
import { ENGINE_SNAPSHOT, SnapshotCheck } from "./verify_snapshots.ts";

/** How a log is verified. */
export interface VerifyOptions {
  /** Size and root that were kept elsewhere; a log that is shorter or differs then is found. */
  readonly head?: TreeHead;
  /** Schema versions of further event types that are known, such as those of the node graph. */
  readonly types?: Readonly<Record<string, number>>;
  /** Faults that are kept; all are counted. @default 100 */
  readonly maxFaults?: number;
  /** Told now and then how far the pass is. */
  readonly onProgress?: (position: number, size: number) => void;
  /** Stops the pass; the promise rejects with its reason. */
  readonly signal?: AbortSignal;
}

/** What was checked. */
export interface CheckedCounts extends RowCounts, JobCounts, CommandCounts {
  /** Snapshots compared with the fold from zero. */
  readonly snapshots: number;
}

/** The outcome of a verification. */
export interface VerifyReport {
  /** True if there is no fault. */
  readonly ok: boolean;
  /** Number of records. */
  readonly size: number;
  /** Root of the Merkle tree over their bytes, 64 lower-case hex digits. */
  readonly root: string;
  /** UTF-8 bytes of all records together. */
  readonly bytes: number;
  /** The first fault; null = none. */
  readonly first: Fault | null;
  /** The first faults, in the order in which they were met. */
  readonly faults: readonly Fault[];
  /** How many faults there are in all. */
  readonly faultCount: number;
  /** What was checked. */
  readonly checked: CheckedCounts;
  /** How it stands with the tree head: none was given, it fits, or it does not. */
  readonly head: "none" | "matches" | "differs";
  /** What this outcome proves and what it does not, as a sentence. */
  readonly note: string;
}

const PROGRESS_EVERY = 16_384;

/**
 * Verifies a log up to where it ends at the call.
 *
 * @throws whatever the store throws when rows cannot be read at all
 *
 * @example Verify against a tree head that was kept elsewhere
 * ```ts ignore
 * const report = await verify(reader, { head: { size: 1204, root: "9f0c..." } });
 * if (!report.ok) console.log(report.first?.text);
 * ```
 */
export async function verify(
  reader: EventReader,
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  return await new Verification(reader, options).run();
}

class Verification {
  readonly #reader: EventReader;
  readonly #options: VerifyOptions;
  readonly #faults: Faults;
  readonly #rows: RowCheck;
  readonly #commands: CommandCheck;
  readonly #jobs: JobCheck;
  readonly #snapshots: SnapshotCheck;
  readonly #index: CommandIndexCheck;
  #size = 0;
  #headFound: "none" | "matches" | "differs" = "none";

  constructor(reader: EventReader, options: VerifyOptions) {
    this.#reader = reader;
    this.#options = options;
    const faults = new Faults(options.maxFaults ?? 100);
    this.#faults = faults;
    this.#rows = new RowCheck(reader, faults);
    this.#commands = new CommandCheck(faults);
    this.#jobs = new JobCheck(faults);
    this.#snapshots = new SnapshotCheck(reader, faults);
    this.#index = new CommandIndexCheck(reader, faults);
  }

  async run(): Promise<VerifyReport> {
    const { head, signal, onProgress } = this.#options;
    const rows = this.#rows;
    const end = await this.#reader.end();
    this.#size = end.position;
    await this.#snapshots.list(ENGINE_SNAPSHOT, 1, this.#size);
    if (head !== undefined && head.size === 0) this.#compareHead(head);
    if (this.#size > 0) {
      for await (const row of this.#reader.readStored(1, this.#size)) {
        const event = rows.check(row);
        if (rows.hasFullSubtrees) await rows.checkSubtrees();
        if (head !== undefined && rows.size === head.size) this.#compareHead(head);
        if (event !== undefined && this.#checkEvent(event)) await this.#checkSnapshots(event);
        if (rows.counts.records % PROGRESS_EVERY === 0) {
          signal?.throwIfAborted();
          onProgress?.(rows.position, this.#size);
        }
      }
    }
    await this.#finish(end.time);
    return this.#report();
  }

  /** Data of another shape than its type promises is a finding, and no failure of the verifier. */
  #guard(position: number, what: string, check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#faults.add("fold", position, what, "data of the shape of its type", String(error));
    }
  }

  /** Returns true if snapshots have to be looked at. */
  #checkEvent(event: RecordedEvent): boolean {
    this.#guard(event.position, `the data of its ${event.type}`, () => this.#checkData(event));
    return this.#jobs.created.length > 0 || this.#snapshots.isDue(event.position);
  }

  #checkData(event: RecordedEvent): void {
    this.#commands.checkCause(event);
    this.#index.note(event);
    if (!isJobEvent(event)) {
      if (this.#options.types?.[event.type] !== event.schema) {
        const what = "its event type";
        const found = `${event.type} schema ${event.schema}`;
        this.#faults.add("unknown", event.position, what, "a type and schema that is known", found);
      }
      return;
    }
    this.#commands.checkRecord(event);
    this.#jobs.check(event);
  }

  async #checkSnapshots({ position }: RecordedEvent): Promise<void> {
    for (const runId of this.#jobs.created.splice(0)) {
      await this.#snapshots.list(jobSnapshotName(runId), position, this.#size);
    }
    if (this.#snapshots.isDue(position)) await this.#snapshots.compare(position, this.#jobs);
  }

  async #finish(endTime: number): Promise<void> {
    const { head } = this.#options;
    const rows = this.#rows;
    if (rows.position !== this.#size) {
      this.#faults.add("end", this.#size, "the last record", this.#size, rows.position);
    } else if (rows.time !== endTime) {
      this.#faults.add("end", this.#size, "the time of the end", rows.time, endTime);
    }
    await rows.checkSubtrees();
    const now = (await this.#reader.end()).position;
    if (now === this.#size) await rows.checkBeyond();
    await this.#index.finish();
    for (const found of await this.#reader.selfCheck()) {
      this.#faults.add("store", 0, "its files and indexes", "no damage", found);
    }
    this.#guard(this.#size, "what is open at the end", () => {
      this.#commands.finish((stream) => this.#jobs.isOver(stream));
      this.#jobs.finish();
    });
    this.#snapshots.finish(now);
    if (head !== undefined && head.size > rows.size) {
      this.#headFound = "differs";
      const expected = `${head.size} records or more`;
      this.#faults.add("truncated", 0, "its size against the tree head", expected, rows.size);
    }
  }

  #compareHead(head: TreeHead): void {
    const { root } = this.#rows;
    this.#headFound = root === head.root ? "matches" : "differs";
    if (root === head.root) return;
    const what = `the root over ${head.size} records against the tree head`;
    this.#faults.add("root", head.size, what, head.root, root);
  }

  #report(): VerifyReport {
    const { count, kept } = this.#faults;
    const rows = this.#rows;
    return {
      ok: count === 0,
      size: rows.size,
      root: rows.root,
      bytes: rows.counts.bytes,
      first: kept[0] ?? null,
      faults: kept,
      faultCount: count,
      checked: {
        ...rows.counts,
        ...this.#jobs.counts,
        ...this.#commands.counts,
        snapshots: this.#snapshots.count,
      },
      head: this.#headFound,
      note: note(count, this.#headFound, this.#options.head, rows.size),
    };
  }
}

function note(
  faultCount: number,
  found: VerifyReport["head"],
  head: TreeHead | undefined,
  size: number,
): string {
  if (head === undefined) {
    const outcome = faultCount === 0 ? "The records agree with each other" : "The log has faults";
    return `${outcome}; without a tree head kept elsewhere it cannot be proved that no records ` +
      "were cut off the end or written anew.";
  }
  if (found === "differs") return "The log is not the one that the tree head was taken from.";
  if (faultCount > 0) return "The log has faults, although its root fits the tree head.";
  const later = size - head.size;
  const rest = later === 0
    ? "."
    : `; a cut among the ${later} records behind them needs a newer tree head.`;
  return `The first ${head.size} records are those that the tree head was taken from${rest}`;
}
