/**
 * A log of backups as the engine records them, written by the thousand: only for measurements.
 *
 * - 20 jobs at a time take turns; each has 10,000 events, is dismissed, and another takes its
 *   place. Those that the wanted count cuts off stay unfinished.
 * - Each event has the shape and the size of a real one; no rule decided it.
 */
import { statSync } from "node:fs";
import {
  applyToJob,
  INITIAL_JOB,
  type JobDraft,
  type JobEvent,
  type JobEventType,
  jobStream,
} from "../../events/job/mod.ts";
import {
  type EventMetadata,
  type JsonObject,
  openEventStore,
  type SnapshotRow,
} from "../../events/log/mod.ts";
import { ENGINE_SNAPSHOT, isJobSnapshotDue, jobSnapshotRow } from "../../events/replay/mod.ts";
import { FOLD_VERSION } from "../../events/job/mod.ts";
import { openSqliteLog } from "../../events/store/sqlite/mod.ts";
import { Directory, snapshotState } from "../../engine/run/directory.ts";
import { ENGINE_SNAPSHOT_EVERY } from "../../engine/run/snapshots.ts";

/** Milliseconds since 1970 of the first event. */
export const LOG_START = 1_764_000_000_000;

const JOBS_AT_ONCE = 20;
const JOB_EVENTS = 10_000;
const CHUNK = 65_536;
const BY_ENGINE: EventMetadata = { actor: "engine", via: "engine" };

/** When a job lived, in positions. */
export interface Life {
  /** The run. */
  readonly runId: string;
  /** Position of its first event. */
  readonly first: number;
  /** Position of its last event. */
  readonly last: number;
}

/** What was written. */
export interface Written {
  /** All jobs. */
  readonly lives: readonly Life[];
  /** Size of the file while it had no snapshots. */
  readonly bytesBeforeSnapshots: number;
  /** Length of all records' texts. */
  readonly textBytes: number;
}

type Fact = readonly [JobEventType, JsonObject, EventMetadata?];

function* beginning(runId: string, index: number): Generator<Fact> {
  const commandId = `${runId.slice(0, 24)}c${runId.slice(25)}`;
  const by: EventMetadata = { actor: "ann", via: "http", causationId: commandId };
  const parameters = { device: `drive${index}`, target: `/backups/drive${index}.qcow2` };
  const id = `backup${index}`;
  const callbacks = ["prepare", "commit", "abort", "clean"];
  const flags = { autoFinalize: true, autoDismiss: true, isResumable: true, behaviour: 1 };
  const job = { runId, id, jobType: "backup", txnId: runId, parameters, speed: 0, callbacks };
  yield ["JobCreated", { ...job, ...flags }, by];
  yield ["JobStarted", {}, by];
  const record = { commandId, verb: "create", subject: id, status: "created" };
  yield ["VerbAccepted", { ...record, arguments: { id, type: "backup", parameters } }, by];
  yield ["ProgressTotalChanged", { total: JOB_EVENTS * CHUNK }];
}

function* ending(): Generator<Fact> {
  yield ["RunReturned", { ret: 0 }];
  yield ["JobWaiting", {}];
  yield ["JobPending", {}];
  yield ["CommitReturned", {}];
  yield ["CleanReturned", {}];
  const total = JOB_EVENTS * CHUNK;
  const progress = { wasStarted: true, current: total, total, speed: 0 };
  yield ["JobConcluded", { outcome: "completed", ret: 0, ...progress }];
  yield ["JobDismissed", {}];
}

function* life(runId: string, index: number): Generator<Fact> {
  yield* beginning(runId, index);
  for (let step = 0; step < JOB_EVENTS - 11; step += 1) {
    const offset = step * CHUNK;
    if (step % 4_096 === 4_095) yield ["CheckpointTaken", { resumeFrom: { offset } }];
    else yield ["StepTaken", { kind: "copied", offset, length: CHUNK }];
  }
  yield* ending();
}

function runIdOf(index: number): string {
  return `0193a1b2-c3d4-7e5f-8a9b-${index.toString(16).padStart(12, "0")}`;
}

interface Slot {
  runId: string;
  facts: Generator<Fact>;
  job: JobDraft;
}

/** Folds what was written, and keeps the snapshots that are due. */
class SnapshotKeeper {
  readonly rows: SnapshotRow[] = [];
  readonly #directory = new Directory();

  take(job: JobDraft, event: JobEvent, count: number): void {
    const before = job.version;
    applyToJob(job, event);
    if (isJobSnapshotDue(before, job.version)) {
      this.rows.push(structuredClone(jobSnapshotRow(job)));
    }
    this.#directory.apply(event);
    const { position } = event;
    // The next one would be due at the very end of the log.
    if (position % ENGINE_SNAPSHOT_EVERY !== 0 || position === count) return;
    const state = structuredClone(snapshotState(this.#directory.txns));
    this.rows.push({ name: ENGINE_SNAPSHOT, position, foldVersion: FOLD_VERSION, state });
  }
}

/** Writes so many events, then their snapshots, into a new log. */
export async function writeBackups(path: string, count: number): Promise<Written> {
  let now = LOG_START;
  const clock = { now: () => now++ };
  const open = async () =>
    await openEventStore(await openSqliteLog(path, { reserve: false }), { clock });
  const store = await open();
  const keeper = new SnapshotKeeper();
  const lives = new Map<string, { runId: string; first: number; last: number }>();
  let made = 0;
  let textBytes = 0;
  const slot = (): Slot => {
    const runId = runIdOf(made);
    return { runId, facts: life(runId, made++), job: { ...INITIAL_JOB } };
  };
  const slots = Array.from({ length: JOBS_AT_ONCE }, slot);
  for (let index = 0; index < count; index += 1) {
    const place = index % JOBS_AT_ONCE;
    let next = slots[place]!.facts.next();
    if (next.done === true) {
      slots[place] = slot();
      next = slots[place]!.facts.next();
    }
    const { runId, job } = slots[place]!;
    const [type, data, metadata = BY_ENGINE] = next.value as Fact;
    const pending = store.enqueue({
      streams: [{
        stream: jobStream(runId),
        expectedVersion: job.version,
        events: [{ type, schema: 1, data, metadata }],
      }],
    });
    const event = pending.events[0]!;
    textBytes += JSON.stringify(event).length;
    keeper.take(job, event as unknown as JobEvent, count);
    const known = lives.get(runId);
    if (known === undefined) {
      lives.set(runId, { runId, first: event.position, last: event.position });
    } else known.last = event.position;
    if (index % 1_000 === 999) await pending.durable;
  }
  await store.close();
  const bytesBeforeSnapshots = statSync(path).size;
  const reopened = await open();
  for (const row of keeper.rows) await reopened.putSnapshot(row);
  await reopened.close();
  return { lives: [...lives.values()], bytesBeforeSnapshots, textBytes };
}
