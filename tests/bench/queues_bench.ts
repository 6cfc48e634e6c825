/**
 * No-op jobs beside two job queues on their own servers, in one session on one machine.
 *
 *     queues_bench.ts --modules FOLDER [--jobs 2000] [--rounds 3] [--in-flight 100]
 *
 * `FOLDER` (or the variable JOBLOG_BENCH_MODULES) is where `npm install pg-boss bullmq` was run; it
 * is not part of this project. The servers are those of the packages `postgresql` and
 * `redis-server`; each run starts its own on loopback with an empty folder, and stops it. What is
 * not there is left out, with the reason.
 *
 * All do the same: jobs are created one by one, so many requests at once; workers take them, do
 * nothing, and report them done; a job counts when nothing of it is left to do.
 *
 * | who | synced to disk before it is answered | what is kept of a job |
 * |---|---|---|
 * | joblog | yes: each event | its whole history, hashed |
 * | pg-boss, as PostgreSQL is shipped | yes: creation, fetch, completion | one row, overwritten |
 * | pg-boss, `synchronous_commit = off` | no: a crash loses the last 0.6 s | one row |
 * | BullMQ, Redis as shipped (no append-only file) | no: a crash loses up to an hour | nothing |
 * | BullMQ, append-only file, `appendfsync always` | yes | nothing |
 *
 * pg-boss fetches and completes by hundreds, which makes it faster than one by one. The goal is to
 * be ahead of those that sync: a ratio above 1.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
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
import { runNoopJobs } from "./noop_jobs_bench.ts";

const POSTGRES_PORT = 54_329;
const REDIS_PORT = 63_799;
/** Jobs that pg-boss fetches and completes in one statement. */
const FETCHED_AT_ONCE = 100;
const FETCHERS = 4;

interface PgBoss {
  on(event: "error", listener: (error: Error) => void): void;
  start(): Promise<unknown>;
  createQueue(name: string): Promise<unknown>;
  send(name: string, data: object): Promise<unknown>;
  fetch(name: string, options: { batchSize: number }): Promise<{ id: string }[] | null>;
  complete(name: string, ids: readonly string[]): Promise<unknown>;
  stop(options: object): Promise<unknown>;
}

interface BullQueue {
  add(name: string, data: object, options: object): Promise<unknown>;
  close(): Promise<unknown>;
}

interface BullModule {
  readonly Queue: new (name: string, options: object) => BullQueue;
  readonly Worker: new (
    name: string,
    work: () => Promise<void>,
    options: object,
  ) => { on(event: "completed", listener: () => void): void; close(): Promise<unknown> };
}

/** Runs jobs and resolves to jobs a second. */
type Side = (count: number, inFlight: number) => Promise<number>;

interface Rival {
  readonly name: string;
  readonly syncs: boolean;
  readonly run: Side;
  stop(): Promise<void>;
}

function load(modules: string, name: string): Record<string, unknown> {
  return createRequire(join(modules, "package.json"))(name);
}

async function eachOf(
  count: number,
  inFlight: number,
  work: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
}

async function untilListening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const isUp = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("connect", () => (socket.destroy(), resolve(true)));
      socket.once("error", () => (socket.destroy(), resolve(false)));
    });
    if (isUp) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`Cannot reach the server on port ${port}: it does not listen`);
}

/** PostgreSQL refuses to run as root. */
function asServer(command: string, args: readonly string[]): readonly [string, readonly string[]] {
  if (process.getuid?.() !== 0) return [command, args];
  return ["setpriv", ["--reuid=postgres", "--regid=postgres", "--clear-groups", command, ...args]];
}

async function runOnce(command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, { stdio: "ignore", cwd: tmpdir() });
  const status = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", resolve);
  });
  if (status !== 0) throw new Error(`Cannot run ${command}: status ${status}`);
}

