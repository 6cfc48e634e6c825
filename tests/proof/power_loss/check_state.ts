/** Opens what a power loss left behind, and says what is wrong with it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  type EventReader,
  type EventStore,
  openEventReader,
  openEventStore,
} from "../../../events/log/mod.ts";
import { verify } from "../../../events/replay/mod.ts";
import { openSqliteLog } from "../../../events/store/sqlite/mod.ts";
import { LOG_NAME } from "./folders.ts";
import { CURSOR_NAME, FOLD_VERSION, SNAPSHOT_NAME, type Told, TYPES } from "./told.ts";

/** The log as the run left it in the end, to compare with. */
export class Reference {
  readonly #reader: EventReader;
  readonly #roots = new Map<number, string>();

  private constructor(reader: EventReader) {
    this.#reader = reader;
  }

  static async open(folder: string): Promise<Reference> {
    const backend = await openSqliteLog(join(folder, LOG_NAME), { readOnly: true });
    return new Reference(openEventReader(backend));
  }

  /** How many events there are. */
  async size(): Promise<number> {
    return (await this.#reader.end()).position;
  }

  /** Root over the first events. */
  async root(size: number): Promise<string> {
    const root = this.#roots.get(size) ?? await this.#reader.root(size);
    this.#roots.set(size, root);
    return root;
  }

  close(): Promise<void> {
    return this.#reader.close();
  }
}

/** What kind of promise was broken. */
export interface Breach {
  readonly kind: "unopened" | "lost" | "invented" | "torn" | "unverified" | "stuck";
  readonly text: string;
}

/** How thoroughly a state is looked at. */
export interface CheckOptions {
  /** Read it before a writer comes. */
  readonly asReader: boolean;
  /** Make the reserve again. */
  readonly withReserve: boolean;
  /** Verify the log once more after an event was added to it. */
  readonly verifyAgain: boolean;
}

/** Checks the log in a folder. Changes it. */
export async function checkState(
  folder: string,
  told: Told,
  reference: Reference,
  { asReader, withReserve, verifyAgain }: CheckOptions,
): Promise<Breach | undefined> {
  const path = join(folder, LOG_NAME);
  const isCreated = told.logId !== undefined;
  let store: EventStore | undefined;
  try {
    if (asReader && existsSync(path)) {
      const reader = openEventReader(await openSqliteLog(path, { readOnly: true }));
      const { position } = await reader.end();
      await reader.close();
      if (position < told.position) return lost(`a reader finds ${position} events`, told);
    }
    const backend = await openSqliteLog(path, { create: !isCreated, reserve: withReserve });
    store = await openEventStore(backend, { clock: { now: () => Date.now() } });
  } catch (error) {
    return { kind: "unopened", text: `It cannot be opened: ${describe(error)}` };
  }
  try {
    return await checkStore(store, told, reference) ?? await checkGoesOn(store, verifyAgain);
  } catch (error) {
    return { kind: "stuck", text: `It cannot be used: ${describe(error)}` };
  } finally {
    await store.close();
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return `${error.message} (${String((error as { code?: unknown }).code)})`;
}

function lost(found: string, told: Told): Breach {
  return { kind: "lost", text: `${found}, but ${told.position} were acknowledged` };
}

async function checkStore(
  store: EventStore,
  told: Told,
  reference: Reference,
): Promise<Breach | undefined> {
  const { position } = await store.end();
  if (position < told.position) return lost(`${position} events are left`, told);
  if (told.logId !== undefined && store.logId !== told.logId) {
    return { kind: "lost", text: `It is another log: ${store.logId}` };
  }
  if (store.token <= told.token) {
    return { kind: "lost", text: `Token ${told.token} was acknowledged, ${store.token} is given` };
  }
  if (position > await reference.size()) {
    return { kind: "invented", text: `${position} events are more than were ever written` };
  }
  const root = position === 0 ? "" : await reference.root(position);
  const head = position === 0 ? {} : { head: { size: position, root } };
  const report = await verify(store, { types: TYPES, ...head });
  if (!report.ok) return { kind: "unverified", text: String(report.first?.text) };
  return await checkLast(store) ?? await checkKept(store, told);
}

async function checkLast(store: EventStore): Promise<Breach | undefined> {
  for await (const { position, data } of store.readAll({ direction: "backwards", limit: 1 })) {
    if (Number(data["index"]) + 1 === data["of"]) continue;
    return { kind: "torn", text: `Event ${position} is number ${data["index"]} of ${data["of"]}` };
  }
  return undefined;
}

async function checkKept(store: EventStore, told: Told): Promise<Breach | undefined> {
  for (const [position, state] of told.snapshots) {
    const row = await store.snapshot(SNAPSHOT_NAME, FOLD_VERSION, position);
    if (row?.position === position && JSON.stringify(row.state) === JSON.stringify(state)) continue;
    return { kind: "lost", text: `The snapshot at ${position} is ${row?.position}` };
  }
  if (told.cursor === undefined) return undefined;
  const cursor = await store.cursor(CURSOR_NAME);
  if (cursor !== undefined && cursor.position >= told.cursor.position) return undefined;
  return { kind: "lost", text: `The cursor ${told.cursor.position} is ${cursor?.position}` };
}

/** A log that was rescued can be appended to. */
async function checkGoesOn(store: EventStore, verifyAgain: boolean): Promise<Breach | undefined> {
  const { position } = await store.end();
  const metadata = { actor: "heir", via: "engine" } as const;
  const event = { type: "NoteTaken", data: { index: 0, of: 1 }, metadata };
  await store.append({ streams: [{ stream: "a", events: [event] }] });
  if (!verifyAgain) return undefined;
  const report = await verify(store, { types: TYPES });
  if (report.ok && report.size === position + 1) return undefined;
  return { kind: "stuck", text: `After one more event: ${report.first?.text ?? report.size}` };
}
