/**
 * The program that loses power: it appends, keeps snapshots and cursors, closes and opens again,
 * and tells each thing into a file once it has been acknowledged.
 *
 *     writer.ts LOG TOLD PLAN SYNC
 *
 * - PLAN is the name of one of `PLANS`; it goes on with a log that is already there.
 * - SYNC is "full", or "normal" for a store that is weaker than it must be.
 */
import { openSync, statSync, writeSync } from "node:fs";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { type EventStore, type NewEvent, openEventStore } from "../../../events/log/mod.ts";
import { openSqliteLog } from "../../../events/store/sqlite/mod.ts";
import { CURSOR_NAME, type Fact, FOLD_VERSION, SNAPSHOT_NAME } from "./told.ts";

const [path = "", toldPath = "", plan = "", sync = "full"] = process.argv.slice(2);
const toldFile = openSync(toldPath, "a");
const metadata = { actor: "writer", via: "engine" } as const;
/** A WAL that is almost as large as it gets before it is written back. */
const NEARLY_FULL_BYTES = 16_000_000;

function tell(fact: Fact): void {
  writeSync(toldFile, `${JSON.stringify(fact)}\n`);
}

/** An event that knows how many were appended with it, so that half an append is found. */
function note(index: number, of: number, size = 40): NewEvent {
  return { type: "NoteTaken", data: { index, of, text: "n".repeat(size + index % 7) }, metadata };
}

function notes(of: number, size?: number, from = 0, count = of): NewEvent[] {
  return Array.from({ length: count }, (_, index) => note(from + index, of, size));
}

async function open(): Promise<EventStore> {
  const backend = await openSqliteLog(path);
  const store = await openEventStore(backend, { clock: { now: () => Date.now() } });
  tell({ kind: "opened", logId: store.logId, token: store.token });
  return store;
}

async function append(store: EventStore, count: number, size?: number, stream = "a") {
  const { events } = await store.append({ streams: [{ stream, events: notes(count, size) }] });
  tell({ kind: "appended", position: events.at(-1)!.position });
}

/** One append over three streams, with a command id. */
async function appendMany(store: EventStore): Promise<void> {
  const { events } = await store.append({
    commandId: crypto.randomUUID(),
    streams: [
      { stream: "b", events: notes(6, 40, 0, 2) },
      { stream: crypto.randomUUID(), events: notes(6, 900, 2, 3) },
      { stream: "b", events: notes(6, 40, 5, 1) },
    ],
  });
  tell({ kind: "appended", position: events.at(-1)!.position });
}

async function keep(store: EventStore, size: number): Promise<void> {
  const { position } = await store.end();
  const state = { position, text: "s".repeat(size) };
  const row = { name: SNAPSHOT_NAME, foldVersion: FOLD_VERSION, position, state };
  await store.putSnapshot(row);
  tell({ kind: "snapshot", position, state });
  await store.putCursor(CURSOR_NAME, position, [position]);
  tell({ kind: "cursor", position, state: [position] });
}

async function several(): Promise<void> {
  tell({ kind: "look" });
  let store = await open();
  for (let count = 0; count < 8; count += 1) await append(store, 1);
  await Promise.all(["c", "d", "e", "a"].map((stream) => append(store, 2, 100, stream)));
  await appendMany(store);
  await keep(store, 50);
  await append(store, 40);
  await store.close();
  store = await open();
  await append(store, 1, 30_000);
  await appendMany(store);
  await append(store, 300);
  await keep(store, 20_000);
  await append(store, 1);
  await store.close();
  store = await open();
  for (let count = 0; count < 5; count += 1) await append(store, 3);
  await appendMany(store);
}

async function few(): Promise<void> {
  tell({ kind: "look" });
  let store = await open();
  for (let count = 0; count < 4; count += 1) await append(store, 1 + count);
  await keep(store, 50);
  await store.close();
  store = await open();
  await append(store, 2);
}

/** Appends until the WAL has been written back under a store that stays open. */
async function checkpoint(): Promise<void> {
  const store = await open();
  const wal = `${path}-wal`;
  while (statSync(wal).size < NEARLY_FULL_BYTES) await append(store, 1);
  tell({ kind: "look" });
  for (let count = 0; count < 80; count += 1) await append(store, 1 + count % 3);
  await keep(store, 9_000);
  await store.close();
}

/** The plans by name. */
const PLANS: Readonly<Record<string, () => Promise<void>>> = { several, few, checkpoint };

if (sync === "normal") {
  const exec = DatabaseSync.prototype.exec;
  DatabaseSync.prototype.exec = function (text) {
    return exec.call(this, text.replaceAll("synchronous = full", "synchronous = normal"));
  };
}
await PLANS[plan]!();
process.exit(0);
