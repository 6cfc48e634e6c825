/**
 * Histories for tests: the real rules decide, a real log keeps what they decided.
 *
 * - Commands are Ann's, over the CLI, and carry their id as the cause of their effects.
 * - Every append gets a second of its own, beginning with {@linkcode FIRST_TIME}.
 */
import type { DecidedEvent, Decision } from "../../../engine/core/mod.ts";
import { type JobEvent, type JobEventType, jobStream } from "../../../events/job/mod.ts";
import type { EventMetadata, JsonObject, StreamAppend } from "../../../events/log/mod.ts";
import { type EventStore, openEventStore } from "../../../events/log/mod.ts";
import { createMemoryLog, type MemoryLog } from "../../../events/store/memory/mod.ts";
import { Machine } from "../../support/machine.ts";

/** Milliseconds since 1970 of the first append: 2026-01-01T00:00:00.000Z. */
export const FIRST_TIME = 1_767_225_600_000;

/** Who sends the commands of a history. */
export const ANN: EventMetadata = { actor: "ann", via: "cli" };
const ENGINE: EventMetadata = { actor: "engine", via: "engine" };

/** A machine whose events say who caused them. */
export class History extends Machine {
  #deciding: readonly DecidedEvent[] = [];
  #next = 0;

  override record(txnId: string | undefined, decision: Decision): void {
    this.#deciding = decision.events;
    this.#next = 0;
    super.record(txnId, decision);
  }

  override take(event: JobEvent): void {
    const cause = this.#deciding[this.#next++]?.cause;
    const record = this.#deciding.find(({ type }) => /^Verb(Acc|Ref)/.test(type))?.data as
      | { readonly commandId: string }
      | undefined;
    const who = record === undefined ? ENGINE : { ...ANN, causationId: record.commandId };
    const metadata = cause === undefined ? who : { ...who, causationId: `@${cause}` };
    const typed = event.type === "JobCreated"
      ? { ...event, data: { ...event.data, jobType: "backup" } }
      : event;
    super.take({ ...typed, metadata } as JobEvent);
  }

  /** Adds events of a job that no rule decides, as one append. */
  write(id: string, ...events: readonly (readonly [JobEventType, JsonObject])[]): void {
    const stream = jobStream(this.job(id).runId);
    const decided = events.map(([type, data]) => ({ stream, type, data }));
    const txnId = this.txn(id).txnId;
    this.record(txnId, { events: decided as unknown as DecidedEvent[], answer: ACCEPTED });
  }

  /** Copies some chunks of a mebibyte. */
  copy(id: string, chunks: number): void {
    const { current } = this.job(id).progress;
    for (let i = 0; i < chunks; i++) {
      this.write(id, ["StepTaken", { kind: "copied", offset: current + i * MIB, length: MIB }]);
    }
  }

  /** Opens an empty log and writes everything to it. */
  async toLog(): Promise<{ readonly log: MemoryLog; readonly store: EventStore }> {
    const log = createMemoryLog({ logId: "0".repeat(32) });
    let time = FIRST_TIME;
    const store = await openEventStore(log.open(), { clock: { now: () => time } });
    let start = 0;
    for (const end of this.appends) {
      const streams = this.events.slice(start, end).map((event): StreamAppend => {
        const { stream, type, data, metadata } = event;
        return { stream, events: [{ type, data: data as JsonObject, metadata }] };
      });
      await store.append({ streams });
      start = end;
      time += 1_000;
    }
    return { log, store };
  }
}

const ACCEPTED = { kind: "accepted" } as const;

/** One mebibyte. */
export const MIB = 1_048_576;

/**
 * A group of two backups: one is paused and resumed, one command is refused, one member holds the
 * group until it is finalized by hand, and both are dismissed.
 */
export function twoBackups(): History {
  const history = new History();
  const callbacks = ["prepare", "commit", "clean"] as const;
  history.create(
    [{ id: "disk0", callbacks }, { id: "disk1", callbacks, autoFinalize: false }],
    { isGrouped: true },
  );
  for (const id of ["disk0", "disk1"]) {
    history.write(id, ["ProgressTotalChanged", { total: 4 * MIB }]);
  }
  history.copy("disk0", 2);
  history.verb("disk0", "pause");
  history.verb("disk0", "pause");
  history.copy("disk1", 4);
  history.write("disk1", ["CheckpointTaken", { resumeFrom: { offset: 4 * MIB } }]);
  history.finish("disk1");
  history.verb("disk0", "resume");
  history.verb("disk0", "set-speed", { speed: MIB });
  history.copy("disk0", 2);
  history.finish("disk0");
  history.verb("disk1", "finalize");
  return history;
}

/**
 * A group that fails: `b` runs out of space and takes `a` with it; then `a` is used again, alone,
 * is stopped by its error policy, resumed, and cancelled.
 */
export function failingGroup(): History {
  const history = new History();
  const callbacks = ["prepare", "commit", "abort", "clean"] as const;
  history.create([{ id: "a", callbacks }, { id: "b", callbacks, autoDismiss: false }], {
    isGrouped: true,
  });
  history.copy("a", 1);
  history.fail("b", "report", "ENOSPC", "write");
  history.finish("b", "ENOSPC");
  history.verb("b", "dismiss");
  history.create([{ id: "a", callbacks }]);
  history.copy("a", 3);
  history.fail("a", "enospc", "ENOSPC", "write");
  history.verb("a", "resume");
  history.verb("a", "cancel");
  return history;
}
