/**
 * How the cost of reading a log grows: folding it, opening it, looking into its past.
 *
 *     fold_bench.ts [--events 200000] [--rounds 5] [--looks 2000]
 *
 * Goals are for 1,000,000 events: `--events 1000000`.
 *
 * The log holds backups of 10,000 events each, 20 at a time, whose events come by turns; the last
 * 20 are unfinished. A snapshot of each job every 250 events, one of all unfinished transactions
 * every 50,000, as the engine keeps them. The newest of these lies as far behind the end as it can:
 * the process was killed just before the next one.
 *
 * | A | B | goal |
 * |---|---|---|
 * | fold of all events into job states | same rows by keyset, `JSON.parse` of each | B/A >= 0.50 |
 * | opening with snapshots | opening without | A/B < 0.10 |
 * | state of one job at any position | | 99 of 100 under 5 ms |
 *
 * The two sides run by turns (A B A B) on one file.
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { openEventReader, openEventStore } from "../../events/log/mod.ts";
import { applyToJob, INITIAL_JOB, isJobEvent, type JobDraft } from "../../events/job/mod.ts";
import { atJob } from "../../events/replay/mod.ts";
import { openSqliteLog } from "../../events/store/sqlite/mod.ts";
import { readDirectory } from "../../engine/run/directory.ts";
import { LOG_START, writeBackups } from "./recorded_backups.ts";
import {
  figure,
  median,
  medianRatio,
  optionsOf,
  placeName,
  printGoal,
  quantile,
  timed,
  withFolder,
} from "./measure.ts";

const PAGE_ROWS = 1_000;

/** Side B of the fold: what somebody would write who needs the records and nothing else. */
function readBare(path: string): number {
  const db = new DatabaseSync(path, { readOnly: true, enableForeignKeyConstraints: false });
  const page = db.prepare(
    "select position, text from events where position > ? order by position limit ?",
  );
  let last = 0;
  let checked = 0;
  while (true) {
    const rows = page.all(last, PAGE_ROWS) as { position: number; text: string }[];
    for (const { text } of rows) {
      const event = JSON.parse(text) as { readonly version: number };
      if (event.version > 0) checked += 1;
    }
    if (rows.length < PAGE_ROWS) break;
    last = rows.at(-1)!.position;
  }
  db.close();
  return checked;
}

/** Side A of the fold: every job's state, as an auditor computes it. */
async function foldJobs(path: string): Promise<number> {
  const reader = openEventReader(await openSqliteLog(path, { readOnly: true }));
  const jobs = new Map<string, JobDraft>();
  for await (const page of reader.readPages()) {
    for (const event of page) {
      if (!isJobEvent(event)) continue;
      let job = jobs.get(event.stream);
      if (job === undefined) jobs.set(event.stream, job = { ...INITIAL_JOB });
      applyToJob(job, event);
    }
  }
  await reader.close();
  return jobs.size;
}

/** The engine's own fold at an opening, without its snapshots when they are not wanted. */
async function openLog(path: string): Promise<number> {
  const backend = await openSqliteLog(path, { reserve: false });
  const store = await openEventStore(backend, { clock: { now: () => LOG_START } });
  const { txns } = await readDirectory(store);
  await store.close();
  return txns.length;
}

/** Takes the engine's snapshots away, and gives them back. */
function hideSnapshots(path: string, isHidden: boolean): void {
  const db = new DatabaseSync(path);
  const [from, to] = isHidden ? ["engine", "hidden"] : ["hidden", "engine"];
  db.prepare("update snapshots set name = ? where name = ?").run(to, from);
  db.close();
}

async function compareFold(path: string, count: number, rounds: number): Promise<void> {
  const folded: number[] = [];
  const bare: number[] = [];
  readBare(path);
  for (let round = 0; round < rounds; round += 1) {
    folded.push(await timed(() => foldJobs(path)));
    bare.push(await timed(() => readBare(path)));
  }
  const ratio = medianRatio(bare, folded);
  const perSecond = (ms: readonly number[]) => figure(count / median(ms) * 1_000);
  printGoal(
    `fold into job states ${perSecond(folded)} events/s | bare rows and JSON.parse ` +
      `${perSecond(bare)} events/s | ratio ${ratio.toFixed(2)}`,
    "0.50",
    ratio >= 0.5,
  );
}

async function compareOpening(path: string, rounds: number): Promise<void> {
  const withThem: number[] = [];
  const without: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    withThem.push(await timed(() => openLog(path)));
    hideSnapshots(path, true);
    without.push(await timed(() => openLog(path)));
    hideSnapshots(path, false);
  }
  const ratio = medianRatio(withThem, without);
  printGoal(
    `opening with snapshots ${figure(median(withThem))} ms | without ` +
      `${figure(median(without))} ms | ratio ${ratio.toFixed(3)}`,
    "0.100",
    ratio < 0.1,
  );
}

/** Looks at random jobs at random positions of their lives. */
async function lookBack(
  path: string,
  lives: readonly { readonly runId: string; readonly first: number; readonly last: number }[],
  looks: number,
): Promise<void> {
  const reader = openEventReader(await openSqliteLog(path, { readOnly: true }));
  const times: number[] = [];
  const cpuTimes: number[] = [];
  let random = 7;
  const next = (below: number) => {
    random = (random * 48_271) % 2_147_483_647;
    return random % below;
  };
  for (let look = 0; look < looks; look += 1) {
    const { runId, first, last } = lives[next(lives.length)]!;
    const position = first + next(last - first + 1);
    const before = process.cpuUsage();
    times.push(await timed(() => atJob(reader, { runId }, { position })));
    const { user, system } = process.cpuUsage(before);
    cpuTimes.push((user + system) / 1_000);
  }
  await reader.close();
  const p99 = quantile(times, 0.99);
  printGoal(
    `state of one job at any position: median ${figure(median(times), 2)} ms, p99 ` +
      `${figure(p99, 2)} ms of ${figure(looks)} looks; of CPU, p99 ` +
      `${figure(quantile(cpuTimes, 0.99), 2)} ms`,
    "5 ms",
    p99 < 5,
  );
}

async function main(): Promise<void> {
  const options = optionsOf({ events: "200000", rounds: "5", looks: "2000" });
  const count = Number(options.events);
  const rounds = Number(options.rounds);
  console.log(`${placeName()}, ${figure(count)} events, median of ${rounds} rounds`);
  await withFolder(async (folder) => {
    const path = join(folder, "bench.log");
    const written = await writeBackups(path, count);
    const { size } = statSync(path);
    console.log(
      `on disk ${figure(written.bytesBeforeSnapshots / count)} bytes an event, of which text ` +
        `${figure(written.textBytes / count)}; snapshots ${
          figure((size - written.bytesBeforeSnapshots) / count)
        } more; ${figure(written.lives.length)} jobs`,
    );
    await compareFold(path, count, rounds);
    await compareOpening(path, rounds);
    await lookBack(path, written.lives, Number(options.looks));
  });
}

if (import.meta.main) await main();
