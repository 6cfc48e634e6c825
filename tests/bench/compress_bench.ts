/**
 * What a compressed backup through the whole engine costs, beside QEMU's own.
 *
 *     compress_bench.ts [--rounds 3] [--mib 256] [--type zlib|zstd] [--images /dev/shm] [--log DIR]
 *
 * - The image is made of program files, repeated, with one megabyte in eight that does not pack. It
 *   and the targets are on tmpfs; both targets are made by `qemu-img create` before the measured
 *   time. The sides take turns; round 0 warms up and is not counted.
 * - QEMU's side is `qemu-storage-daemon` with `compress`, from its command to BLOCK_JOB_COMPLETED;
 *   ours runs from the command to the durable end of the job, with a real log on the disk of
 *   `--log`.
 * - The delay of the event loop is how much later than due a 2 ms timer fires during a backup.
 * - The copies of the last round are compared with the source and checked.
 */
import { execFileSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { openJoblog } from "../../mod.ts";
import { noteDelays, reportDelays } from "./loop_delay.ts";
import { figure, median, medianRatio, optionsOf, placeName, printGoal, timed } from "./measure.ts";
import { StorageDaemon } from "./storage_daemon.ts";

const MIB = 1_048_576;

/** Where a round works. */
interface Place {
  readonly source: string;
  readonly target: string;
  readonly folder: string;
  readonly log: string;
  readonly delaysMs: number[];
}

/** Bytes of this runtime, which pack as programs do. */
function makeImage(path: string, mib: number): void {
  const program = fs.openSync(process.execPath, "r");
  const fd = fs.openSync(path, "wx");
  const bytes = new Uint8Array(MIB);
  const { size } = fs.fstatSync(program);
  for (let index = 0; index < mib; index++) {
    if (index % 8 === 7) randomFillSync(bytes);
    else fs.readSync(program, bytes, 0, MIB, index * MIB % Math.max(1, size - MIB));
    fs.writeSync(fd, bytes);
  }
  fs.closeSync(fd);
  fs.closeSync(program);
}

function makeTarget({ source, target }: Place, type: string): void {
  fs.rmSync(target, { force: true });
  const options = ["-o", `compression_type=${type}`, target, `${fs.statSync(source).size}`];
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", ...options]);
}

async function ours({ source, target, log, delaysMs }: Place): Promise<number> {
  const joblog = await openJoblog({ path: log });
  const endNoting = noteDelays(delaysMs);
  const parameters = { source, target, mode: "existing", format: "qcow2", compress: true };
  const tookMs = await timed(async () => {
    const job = await joblog.start({ type: "backup", id: "bench", parameters });
    const end = await job.done;
    if (end.ret !== 0) throw new Error(`Cannot back up: ${end.error?.text}`);
  });
  endNoting();
  await joblog.close();
  return tookMs;
}

async function qemus({ source, target, folder }: Place): Promise<number> {
  const daemon = await StorageDaemon.start(folder);
  await daemon.add("s", source);
  await daemon.add("t", target, "qcow2");
  const job = { "job-id": "j", device: "s", target: "t", sync: "full", compress: true };
  const tookMs = await timed(async () => {
    await daemon.send("blockdev-backup", job);
    await daemon.event("BLOCK_JOB_COMPLETED");
  });
  await daemon.stop();
  return tookMs;
}

function check({ source, target }: Place): void {
  execFileSync("qemu-img", ["compare", "-q", "-f", "raw", "-F", "qcow2", source, target]);
  execFileSync("qemu-img", ["check", "-q", target]);
}

async function measure(place: Place, rounds: number, type: string): Promise<void> {
  const mib = fs.statSync(place.source).size / MIB;
  const ways = { joblog: ours, QEMU: qemus };
  const rates = { joblog: [] as number[], QEMU: [] as number[] };
  for (let round = 0; round <= rounds; round++) {
    if (round === 1) place.delaysMs.length = 0;
    for (const way of ["joblog", "QEMU"] as const) {
      makeTarget(place, type);
      const tookMs = await ways[way](place);
      if (round > 0) rates[way].push(mib / tookMs * 1_000);
      if (round < rounds) continue;
      check(place);
      console.log(`${way}: ${figure(fs.statSync(place.target).size / MIB)} MiB in the file`);
    }
  }
  for (const [way, all] of Object.entries(rates)) {
    const each = all.map((rate) => figure(rate)).join(" ");
    console.log(`${way.padEnd(8)} ${figure(median(all)).padStart(6)} MiB/s   (${each})`);
  }
  const ratio = medianRatio(rates.joblog, rates.QEMU);
  printGoal(`compressed backup, ${type}: joblog / QEMU ${figure(ratio, 2)}`, "0.8", ratio >= 0.8);
  reportDelays(place.delaysMs);
}

async function main(): Promise<void> {
  const options = optionsOf({
    ...{ rounds: "3", mib: "256", type: "zlib", images: "/dev/shm", log: tmpdir() },
  });
  try {
    execFileSync("qemu-storage-daemon", ["--version"], { stdio: "ignore" });
  } catch {
    return console.log("qemu-storage-daemon is not installed: nothing to compare with");
  }
  const root = fs.existsSync(options.images) ? options.images : tmpdir();
  const folder = fs.mkdtempSync(join(root, "joblog-bench-"));
  const logs = fs.mkdtempSync(join(options.log, "joblog-bench-log-"));
  console.log(`${placeName()}: ${options.mib} MiB on ${root}, log in SQLite`);
  const place = {
    folder,
    source: join(folder, "source.raw"),
    target: join(folder, "target.qcow2"),
    log: join(logs, "jobs.db"),
    delaysMs: [],
  };
  try {
    makeImage(place.source, Number(options.mib));
    await measure(place, Number(options.rounds), options.type);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
    fs.rmSync(logs, { recursive: true, force: true });
  }
}

if (import.meta.main) await main();
