/** What the measurements of stream and commit share: rounds in turns, beside QEMU's own jobs. */
import { execFileSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonObject } from "../../events/log/event.ts";
import { openJoblog } from "../../mod.ts";
import { figure, median, medianRatio, optionsOf, placeName, printGoal, timed } from "./measure.ts";
import { StorageDaemon } from "./storage_daemon.ts";

const MIB = 1_048_576;

/** One measured shape of a job. */
export interface ChainCase {
  /** How it is called in the output. */
  readonly name: string;
  /** Kind of the job. */
  readonly type: "stream" | "commit";
  /** Least ratio to QEMU's figure, and what is aimed at. */
  readonly goal: readonly [least: number, aim: number];
  /** Makes the chain anew; `data.raw` is there. */
  readonly make: (folder: string) => void;
  /** Arguments of ours; paths are in the folder. */
  readonly parameters: (folder: string) => JsonObject;
  /** The chain as QEMU's nodes, and the arguments of its job. */
  readonly nodes: (folder: string) => JsonObject;
  /** Arguments of QEMU's job. */
  readonly args: JsonObject;
  /** True if it becomes ready and is to be completed. */
  readonly isActive?: boolean;
  /** The image that must show the data afterwards. */
  readonly shows: string;
}

interface Place {
  readonly folder: string;
  readonly log: string;
}

/** Runs qemu-img in silence. */
export function qemuImg(...args: readonly string[]): void {
  execFileSync("qemu-img", [...args], { stdio: ["ignore", "ignore", "inherit"] });
}

/** From the command to the end; the engine is opened before and closed after. */
async function ours(work: ChainCase, { folder, log }: Place): Promise<number> {
  const joblog = await openJoblog({ path: log });
  const parameters = work.parameters(folder);
  const tookMs = await timed(async () => {
    const job = await joblog.start({ type: work.type, id: "bench", parameters });
    if (work.isActive === true) {
      await job.until(({ status }) => status === "ready" || status === "null");
      await job.complete();
    }
    const { ret, error } = await job.done;
    if (ret !== 0) throw new Error(`Cannot ${work.type}: ${error?.text}`);
  });
  await joblog.close();
  return tookMs;
}

async function qemus(work: ChainCase, { folder }: Place): Promise<number> {
  const daemon = await StorageDaemon.start(folder);
  await daemon.send("blockdev-add", work.nodes(folder));
  const tookMs = await timed(async () => {
    await daemon.send(`block-${work.type}`, { "job-id": "j", ...work.args });
    if (work.isActive === true) {
      await daemon.event("BLOCK_JOB_READY");
      await daemon.send("job-complete", { id: "j" });
    }
    await daemon.event("BLOCK_JOB_COMPLETED");
  });
  await daemon.stop();
  return tookMs;
}

async function measure(work: ChainCase, place: Place, rounds: number): Promise<void> {
  const mib = fs.statSync(join(place.folder, "data.raw")).size / MIB;
  const rates = { ours: [] as number[], qemu: [] as number[] };
  for (let round = 0; round <= rounds; round++) {
    for (const [name, run] of [["ours", ours], ["qemu", qemus]] as const) {
      work.make(place.folder);
      const tookMs = await run(work, place);
      if (round > 0) rates[name].push(mib / tookMs * 1_000);
      if (round < rounds) continue;
      qemuImg("compare", join(place.folder, "data.raw"), join(place.folder, work.shows));
    }
  }
  console.log(work.name);
  for (const name of ["ours", "qemu"] as const) {
    const all = rates[name].map((rate) => figure(rate)).join(" ");
    console.log(`  ${name.padEnd(6)} ${figure(median(rates[name])).padStart(6)} MiB/s   (${all})`);
  }
  const ratio = medianRatio(rates.ours, rates.qemu);
  const [least, aim] = work.goal;
  printGoal(`  ours / qemu ${figure(ratio, 2)}`, `${least}, aim ${aim}`, ratio >= least);
}

function makeData(path: string, mib: number): void {
  const fd = fs.openSync(path, "wx");
  const bytes = new Uint8Array(MIB);
  for (let index = 0; index < mib; index++) fs.writeSync(fd, randomFillSync(bytes));
  fs.closeSync(fd);
}

function hasDaemon(): boolean {
  try {
    execFileSync("qemu-storage-daemon", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Measures all cases and prints medians. */
export async function measureCases(cases: readonly ChainCase[]): Promise<void> {
  const options = optionsOf({ rounds: "5", mib: "1024", images: "/dev/shm", log: tmpdir() });
  if (!hasDaemon()) {
    console.log("skipped: qemu-storage-daemon is not installed");
    return;
  }
  const root = fs.existsSync(options.images) ? options.images : tmpdir();
  const folder = fs.mkdtempSync(join(root, "joblog-bench-"));
  const logs = fs.mkdtempSync(join(options.log, "joblog-bench-log-"));
  console.log(`${placeName()}: ${options.mib} MiB on ${root}`);
  try {
    makeData(join(folder, "data.raw"), Number(options.mib));
    const place = { folder, log: join(logs, "jobs.db") };
    for (const work of cases) await measure(work, place, Number(options.rounds));
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
    fs.rmSync(logs, { recursive: true, force: true });
  }
}