/** Starts a server; the returned function stops it and removes its folder. */
async function startServer(
  command: string,
  args: readonly string[],
  port: number,
  folder: string,
): Promise<() => Promise<void>> {
  const child = spawn(command, args, { stdio: "ignore", cwd: tmpdir() });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const stop = async () => {
    child.kill("SIGINT");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await untilListening(port);
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}

async function startPostgres(settings: readonly string[]): Promise<() => Promise<void>> {
  const versions = "/usr/lib/postgresql";
  const version = existsSync(versions) ? readdirSync(versions).at(-1) : undefined;
  if (version === undefined) throw new Error("PostgreSQL is not installed");
  const bin = (name: string) => join(versions, version, "bin", name);
  const folder = mkdtempSync(join(tmpdir(), "joblog-bench-pg-"));
  if (process.getuid?.() === 0) await runOnce("chown", ["postgres:postgres", folder]);
  const data = join(folder, "data");
  const init = ["-D", data, "-U", "bench", "--auth=trust", "--encoding=UTF8", "--locale=C"];
  await runOnce(...asServer(bin("initdb"), init));
  const common = ["-D", data, "-p", String(POSTGRES_PORT), "-h", "127.0.0.1", "-k", folder];
  const args = [...common, ...settings.flatMap((setting) => ["-c", setting])];
  const [command, all] = asServer(bin("postgres"), args);
  return await startServer(command, all, POSTGRES_PORT, folder);
}

async function pgBoss(modules: string, name: string, settings: readonly string[]): Promise<Rival> {
  const loaded = load(modules, "pg-boss");
  const make = (loaded["PgBoss"] ?? loaded) as unknown as new (options: object) => PgBoss;
  const stopServer = await startPostgres(settings);
  const place = { host: "127.0.0.1", port: POSTGRES_PORT, user: "bench", database: "postgres" };
  const boss = new make({ ...place, supervise: false, schedule: false });
  let isStopping = false;
  boss.on("error", (error) => {
    if (!isStopping) console.log(`${name}: ${error.message}`);
  });
  try {
    await boss.start();
    await boss.createQueue("noop");
  } catch (error) {
    await stopServer();
    throw error;
  }
  const run: Side = async (count, inFlight) => {
    let done = 0;
    const fetcher = async () => {
      while (done < count) {
        const jobs = await boss.fetch("noop", { batchSize: FETCHED_AT_ONCE }) ?? [];
        if (jobs.length > 0) await boss.complete("noop", jobs.map(({ id }) => id));
        else await new Promise((resolve) => setTimeout(resolve, 1));
        done += jobs.length;
      }
    };
    const ms = await timed(() =>
      Promise.all([
        eachOf(count, inFlight, (index) => boss.send("noop", { index })),
        ...Array.from({ length: FETCHERS }, fetcher),
      ])
    );
    return count / ms * 1_000;
  };
  const stop = async () => {
    isStopping = true;
    await boss.stop({ graceful: false, wait: true });
    await stopServer();
  };
  return { name, syncs: settings.length === 0, run, stop };
}

async function bullMq(modules: string, name: string, settings: readonly string[]): Promise<Rival> {
  const loaded = load(modules, "bullmq");
  const { Queue, Worker } =
    (loaded["Queue"] === undefined ? loaded["default"] : loaded) as unknown as BullModule;
  const folder = mkdtempSync(join(tmpdir(), "joblog-bench-redis-"));
  const place = ["--port", String(REDIS_PORT), "--bind", "127.0.0.1", "--dir", folder];
  const stopServer = await startServer("redis-server", [...place, ...settings], REDIS_PORT, folder);
  const connection = { host: "127.0.0.1", port: REDIS_PORT, maxRetriesPerRequest: null };
  const queue = new Queue("noop", { connection });
  const run: Side = async (count, inFlight) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const work = () => Promise.resolve();
    const worker = new Worker("noop", work, { connection, concurrency: inFlight });
    let done = 0;
    worker.on("completed", () => void ((done += 1) === count && resolve()));
    const options = { removeOnComplete: true };
    const ms = await timed(async () => {
      await eachOf(count, inFlight, (index) => queue.add("noop", { index }, options));
      await promise;
    });
    await worker.close();
    return count / ms * 1_000;
  };
  const stop = async () => {
    await queue.close();
    await stopServer();
  };
  return { name, syncs: settings.length > 0, run, stop };
}

async function compare(start: () => Promise<Rival>, name: string, joblog: Side, options: {
  readonly count: number;
  readonly rounds: number;
  readonly inFlight: number;
}): Promise<void> {
  let rival: Rival;
  try {
    rival = await start();
  } catch (error) {
    return console.log(`${name}: left out: ${error instanceof Error ? error.message : error}`);
  }
  const { count, rounds, inFlight } = options;
  try {
    const ours: number[] = [];
    const theirs: number[] = [];
    await joblog(Math.ceil(count / 4), inFlight);
    await rival.run(Math.ceil(count / 4), inFlight);
    for (let round = 0; round < rounds; round += 1) {
      ours.push(await joblog(count, inFlight));
      theirs.push(await rival.run(count, inFlight));
    }
    const ratio = medianRatio(ours, theirs);
    const text =
      `joblog ${figure(median(ours))} jobs/s | ${name} ${figure(median(theirs))} jobs/s` +
      ` | ratio ${ratio.toFixed(2)}`;
    if (rival.syncs) printGoal(text, "above 1", ratio > 1);
    else console.log(`${text} (no goal: it does not sync)`);
  } finally {
    await rival.stop();
  }
}

async function main(): Promise<void> {
  const modules = process.env["JOBLOG_BENCH_MODULES"] ?? "";
  const given = optionsOf({ modules, jobs: "2000", rounds: "3", "in-flight": "100" });
  const [count, rounds] = [Number(given.jobs), Number(given.rounds)];
  const inFlight = Number(given["in-flight"]);
  console.log(`${placeName()}, ${figure(count)} no-op jobs, ${figure(inFlight)} at once`);
  if (given.modules === "") {
    return console.log("left out: no --modules FOLDER where pg-boss and bullmq are installed");
  }
  await withFolder(async (folder) => {
    const joblog: Side = async (jobs, atOnce) =>
      (await runNoopJobs(folder, jobs, atOnce)).perSecond;
    const lax = ["synchronous_commit=off"];
    const always = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
    const rivals: readonly [string, (name: string) => Promise<Rival>][] = [
      ["pg-boss, PostgreSQL as shipped", (name) => pgBoss(given.modules, name, [])],
      ["BullMQ, appendfsync always", (name) => bullMq(given.modules, name, always)],
      ["pg-boss, synchronous_commit off", (name) => pgBoss(given.modules, name, lax)],
      ["BullMQ, Redis as shipped", (name) => bullMq(given.modules, name, [])],
    ];
    for (const [name, start] of rivals) {
      await compare(() => start(name), name, joblog, { count, rounds, inFlight });
    }
  });
}

if (import.meta.main) await main();
