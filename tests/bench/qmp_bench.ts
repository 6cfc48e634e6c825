/**
 * Commands over QMP beside QEMU's storage daemon, in turns: pause and resume of a job, every verb
 * durable here, and `query-jobs`.
 *
 *     qmp_bench.ts [--jobs 1000] [--connections 50] [--seconds 2] [--rounds 1] [--folder DIR]
 *
 * `--jobs` is how many there are when they are asked for. Both servers get their folder below
 * `--folder`; a durable verb costs a sync of the disk that this is on.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { QmpClient } from "../api/qmp/qmp_toy.ts";
import { runtimeCommand } from "../support/spawn_runtime.ts";
import { figure, median, optionsOf, placeName, quantile } from "./measure.ts";

const MAIN = fileURLToPath(new URL("../../api/cli/main.ts", import.meta.url));
const START_MS = 10_000;

interface Figures {
  readonly perSecond: number;
  readonly p99: number;
}

type Measured = { readonly [what: string]: Figures };

function commandOf(server: "qemu" | "joblog", socket: string, folder: string): readonly string[] {
  if (server === "joblog") {
    return runtimeCommand(MAIN, ["qmp", "--store", join(folder, "jobs.db"), "--socket", socket]);
  }
  const chardevs = Array.from(socket.split(","), (path, index) => [
    "--chardev",
    `socket,path=${path},server=on,wait=off,id=m${index}`,
    "--monitor",
    `chardev=m${index}`,
  ]);
  return ["qemu-storage-daemon", ...chardevs.flat()];
}

async function connected(path: string): Promise<QmpClient> {
  const end = performance.now() + START_MS;
  for (;;) {
    try {
      return await QmpClient.open(path);
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function must(client: QmpClient, command: string, args?: object): Promise<void> {
  const { error } = await client.run(command, args);
  if (error !== undefined) throw new Error(`${command}: ${error.desc}`);
  // What was looked at is not kept.
  client.lines.length = 0;
}

/** Jobs whose commands are sent without waiting for each other. */
const AT_ONCE = 50;

async function addJobs(client: QmpClient, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += AT_ONCE) {
    const count = Math.min(AT_ONCE, to - at);
    const commands = Array.from({ length: count }, (_, index) => jobCommands(at + index)).flat();
    client.send(commands.map((command) => JSON.stringify(command)).join("\n"));
    await client.until(() => client.replies.length >= commands.length);
    const failed = client.replies.find(({ error }) => error !== undefined);
    if (failed !== undefined) throw new Error(failed["error"].desc);
    client.lines.length = 0;
  }
}

function jobCommands(at: number): readonly object[] {
  const node = { driver: "null-co", size: 1 << 30, "read-zeroes": true };
  const ends = { device: `a${at}`, target: `b${at}`, sync: "full", speed: 1 };
  return [
    ...[`a${at}`, `b${at}`].map((name) => ({
      execute: "blockdev-add",
      arguments: { ...node, "node-name": name },
    })),
    { execute: "blockdev-backup", arguments: { "job-id": `j${at}`, ...ends } },
  ];
}

/** Each connection sends its next command when it has the reply to the one before. */
async function measure(
  clients: readonly QmpClient[],
  seconds: number,
  next: (client: number, turn: number) => readonly [string, object?],
): Promise<Figures> {
  const latencies: number[] = [];
  const start = performance.now();
  const end = start + seconds * 1_000;
  await Promise.all(clients.map(async (client, index) => {
    // A pair is never left half done.
    for (let turn = 0; performance.now() < end || turn % 2 === 1; turn++) {
      const sent = performance.now();
      await must(client, ...next(index, turn));
      latencies.push(performance.now() - sent);
    }
  }));
  const took = (performance.now() - start) / 1_000;
  return { perSecond: latencies.length / took, p99: quantile(latencies, 0.99) };
}

const pair = (client: number, turn: number) =>
  [turn % 2 === 0 ? "job-pause" : "job-resume", { id: `j${client}` }] as const;

async function runServer(server: "qemu" | "joblog", options: Options): Promise<Measured> {
  const folder = mkdtempSync(join(options.folder, "joblog-qmp-"));
  const count = options.connections;
  const paths = Array.from({ length: count }, (_, index) => join(folder, `s${index}`));
  const used = server === "qemu" ? paths : Array.from(paths, () => paths[0]!);
  const sockets = server === "qemu" ? paths.join(",") : paths[0]!;
  const [program, ...args] = commandOf(server, sockets, folder);
  const child = spawn(program!, args, { cwd: folder, stdio: "ignore" });
  const exited = once(child, "exit");
  try {
    const first = await connected(used[0]!);
    await addJobs(first, 0, 1);
    const verbs = await measure([first], options.seconds, pair);
    await addJobs(first, 1, count);
    const others = await Promise.all(used.slice(1).map(connected));
    const many = await measure([first, ...others], options.seconds, pair);
    for (const { socket } of others) socket.destroy();
    await addJobs(first, count, options.jobs);
    const queries = await measure([first], options.seconds, () => ["query-jobs"]);
    first.socket.destroy();
    return { "verbs, 1 connection": verbs, [`verbs, ${count} connections`]: many, queries };
  } finally {
    child.kill("SIGKILL");
    await exited;
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Options {
  readonly jobs: number;
  readonly connections: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly folder: string;
}

async function main(): Promise<void> {
  const defaults = { jobs: "1000", connections: "50", seconds: "2", rounds: "1" };
  const { folder, ...numbers } = optionsOf({ ...defaults, folder: tmpdir() });
  const counts = Object.entries(numbers).map(([name, value]) => [name, Number(value)]);
  const options = { ...Object.fromEntries(counts), folder } as Options;
  const hasQemu = spawnSync("qemu-storage-daemon", ["--version"]).status === 0;
  console.log(`${placeName()}; logs in ${folder}`);
  if (!hasQemu) console.log("qemu-storage-daemon is not installed: only joblog is measured");
  const rounds: { readonly qemu?: Measured; readonly joblog: Measured }[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const qemu = hasQemu ? { qemu: await runServer("qemu", options) } : {};
    rounds.push({ ...qemu, joblog: await runServer("joblog", options) });
  }
  for (const what of Object.keys(rounds[0]!.joblog)) {
    for (const server of ["qemu", "joblog"] as const) {
      const found = rounds.flatMap((round) => round[server]?.[what] ?? []);
      if (found.length === 0) continue;
      const perSecond = median(found.map((each) => each.perSecond));
      const p99 = median(found.map((each) => each.p99));
      console.log(`${what}: ${server} ${figure(perSecond)}/s, p99 ${figure(p99, 2)} ms`);
    }
  }
}

if (import.meta.main) await main();
