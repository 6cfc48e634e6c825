/**
 * What it takes to back up a sparse qcow2 chain of a tebibyte: memory, events, time.
 *
 *     tebibyte_bench.ts
 *
 * - 500 clusters lie scattered over the overlay, and a mebibyte in its backing file; both `full`
 *   and `top` are run through the engine, with a log in SQLite.
 * - Memory is the resident set of this process, looked at every 5 ms: its highest value so far.
 * - Where qemu-img is installed it compares the copies. A missed goal is printed, not an error.
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { createQcow2 } from "../../engine/block/qcow2/mod.ts";
import { compareImages } from "../../engine/drivers/images/tools.ts";
import { openJoblog } from "../../mod.ts";
import { figure, placeName, printGoal, timed, withFolder } from "./measure.ts";

const MIB = 2 ** 20;
const TIB = 2 ** 40;
const GOAL_MIB = 256;
const GOAL_EVENTS = 5_000;

async function makeChain(folder: string): Promise<string> {
  const [below, path] = [join(folder, "base.qcow2"), join(folder, "top.qcow2")];
  const base = await createQcow2(below, { size: TIB });
  await base.write(TIB / 2, new Uint8Array(MIB).fill(3));
  await base.close();
  const over = { backingFile: below, backingFormat: "qcow2" } as const;
  const top = await createQcow2(path, { size: TIB, ...over });
  for (let index = 0; index < 500; index++) {
    await top.write(index * 2 ** 31, new Uint8Array(65_536).fill(index % 255 + 1));
  }
  await top.close();
  return path;
}

async function isEqual(source: string, target: string): Promise<boolean> {
  if ((await compareImages({ path: source }, { path: target })).mismatchAt !== undefined) {
    return false;
  }
  try {
    execFileSync("qemu-img", ["compare", "-q", source, target]);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT";
  }
  return true;
}

async function measure(folder: string): Promise<void> {
  const source = await makeChain(folder);
  const joblog = await openJoblog({ path: join(folder, "jobs.db") });
  let peak = 0;
  const look = () => peak = Math.max(peak, process.memoryUsage().rss);
  const sampler = setInterval(look, 5);
  const copies: string[] = [];
  for (const sync of ["full", "top"]) {
    const target = join(folder, `copy-${sync}.qcow2`);
    copies.push(target);
    let runId = "";
    const tookMs = await timed(async () => {
      const job = await joblog.start({
        type: "backup",
        id: sync,
        parameters: { source, target, sync },
      });
      runId = job.runId;
      const end = await job.done;
      if (end.ret !== 0) throw new Error(`Cannot back up: ${end.error?.text}`);
    });
    look();
    let events = 0;
    for await (const _ of joblog.reader.readStream(`job-${runId}`)) events++;
    const mib = peak / MIB;
    printGoal(`sync=${sync}: at most ${figure(mib)} MiB`, `${GOAL_MIB} MiB`, mib < GOAL_MIB);
    printGoal(`  ${figure(events)} events`, figure(GOAL_EVENTS), events < GOAL_EVENTS);
    console.log(`  ${figure(tookMs / 1_000, 1)} s`);
  }
  clearInterval(sampler);
  await joblog.close();
  for (const target of copies) {
    if (!await isEqual(source, target)) throw new Error(`${target} differs`);
  }
}

if (import.meta.main) {
  console.log(`${placeName()}: a sparse qcow2 chain of 1 TiB`);
  await withFolder(measure);
}
