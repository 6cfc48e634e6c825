/**
 * What a hundred thousand unfinished jobs cost in one process.
 *
 *     many_jobs_bench.ts [--jobs 20000] [--few 100] [--rounds 15]
 *
 * Goals are for 100,000 jobs: `--jobs 100000`. Each job runs, and is paused by its user.
 *
 * | what | goal |
 * |---|---|
 * | heap of a job after a collection | 4,096 bytes |
 * | a verb on one of many / on one of few | 1.10: no slower, and room for noise |
 * | a creation among many / among few | 1.10 |
 * | opening the log again after a close, and after a kill | 10 s |
 *
 * The few and the many live in two logs, which take turns (A B A B). Where the runtime hands out
 * no collector the heap is not measured: start Deno with `--v8-flags=--expose-gc`.
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { type Joblog, openJoblog } from "../../mod.ts";
import { collectGarbage } from "../support/collect_garbage.ts";
import {
  figure,
  median,
  medianRatio,
  optionsOf,
  placeName,
  printGoal,
  timed,
  withFolder,
} from "./measure.ts";
import { IDLE } from "./noop_driver.ts";

/** Commands under way at once while the jobs are made. */
const IN_FLIGHT = 500;
const VERBS_A_ROUND = 100;

function open(path: string): Promise<Joblog> {
  return openJoblog({ path, drivers: [IDLE] });
}

async function inFlight(count: number, work: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(count, IN_FLIGHT) }, worker));
}

/** Starts jobs and pauses them; all of them are paused when it resolves. */
async function makePaused(log: Joblog, count: number): Promise<void> {
  await inFlight(count, async (index) => {
    const id = `job${index}`;
    await log.start({ id, type: "idle" });
    await log.verb(id, "pause");
  });
  let paused = 0;
  for (const { status } of log.jobs()) if (status === "paused") paused += 1;
  if (paused === count) return;
  for (const job of log.jobs()) {
    await log.job(job.id!)!.until(({ status }) => status === "paused");
  }
}

function heapBytes(): number {
  for (let turn = 0; turn < 3; turn += 1) collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** Milliseconds a verb, one after the other, on one job. */
async function verbs(log: Joblog, id: string): Promise<number> {
  const ms = await timed(async () => {
    for (let turn = 0; turn < VERBS_A_ROUND; turn += 1) {
      await log.verb(id, "set-speed", { speed: 1 + turn });
    }
  });
  return ms / VERBS_A_ROUND;
}

/** Milliseconds a creation and the cancel of what was created. */
async function creations(log: Joblog): Promise<number> {
  const ms = await timed(async () => {
    for (let turn = 0; turn < VERBS_A_ROUND; turn += 1) {
      const job = await log.create({ id: `more${turn}`, type: "idle" });
      await job.cancel();
      await job.until(({ status }) => status === "null");
    }
  });
  return ms / VERBS_A_ROUND;
}

async function compare(
  name: string,
  rounds: number,
  many: () => Promise<number>,
  few: () => Promise<number>,
): Promise<void> {
  const a: number[] = [];
  const b: number[] = [];
  await many();
  await few();
  for (let round = 0; round < rounds; round += 1) {
    a.push(await many());
    b.push(await few());
  }
  const ratio = medianRatio(a, b);
  printGoal(
    `${name}: ${figure(median(a), 3)} ms | among few ${figure(median(b), 3)} ms | ratio ` +
      ratio.toFixed(2),
    "1.10",
    ratio <= 1.1,
  );
}

/** Bytes of all engine snapshots, and of the newest one. */
function snapshotBytes(path: string): readonly [number, number] {
  const db = new DatabaseSync(path, { readOnly: true });
  const query = db.prepare(
    "select length(state) as size from snapshots where name = 'engine' order by position",
  );
  const sizes = query.all().map((row) => Number(row["size"]));
  db.close();
  return [sizes.reduce((sum, size) => sum + size, 0), sizes.at(-1) ?? 0];
}

/** What a kill at this moment would leave; SQLite copies it, as the log is open. */
function copyAsKilled(path: string, copy: string): void {
  const db = new DatabaseSync(path);
  db.prepare("vacuum into ?").run(copy);
  db.close();
}

async function reopen(path: string, count: number, how: string): Promise<void> {
  let log: Joblog | undefined;
  const ms = await timed(async () => void (log = await open(path)));
  const found = log!.jobs().length;
  printGoal(
    `opened after ${how}: ${figure(ms / 1_000, 2)} s, ${figure(found)} jobs`,
    "10 s",
    ms < 10_000 && found === count,
  );
  const closing = await timed(() => log!.close());
  console.log(`closed again in ${figure(closing / 1_000, 2)} s`);
}

async function measureHeap(path: string, count: number): Promise<Joblog> {
  const log = await open(path);
  await makePaused(log, Math.min(count, 1_000));
  for (const { id } of log.jobs()) await log.verb(id!, "cancel");
  await Promise.all(log.jobs().map(({ id }) => log.job(id!)?.done));
  const canCollect = collectGarbage();
  const before = canCollect ? heapBytes() : 0;
  const ms = await timed(() => makePaused(log, count));
  console.log(
    `${figure(count)} jobs started and paused in ${figure(ms / 1_000, 1)} s: ` +
      `${figure(count / ms * 1_000)} a second`,
  );
  if (!canCollect) console.log("heap not measured: this runtime hands out no collector");
  else {
    const each = (heapBytes() - before) / count;
    printGoal(`heap of a paused job: ${figure(each)} bytes`, "4,096", each <= 4_096);
  }
  return log;
}

async function main(): Promise<void> {
  const options = optionsOf({ jobs: "20000", few: "100", rounds: "15" });
  const count = Number(options.jobs);
  const rounds = Number(options.rounds);
  console.log(`${placeName()}, ${figure(count)} jobs, median of ${rounds} rounds`);
  await withFolder(async (folder) => {
    const path = join(folder, "many.log");
    const many = await measureHeap(path, count);
    const few = await open(join(folder, "few.log"));
    await makePaused(few, Number(options.few));
    const middle = `job${Math.floor(count / 2)}`;
    await compare("a verb", rounds, () => verbs(many, middle), () => verbs(few, "job1"));
    await compare("a creation and a cancel", rounds, () => creations(many), () => creations(few));
    await few.close();
    copyAsKilled(path, join(folder, "killed.log"));
    const closing = await timed(() => many.close());
    const [all, newest] = snapshotBytes(path);
    console.log(
      `closed in ${figure(closing / 1_000, 2)} s; log ${figure(statSync(path).size / 2 ** 20)} ` +
        `MiB, of which snapshots ${figure(all / 2 ** 20)} MiB, the newest ` +
        `${figure(newest / count)} bytes a job`,
    );
    await reopen(path, count, "a close");
    await reopen(join(folder, "killed.log"), count, "a kill");
  });
}

if (import.meta.main) await main();
