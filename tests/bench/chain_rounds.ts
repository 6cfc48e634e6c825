/** What the measurements of stream and commit share: rounds in turns, beside QEMU's own jobs. */
import { execFileSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonObject } from "../../events/log/event.ts";
import { openJoblog } from "../../mod.ts";
import { figure, median, medianRatio, optionsOf, placeName, printGoal, timed } from "./measure.ts";
import { BareWriters } from "./bare_writes.ts";
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
  /**
   * Adds sides without a job: what a file takes of two threads, see `bare_writes.ts`. Makes that
   * file, as long as the data.
   */
  readonly limit?: (path: string, bytes: number) => void;
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

async function bare(
  { folder }: Place,
  make: (path: string, bytes: number) => void,
  bytes: number,
  source?: string,
): Promise<number> {
  const path = join(folder, "bare.raw");
  const writers = await BareWriters.start();
  try {
    make(path, bytes);
    return await timed(() =>
      source === undefined ? writers.fill(path, bytes) : writers.copy(path, bytes, source)
    );
  } finally {
    await writers.stop();
    fs.rmSync(path, { force: true });
  }
}

async function measure(work: ChainCase, place: Place, rounds: number): Promise<void> {
  const data = join(place.folder, "data.raw");
  const bytes = fs.statSync(data).size;
  const names = ["ours", "qemu", "copy", "bare"] as const;
  const rates: Record<typeof names[number], number[]> = { ours: [], qemu: [], copy: [], bare: [] };
  const sides = [["ours", ours], ["qemu", qemus]] as const;
  for (let round = 0; round <= rounds; round++) {
    const note = (name: keyof typeof rates, tookMs: number) => {
      if (round > 0) rates[name].push(bytes / MIB / tookMs * 1_000);
    };
    for (const [name, run] of sides) {
      work.make(place.folder);
      note(name, await run(work, place));
      if (round < rounds) continue;
      qemuImg("compare", data, join(place.folder, work.shows));
    }
    if (work.limit === undefined) continue;
    note("copy", await bare(place, work.limit, bytes, data));
    note("bare", await bare(place, work.limit, bytes));
  }
  console.log(work.name);
  for (const name of names) {
    if (rates[name].length === 0) continue;
    const all = rates[name].map((rate) => figure(rate)).join(" ");
    console.log(`  ${name.padEnd(6)} ${figure(median(rates[name])).padStart(6)} MiB/s   (${all})`);
  }
  const ratio = medianRatio(rates.ours, rates.qemu);
  const [least, aim] = work.goal;
  printGoal(`  ours / qemu ${figure(ratio, 2)}`, `${least}, aim ${aim}`, ratio >= least);
  if (work.limit === undefined) return;
  const ofOurs = (side: "copy" | "bare") => figure(medianRatio(rates.ours, rates[side]), 2);
  console.log(`  ours / copy ${ofOurs("copy")}, ours / bare ${ofOurs("bare")}`);
  const most = figure(medianRatio(rates.bare, rates.qemu), 2);
  console.log(`  bare / qemu ${most}: more than that no job can reach`);
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
