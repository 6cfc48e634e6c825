/**
 * What each kind of job takes over a sparse qcow2 chain of a tebibyte: memory, events, time.
 *
 *     tebibyte_bench.ts [--only NAME]
 *
 * - Three layers; 500 clusters lie scattered over each of the two upper ones, and a mebibyte and
 *   500 clusters in the lowest one. Every job runs through the engine, with a log in SQLite.
 * - Each job has a process of its own, so that none profits or suffers from what another one left.
 *   Memory is the most that was ever resident of it, as the kernel counts (VmHWM); where the kernel
 *   does not tell, it is looked at every 5 ms.
 * - What the chain shows afterwards is compared with a second chain that no job has touched; where
 *   qemu-img is installed, by that, too. A missed goal is printed, not an error.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { createQcow2 } from "../../engine/block/qcow2/mod.ts";
import { compareImages } from "../../engine/drivers/images/tools.ts";
import type { JsonObject } from "../../events/log/event.ts";
import { openJoblog } from "../../mod.ts";
import { runtimeCommand } from "../support/spawn_runtime.ts";
import { figure, optionsOf, placeName, printGoal, timed, withFolder } from "./measure.ts";

const MIB = 2 ** 20;
const TIB = 2 ** 40;
const GOAL_MIB = 256;
const GOAL_EVENTS = 5_000;
const SCATTERED = 500;

/** One job; its images are in the folder that it is run in. */
interface Case {
  readonly type: "backup" | "mirror" | "stream" | "commit";
  readonly parameters: JsonObject;
  /** True if it becomes ready and is to be completed. */
  readonly isReady?: boolean;
  /** The image that shows the same as the whole chain did. */
  readonly shows: string;
}

/** A copy of what the top layer holds needs the rest below it. */
const COPY = { source: "top.qcow2", target: "copy.qcow2" };

const CASES: Readonly<Record<string, Case>> = {
  "backup, full": { type: "backup", parameters: { ...COPY, sync: "full" }, shows: COPY.target },
  "backup, top": { type: "backup", parameters: { ...COPY, sync: "top" }, shows: COPY.target },
  "mirror, full": {
    type: "mirror",
    parameters: { ...COPY, sync: "full" },
    isReady: true,
    shows: COPY.target,
  },
  "mirror, top": {
    type: "mirror",
    parameters: { ...COPY, sync: "top" },
    isReady: true,
    shows: COPY.target,
  },
  "mirror, full, to raw": {
    type: "mirror",
    parameters: { ...COPY, target: "copy.raw", format: "raw", sync: "full" },
    isReady: true,
    shows: "copy.raw",
  },
  "stream of all layers": {
    type: "stream",
    parameters: { device: "top.qcow2" },
    shows: "top.qcow2",
  },
  "commit of an inner layer": {
    type: "commit",
    parameters: { device: "top.qcow2", top: "mid.qcow2" },
    shows: "top.qcow2",
  },
  "commit of the active layer": {
    type: "commit",
    parameters: { device: "top.qcow2" },
    isReady: true,
    shows: "base.qcow2",
  },
};

/** What a process tells of its job. */
interface Told {
  readonly mib: number;
  readonly events: number;
  readonly tookMs: number;
}

/** Relative names throughout: the chain can be copied as it is. */
async function makeChain(folder: string): Promise<void> {
  mkdirSync(folder);
  const layers = [["base.qcow2", 7], ["mid.qcow2", 13], ["top.qcow2", 29]] as const;
  for (const [index, [name, place]] of layers.entries()) {
    const below = layers[index - 1]?.[0];
    const over = below === undefined ? {} : { backingFile: below, backingFormat: "qcow2" as const };
    const image = await createQcow2(join(folder, name), { size: TIB, ...over });
    if (index === 0) await image.write(TIB / 2, new Uint8Array(MIB).fill(3));
    for (let number = 0; number < SCATTERED; number++) {
      const bytes = new Uint8Array(65_536).fill((number + place) % 255 + 1);
      await image.write(number * 2 ** 31 + place * 2 ** 20, bytes);
    }
    await image.close();
  }
}

/** A raw image is left to qemu-img: who cannot ask for holes would read all of the tebibyte. */
async function isEqual(one: string, other: string): Promise<boolean> {
  if (!other.endsWith(".raw")) {
    const { mismatchAt } = await compareImages({ path: one }, { path: other });
    if (mismatchAt !== undefined) return false;
  }
  try {
    execFileSync("qemu-img", ["compare", "-q", one, other]);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT";
  }
  return true;
}

/** The most that was resident, from now on or, if the kernel tells, ever. */
function notePeak(): () => number {
  let peak = 0;
  const look = () => peak = Math.max(peak, process.memoryUsage().rss);
  const sampler = setInterval(look, 5);
  return () => {
    clearInterval(sampler);
    look();
    try {
      const kib = /^VmHWM:\s*(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
      return Math.max(peak, Number(kib ?? 0) * 1_024);
    } catch {
      return peak;
    }
  };
}

/** Runs one job in this process, whose current folder holds the chain. */
async function runCase({ type, parameters, isReady }: Case): Promise<Told> {
  const endPeak = notePeak();
  const joblog = await openJoblog({ path: "jobs.db" });
  let runId = "";
  const tookMs = await timed(async () => {
    const job = await joblog.start({ type, id: type, parameters });
    runId = job.runId;
    if (isReady === true) {
      await job.until(({ status }) => status === "ready" || status === "null");
      await job.complete();
    }
    const { ret, error } = await job.done;
    if (ret !== 0) throw new Error(`Cannot ${type}: ${error?.text}`);
  });
  let events = 0;
  for await (const _ of joblog.reader.readStream(`job-${runId}`)) events++;
  await joblog.close();
  return { mib: endPeak() / MIB, events, tookMs };
}

async function measure(name: string, root: string): Promise<void> {
  const folder = join(root, "run");
  cpSync(join(root, "chain"), folder, { recursive: true });
  const script = fileURLToPath(import.meta.url);
  const [program, ...args] = runtimeCommand(script, ["--child", name]);
  const stdio: ["ignore", "pipe", "inherit"] = ["ignore", "pipe", "inherit"];
  const output = execFileSync(program, args, { cwd: folder, encoding: "utf8", stdio });
  const { mib, events, tookMs } = JSON.parse(output) as Told;
  console.log(`${name} (${figure(tookMs / 1_000, 1)} s)`);
  printGoal(`  at most ${figure(mib)} MiB`, `${GOAL_MIB} MiB`, mib < GOAL_MIB);
  printGoal(`  ${figure(events)} events`, figure(GOAL_EVENTS), events < GOAL_EVENTS);
  const shown = join(folder, CASES[name]!.shows);
  if (!await isEqual(join(root, "chain", "top.qcow2"), shown)) {
    throw new Error(`${name}: the image shows something else`);
  }
  rmSync(folder, { recursive: true });
}

async function main(): Promise<void> {
  const { child, only } = optionsOf({ child: "", only: "" });
  if (child !== "") return console.log(JSON.stringify(await runCase(CASES[child]!)));
  console.log(`${placeName()}: a sparse qcow2 chain of 1 TiB, each job in its own process`);
  await withFolder(async (root) => {
    await makeChain(join(root, "chain"));
    for (const name of Object.keys(CASES)) {
      if (only === "" || name.startsWith(only)) await measure(name, root);
    }
  });
}

if (import.meta.main) await main();
