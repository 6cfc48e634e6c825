/**
 * Commands over QMP beside QEMU's storage daemon, in turns: pause and resume of a job, every verb
 * durable here, and `query-jobs`, on one connection and on many.
 *
 *     qmp_bench.ts [--jobs 1000] [--connections 50] [--seconds 2] [--rounds 3] [--folder DIR]
 *
 * - Both servers are up at once, each with all jobs running: backups under a limit of one byte a
 *   second. QEMU takes about half a minute to start a thousand, since each start stops all others.
 *   It has as many monitors as there are connections, because those that nobody uses slow it down.
 * - Each connection sends its next command when it has the reply to the one before, and has a job
 *   of its own to pause. Round 0 warms up and is not counted.
 * - Both servers get their folder below `--folder`; a durable verb costs a sync of the disk that
 *   this is on, and QEMU syncs nothing.
 */
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import {
  figure,
  median,
  medianRatio,
  optionsOf,
  placeName,
  printGoal,
  quantile,
} from "./measure.ts";
import { commandText, type LoadClient, LoadedServer, type ServerName } from "./qmp_load.ts";

const GOAL_OF_VERBS = 0.8;
const GOAL_OF_QUERIES = 1;
const GOAL_OF_P99 = 3;

interface Options {
  readonly jobs: number;
  readonly connections: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly folder: string;
}

interface Figures {
  readonly perSecond: number;
  readonly p99: number;
}

/** What is measured; `next` is the text of a connection's next command. */
interface Kind {
  readonly what: string;
  readonly goal: number;
  readonly next: (client: number, turn: number) => string;
}

/** Jobs whose commands are sent without waiting for each other. */
const AT_ONCE = 50;

async function addJobs(client: LoadClient, count: number): Promise<void> {
  for (let from = 0; from < count; from += AT_ONCE) {
    const length = Math.min(AT_ONCE, count - from);
    const commands = Array.from({ length }, (_, index) => jobCommands(from + index)).flat();
    await client.send(commands.join(""), commands.length);
  }
}

function jobCommands(at: number): readonly string[] {
  const node = { driver: "null-co", size: 1 << 30, "read-zeroes": true };
  const ends = { device: `a${at}`, target: `b${at}`, sync: "full", speed: 1 };
  return [
    commandText("blockdev-add", { ...node, "node-name": `a${at}` }),
    commandText("blockdev-add", { ...node, "node-name": `b${at}` }),
    commandText("blockdev-backup", { "job-id": `j${at}`, ...ends }),
  ];
}

async function measure(server: LoadedServer, kind: Kind, seconds: number): Promise<Figures> {
  const latencies: number[] = [];
  const start = performance.now();
  const end = start + seconds * 1_000;
  await Promise.all(server.clients.map(async (client, index) => {
    // A pair is never left half done.
    for (let turn = 0; performance.now() < end || turn % 2 === 1; turn++) {
      const sent = performance.now();
      await client.send(kind.next(index, turn));
      latencies.push(performance.now() - sent);
    }
  }));
  const took = (performance.now() - start) / 1_000;
  return { perSecond: latencies.length / took, p99: quantile(latencies, 0.99) };
}

function kindsOf(connections: number, jobs: number): readonly Kind[] {
  const pairs = Array.from({ length: connections }, (_, at) => {
    const args = { id: `j${at}` };
    return [commandText("job-pause", args), commandText("job-resume", args)] as const;
  });
  const pair = (client: number, turn: number) => pairs[client]![turn % 2]!;
  const query = commandText("query-jobs");
  const on = `on ${connections} connection${connections === 1 ? "" : "s"}, ${jobs} jobs`;
  return [
    { what: `verbs ${on}`, goal: GOAL_OF_VERBS, next: pair },
    { what: `query-jobs ${on}`, goal: GOAL_OF_QUERIES, next: () => query },
  ];
}

type Rounds = { readonly [S in ServerName]: Figures[] };

function print({ what, goal }: Kind, { qemu, joblog }: Rounds): void {
  for (const [name, rounds] of Object.entries({ qemu, joblog })) {
    if (rounds.length === 0) continue;
    const perSecond = median(rounds.map((round) => round.perSecond));
    const p99 = median(rounds.map((round) => round.p99));
    console.log(`${what}: ${name} ${figure(perSecond)}/s, p99 ${figure(p99, 2)} ms`);
  }
  if (qemu.length === 0) return;
  const all = (rounds: readonly Figures[], of: keyof Figures) => rounds.map((round) => round[of]);
  const ratio = medianRatio(all(joblog, "perSecond"), all(qemu, "perSecond"));
  const slower = medianRatio(all(joblog, "p99"), all(qemu, "p99"));
  printGoal(`  throughput ${figure(ratio, 2)} of QEMU's`, `${goal}`, ratio >= goal);
  printGoal(`  p99 ${figure(slower, 1)} times QEMU's`, `${GOAL_OF_P99}`, slower <= GOAL_OF_P99);
}

async function compare(
  names: readonly ServerName[],
  connections: number,
  { jobs, folder, rounds, seconds }: Options,
): Promise<void> {
  const kinds = kindsOf(connections, jobs);
  const found = kinds.map((): Rounds => ({ qemu: [], joblog: [] }));
  const servers: LoadedServer[] = [];
  try {
    for (const name of names) {
      const server = await LoadedServer.start(name, folder, connections);
      servers.push(server);
      // Each start in QEMU is told of all jobs before it: nobody else has to hear that.
      await addJobs(server.clients[0]!, jobs);
      await server.connect();
    }
    for (let round = 0; round <= rounds; round++) {
      for (const [index, kind] of kinds.entries()) {
        for (const server of servers) {
          const figures = await measure(server, kind, seconds);
          if (round > 0) found[index]![server.name].push(figures);
        }
      }
    }
  } finally {
    for (const server of servers) await server.stop();
  }
  for (const [index, kind] of kinds.entries()) print(kind, found[index]!);
}

async function main(): Promise<void> {
  const defaults = { jobs: "1000", connections: "50", seconds: "2", rounds: "3" };
  const { folder, ...numbers } = optionsOf({ ...defaults, folder: tmpdir() });
  const counts = Object.entries(numbers).map(([name, value]) => [name, Number(value)]);
  const options = { ...Object.fromEntries(counts), folder } as Options;
  const hasQemu = spawnSync("qemu-storage-daemon", ["--version"]).status === 0;
  console.log(`${placeName()}; logs in ${folder}`);
  if (!hasQemu) console.log("qemu-storage-daemon is not installed: only joblog is measured");
  const names: readonly ServerName[] = hasQemu ? ["qemu", "joblog"] : ["joblog"];
  for (const connections of new Set([1, options.connections])) {
    await compare(names, connections, options);
  }
}

if (import.meta.main) await main();
