/**
 * What the event store costs above SQLite itself.
 *
 *     append_bench.ts [--rounds 15] [--events 20000]
 *
 * Three comparisons, each with the same schema, pragmas and durability (WAL, synchronous=FULL).
 * The two sides run by turns (A B A B), each round on a fresh log. Printed are the medians and, as
 * the load of a machine drifts, the median of the rounds' own ratios.
 *
 * | A: `EventStore.append` | B: a bare loop | goal A/B |
 * |---|---|---|
 * | 1,000 appends in flight | serialise, hash the leaf, INSERT; 1,000 rows a commit | 0.70 |
 * | 1,000 appends in flight | INSERT rows that are ready; 1,000 rows a commit | 0.35 |
 * | one append at a time | serialise, hash the leaf, INSERT; one row a commit | 0.85 |
 *
 * The bare loop knows no versions, positions, Merkle tree, readers or expectations: it is what
 * somebody would write who needs nothing but the rows. A missed goal is printed, not an error,
 * because a busy machine misses it.
 */
import { mkdtempSync, rmSync, statfsSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { parseArgs } from "node:util";
import type { NewEvent } from "../../events/log/event.ts";
import { leafHash, openEventStore } from "../../events/log/mod.ts";
import { openSqliteLog } from "../../events/store/sqlite/mod.ts";
import { CHECKPOINT_PAGES } from "../../events/store/sqlite/open.ts";

const STREAMS = 20;
const IN_FLIGHT = 1_000;
/** Both runtimes go on optimising for about this long. */
const WARM_UP_ROUNDS = 6;
const START = 1_764_000_000_000;
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  0xef53: "ext4",
  0x01021994: "tmpfs",
  0x58465342: "xfs",
  0x9123683e: "btrfs",
  0x794c7630: "overlayfs",
};

/** A row as the bare loop inserts it. */
type Row = [number, number, number, number, number, string, string];

function eventOf(index: number): NewEvent {
  return {
    type: index % 50 === 0 ? "CheckpointReached" : "StepTaken",
    schema: 1,
    data: { kind: "data", offset: index * 65_536, length: 65_536, source: "drive0" },
    metadata: {
      actor: "engine",
      via: "engine",
      correlationId: "0193a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
    },
  };
}

function streamOf(index: number): string {
  return `job-0193a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a${10 + index % STREAMS}`;
}

/** What the bare loop does for one event before it can INSERT it. */
function rowOf(index: number): Row {
  const { type, schema, data, metadata } = eventOf(index);
  const position = index + 1;
  const version = Math.floor(index / STREAMS) + 1;
  const time = START + index;
  const stream = streamOf(index);
  const text = JSON.stringify({
    position,
    stream,
    version,
    type,
    schema,
    time,
    data,
    metadata,
  });
  const leaf = leafHash(text);
  const typeKey = type === "StepTaken" ? 1 : 2;
  return [position, index % STREAMS + 1, version, typeKey, time, text, leaf];
}

/** Makes an empty log in a fresh folder, runs `work` on it and removes it. */
async function withLog<Result>(work: (path: string) => Promise<Result>): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), "joblog-bench-"));
  try {
    const path = join(folder, "bench.log");
    await (await openSqliteLog(path, { reserve: false })).close();
    return await work(path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Side A. Resolves to events a second. */
function store(count: number, inFlight: number): Promise<number> {
  return withLog(async (path) => {
    const backend = await openSqliteLog(path, { reserve: false });
    let now = START;
    const log = await openEventStore(backend, { clock: { now: () => now++ } });
    for (let index = 0; index < STREAMS; index += 1) await log.prime(streamOf(index));
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < count) {
        const index = next++;
        await log.append({ streams: [{ stream: streamOf(index), events: [eventOf(index)] }] });
      }
    };
    const start = performance.now();
    await Promise.all(Array.from({ length: inFlight }, worker));
    const elapsedMs = performance.now() - start;
    await log.close();
    bytesPerEvent = statSync(path).size / count;
    return count / elapsedMs * 1_000;
  });
}

