/**
 * What the machine costs: jobs that do nothing, from creation to dismissal, every event durable.
 *
 *     noop_jobs_bench.ts [--jobs 10000] [--rounds 3]
 *
 * So many are under way at once: 1, 100 and 1,000. A job counts when its dismissal is durable. The
 * share of time in commits is that of SQLite's own calls, the sync of the file included.
 */
import { join } from "node:path";
import process from "node:process";
import { openEventStore, PATIENCE_MS, type StoreBackend } from "../../events/log/mod.ts";
import { openSqliteLog } from "../../events/store/sqlite/mod.ts";
import { DriverRegistry } from "../../engine/drivers/registry.ts";
import { Joblog, processIdentity, systemPorts } from "../../engine/run/mod.ts";
import { figure, median, optionsOf, placeName, timed, withFolder } from "./measure.ts";
import { NOOP } from "./noop_driver.ts";

/** What a run of jobs cost. */
export interface NoopRun {
  /** Jobs a second. */
  readonly perSecond: number;
  /** Part of the time spent in commits, 0 to 1. */
  readonly commitShare: number;
  /** Commits. */
  readonly commits: number;
  /** Events a job. */
  readonly eventsEach: number;
  /** CPU of the process a job, in milliseconds. */
  readonly cpuMsEach: number;
}

/** Counts commits and the time in them. */
function watchCommits(backend: StoreBackend): { count: number; ms: number } {
  const seen = { count: 0, ms: 0 };
  const commit = backend.commit.bind(backend);
  backend.commit = async (batch) => {
    const start = performance.now();
    const done = commit(batch);
    seen.ms += performance.now() - start;
    seen.count += 1;
    await done;
  };
  return seen;
}

/** Runs so many jobs in a new log, so many at once. */
export async function runNoopJobs(
  folder: string,
  count: number,
  inFlight: number,
): Promise<NoopRun> {
  const backend = await openSqliteLog(join(folder, `noop-${inFlight}-${performance.now()}.log`));
  const seen = watchCommits(backend);
  const ports = systemPorts();
  const scheduleLater = (flush: () => void) => void ports.setTimer(PATIENCE_MS, flush);
  const store = await openEventStore(backend, { clock: ports, scheduleLater });
  const drivers = new DriverRegistry([NOOP]);
  const options = { store, ports, drivers, identity: processIdentity(), baseFolder: folder };
  const log = await Joblog.open(options);
  const first = (await store.end()).position;
  seen.count = 0;
  seen.ms = 0;
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const job = await log.start({ id: `noop${next++}`, type: "noop" });
      await job.until(({ status }) => status === "null");
    }
  };
  const cpu = process.cpuUsage();
  const ms = await timed(() => Promise.all(Array.from({ length: inFlight }, worker)));
  const { user, system } = process.cpuUsage(cpu);
  const { count: commits, ms: commitMs } = seen;
  const events = (await store.end()).position - first;
  await log.close();
  return {
    perSecond: count / ms * 1_000,
    commitShare: commitMs / ms,
    commits,
    eventsEach: events / count,
    cpuMsEach: (user + system) / 1_000 / count,
  };
}

async function main(): Promise<void> {
  const options = optionsOf({ jobs: "10000", rounds: "3" });
  const count = Number(options.jobs);
  const rounds = Number(options.rounds);
  console.log(`${placeName()}, ${figure(count)} no-op jobs, median of ${rounds} rounds`);
  await withFolder(async (folder) => {
    await runNoopJobs(folder, 1_000, 100);
    for (const inFlight of [1, 100, 1_000]) {
      // One at a time costs several commits a job: fewer say as much.
      const jobs = inFlight === 1 ? Math.ceil(count / 20) : count;
      const runs: NoopRun[] = [];
      for (let round = 0; round < rounds; round += 1) {
        runs.push(await runNoopJobs(folder, jobs, inFlight));
      }
      const of = (pick: (run: NoopRun) => number) => median(runs.map(pick));
      console.log(
        `${figure(inFlight).padStart(5)} at once: ${figure(of((run) => run.perSecond))} jobs/s, ` +
          `${figure(of((run) => run.commitShare) * 100)} % of the time in commits, ` +
          `${figure(of((run) => jobs / run.commits), 1)} jobs a commit, ` +
          `${figure(of((run) => run.eventsEach), 1)} events a job, ` +
          `${figure(of((run) => run.cpuMsEach), 2)} ms of CPU a job`,
      );
    }
  });
}

if (import.meta.main) await main();
