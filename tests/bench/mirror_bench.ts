/**
 * What a mirror through the whole engine costs, from its command until it is ready, beside QEMU's
 * own mirror and `cp`.
 *
 *     mirror_bench.ts [--rounds 5] [--mib 1024] [--images /dev/shm] [--log FOLDER]
 *
 * - The image is random data without holes, on tmpfs; the target exists, has its size, and is one
 *   hole. The three take turns; round 0 warms up and is not counted. Medians are printed.
 * - QEMU's side is `qemu-storage-daemon` with blockdev-mirror, from its command to BLOCK_JOB_READY.
 * - The log of ours is the real one: SQLite, synchronous=FULL, on the disk of `--log`.
 * - Every target of the last round is compared with the source. A missed goal is printed, not an
 *   error, because a busy machine misses it.
 */
import { execFileSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openJoblog } from "../../mod.ts";
import { figure, median, medianRatio, optionsOf, placeName, printGoal, timed } from "./measure.ts";
import { StorageDaemon } from "./storage_daemon.ts";

const MIB = 1_048_576;
const GOAL_OF_QEMU = 0.8;

interface Place {
  readonly folder: string;
  readonly source: string;
  readonly target: string;
  readonly log: string;
}

function makeImage(path: string, mib: number): void {
  const fd = fs.openSync(path, "wx");
  const bytes = new Uint8Array(MIB);
  for (let index = 0; index < mib; index++) fs.writeSync(fd, randomFillSync(bytes));
  fs.closeSync(fd);
}

function makeTarget({ source, target }: Place): void {
  fs.rmSync(target, { force: true });
  fs.writeFileSync(target, "");
  fs.truncateSync(target, fs.statSync(source).size);
}

/** From the command to ready; the engine is opened before and closed after. */
async function ours(place: Place): Promise<number> {
  makeTarget(place);
  const joblog = await openJoblog({ path: place.log });
  const { source, target } = place;
  const parameters = { source, target, mode: "existing", format: "raw", "source-format": "raw" };
  const tookMs = await timed(async () => {
    const job = await joblog.start({ type: "mirror", id: "bench", parameters });
    const state = await job.until(({ status }) => status === "ready" || status === "null");
    if (state.status !== "ready") throw new Error(`Cannot mirror: ${state.error?.text}`);
  });
  await joblog.close({ jobs: "cancel" });
  return tookMs;
}

async function qemus(place: Place): Promise<number> {
  makeTarget(place);
  const daemon = await StorageDaemon.start(place.folder);
  await daemon.add("s", place.source);
  await daemon.add("t", place.target);
  const job = { "job-id": "j", device: "s", target: "t", sync: "full" };
  const tookMs = await timed(async () => {
    await daemon.send("blockdev-mirror", job);
    await daemon.event("BLOCK_JOB_READY");
  });
  await daemon.stop();
  return tookMs;
}

async function copied({ source, target }: Place): Promise<number> {
  fs.rmSync(target, { force: true });
  const args = ["--sparse=never", "--reflink=never", source, target];
  return await timed(() => execFileSync("cp", args));
}

async function measure(place: Place, rounds: number): Promise<void> {
  const mib = fs.statSync(place.source).size / MIB;
  const ways = { mirror: ours, qemu: qemus, cp: copied } as const;
  const rates = { mirror: [] as number[], qemu: [] as number[], cp: [] as number[] };
  const names = Object.keys(ways) as (keyof typeof ways)[];
  for (let round = 0; round <= rounds; round++) {
    for (const name of names) {
      const tookMs = await ways[name](place);
      if (round > 0) rates[name].push(mib / tookMs * 1_000);
      if (round === rounds) execFileSync("cmp", [place.source, place.target]);
    }
  }
  for (const name of names) {
    const all = rates[name].map((rate) => figure(rate)).join(" ");
    console.log(`${name.padEnd(6)} ${figure(median(rates[name])).padStart(6)} MiB/s   (${all})`);
  }
  const ofQemu = medianRatio(rates.mirror, rates.qemu);
  printGoal(
    `mirror / qemu ${figure(ofQemu, 2)}`,
    `${GOAL_OF_QEMU}, aim 1.0`,
    ofQemu >= GOAL_OF_QEMU,
  );
  console.log(`mirror / cp ${figure(medianRatio(rates.mirror, rates.cp), 2)}`);
}

function hasDaemon(): boolean {
  try {
    execFileSync("qemu-storage-daemon", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

async function main(): Promise<void> {
  const options = optionsOf({ rounds: "5", mib: "1024", images: "/dev/shm", log: tmpdir() });
  if (!hasDaemon()) {
    console.log("skipped: qemu-storage-daemon is not installed");
    return;
  }
  const root = fs.existsSync(options.images) ? options.images : tmpdir();
  const folder = fs.mkdtempSync(join(root, "joblog-bench-"));
  const logs = fs.mkdtempSync(join(options.log, "joblog-bench-log-"));
  console.log(`${placeName()}: ${options.mib} MiB raw to raw on ${root}, until ready`);
  const place = {
    folder,
    source: join(folder, "source.raw"),
    target: join(folder, "target.raw"),
    log: join(logs, "jobs.db"),
  };
  try {
    makeImage(place.source, Number(options.mib));
    await measure(place, Number(options.rounds));
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
    fs.rmSync(logs, { recursive: true, force: true });
  }
}

if (import.meta.main) await main();