/** Side B. Resolves to events a second. */
function bare(count: number, perCommit: number, ready?: readonly Row[]): Promise<number> {
  return withLog((path) => {
    const db = new DatabaseSync(path, { enableForeignKeyConstraints: false });
    db.exec(`pragma synchronous = full; pragma wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    for (let index = 0; index < STREAMS; index += 1) {
      db.prepare("insert into streams values (?, ?)").run(index + 1, streamOf(index));
    }
    db.exec("insert into types values (1, 'StepTaken'), (2, 'CheckpointReached')");
    const insert = db.prepare("insert into events values (?, ?, ?, ?, ?, ?, unhex(?))");
    const start = performance.now();
    for (let first = 0; first < count; first += perCommit) {
      db.exec("begin immediate");
      for (let index = first; index < Math.min(count, first + perCommit); index += 1) {
        const row = ready === undefined ? rowOf(index) : ready[index];
        if (row !== undefined) insert.run(...row);
      }
      db.exec("commit");
    }
    const elapsedMs = performance.now() - start;
    db.close();
    return Promise.resolve(count / elapsedMs * 1_000);
  });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** Runs both sides by turns; the first rounds warm up and are not counted. */
async function compare(
  name: string,
  goal: number,
  rounds: number,
  sideA: () => Promise<number>,
  sideB: () => Promise<number>,
): Promise<void> {
  const a: number[] = [];
  const b: number[] = [];
  for (let round = 0; round < WARM_UP_ROUNDS; round += 1) {
    await sideA();
    await sideB();
  }
  for (let round = 0; round < rounds; round += 1) {
    a.push(await sideA());
    b.push(await sideB());
  }
  const ratio = median(a.map((value, round) => value / (b[round] ?? Infinity)));
  const perSecond = (values: readonly number[]) => Math.round(median(values)).toLocaleString("en");
  console.log(
    `${name.padEnd(34)} ${perSecond(a).padStart(9)} events/s | bare ${
      perSecond(b).padStart(9)
    } events/s | ratio ${ratio.toFixed(2)} (goal ${goal.toFixed(2)}) ${
      ratio >= goal ? "met" : "MISSED"
    }`,
  );
}

let bytesPerEvent = 0;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "15" },
      events: { type: "string", default: "20000" },
    },
    allowPositionals: true,
    strict: false,
  });
  const rounds = Number(values.rounds);
  const count = Number(values.events);
  const single = Math.ceil(count / 20);
  const version = process.versions["deno"] === undefined
    ? `Bun ${process.versions["bun"]}`
    : `Deno ${process.versions["deno"]}`;
  const kind = statfsSync(tmpdir()).type;
  console.log(
    `${version}, ${tmpdir()} on ${FILE_SYSTEMS[kind] ?? `file system 0x${kind.toString(16)}`}, ` +
      `median of ${rounds} rounds of ${count} events`,
  );
  const ready = Array.from({ length: count }, (_, index) => rowOf(index));
  const textBytes = ready.reduce((sum, row) => sum + row[5].length, 0) / count;
  await compare(
    "1,000 in flight, bare serialises",
    0.7,
    rounds,
    () => store(count, IN_FLIGHT),
    () => bare(count, IN_FLIGHT),
  );
  console.log(
    `on disk ${bytesPerEvent.toFixed(0)} bytes an event, of which text ${textBytes.toFixed(0)}`,
  );
  await compare(
    "1,000 in flight, bare rows ready",
    0.35,
    rounds,
    () => store(count, IN_FLIGHT),
    () => bare(count, IN_FLIGHT, ready),
  );
  await compare(
    "one at a time, bare serialises",
    0.85,
    rounds,
    () => store(single, 1),
    () => bare(single, 1),
  );
}

if (import.meta.main) await main();
