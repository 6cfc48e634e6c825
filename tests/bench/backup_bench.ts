/**
 * What a backup through the whole engine costs beside `cp` and `dd`.
 *
 *     backup_bench.ts [--rounds 5] [--mib 1024] [--images /dev/shm] [--log FOLDER]
 *
 * - The image is random data without holes, on tmpfs; the page cache is warm, since it is memory.
 * - Each round runs the three in turns, each into a target that does not exist yet; medians are
 *   printed. The time of a backup runs from the command to the durable end of the job.
 * - The log is the real one: SQLite, synchronous=FULL, on the disk of `--log`.
 * - The delay of the event loop is how much later than due a 2 ms timer fires during a backup.
 * - Every copy of the last round is compared with the source. A missed goal is printed, not an
 *   error, because a busy machine misses it.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { randomFillSync } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { openJoblog } from "../../mod.ts";

const MIB = 1_048_576;
const GOAL_OF_CP = 0.5;
const GOAL_DELAY_MS = 10;
const SAMPLE_MS = 2;

/** Where a round works. */
interface Place {
  readonly source: string;
  readonly target: string;
  readonly log: string;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

function makeImage(path: string, mib: number): void {
  const fd = fs.openSync(path, "wx");
  const bytes = new Uint8Array(MIB);
  for (let index = 0; index < mib; index++) fs.writeSync(fd, randomFillSync(bytes));
  fs.closeSync(fd);
}

function timedCommand(file: string, args: readonly string[]): number {
  const startedAt = performance.now();
  execFileSync(file, [...args], { stdio: "ignore" });
  return performance.now() - startedAt;
}

/** Runs one job; the engine is opened before and closed after the measured time. */
async function timedBackup(place: Place, delaysMs: number[]): Promise<number> {
  const joblog = await openJoblog({ path: place.log });
  let dueAt = performance.now() + SAMPLE_MS;
  const sampler = setInterval(() => {
    const now = performance.now();
    delaysMs.push(Math.max(0, now - dueAt));
    dueAt = now + SAMPLE_MS;
  }, SAMPLE_MS);
  const startedAt = performance.now();
  const parameters = { source: place.source, target: place.target };
  const job = await joblog.start({ type: "backup", id: "bench", parameters });
  const end = await job.done;
  const tookMs = performance.now() - startedAt;
  clearInterval(sampler);
  await joblog.close();
  if (end.ret !== 0) throw new Error(`Cannot back up: ${end.error?.text}`);
  return tookMs;
}

function freshPlace(images: string, logs: string, mib: number): Place {
  const place = {
    source: join(images, "source.raw"),
    target: join(images, "target.raw"),
    log: join(logs, "jobs.db"),
  };
  makeImage(place.source, mib);
  return place;
}

async function measure(place: Place, rounds: number): Promise<void> {
  const mib = fs.statSync(place.source).size / MIB;
  const tookMs = { backup: [] as number[], cp: [] as number[], dd: [] as number[] };
  const delaysMs: number[] = [];
  const copies: readonly [keyof typeof tookMs, () => number | Promise<number>][] = [
    [
      "cp",
      () => timedCommand("cp", ["--sparse=never", "--reflink=never", place.source, place.target]),
    ],
    ["backup", () => timedBackup(place, delaysMs)],
    ["dd", () => timedCommand("dd", [`if=${place.source}`, `of=${place.target}`, "bs=1M"])],
  ];
  for (let round = 0; round <= rounds; round++) {
    // Round 0 warms up and is not counted.
    if (round === 1) delaysMs.length = 0;
    for (const [name, copy] of copies) {
      fs.rmSync(place.target, { force: true });
      const ms = await copy();
      if (round > 0) tookMs[name].push(ms);
      if (round === rounds) execFileSync("cmp", [place.source, place.target]);
    }
  }
  report(mib, tookMs, delaysMs);
}

function report(
  mib: number,
  tookMs: { readonly [name in "backup" | "cp" | "dd"]: readonly number[] },
  delaysMs: readonly number[],
): void {
  const rates = (name: "backup" | "cp" | "dd") => tookMs[name].map((ms) => mib / ms * 1_000);
  for (const name of ["backup", "cp", "dd"] as const) {
    const all = rates(name).map((rate) => rate.toFixed(0)).join(" ");
    console.log(`${name.padEnd(6)} ${median(rates(name)).toFixed(0).padStart(6)} MiB/s   (${all})`);
  }
  const ofCp = median(rates("backup")) / median(rates("cp"));
  const ofDd = median(rates("backup")) / median(rates("dd"));
  const verdict = ofCp >= GOAL_OF_CP ? "met" : "missed";
  console.log(`backup / cp ${ofCp.toFixed(2)} (goal ${GOAL_OF_CP}: ${verdict})`);
  console.log(`backup / dd ${ofDd.toFixed(2)}`);
  const p99 = quantile(delaysMs, 0.99);
  const figures = `p50 ${quantile(delaysMs, 0.5).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, ` +
    `max ${quantile(delaysMs, 1).toFixed(1)} ms of ${delaysMs.length} samples`;
  const isMet = p99 < GOAL_DELAY_MS ? "met" : "missed";
  console.log(`event loop delay ${figures} (goal p99 ${GOAL_DELAY_MS} ms: ${isMet})`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "5" },
      mib: { type: "string", default: "1024" },
      images: { type: "string", default: "/dev/shm" },
      log: { type: "string", default: tmpdir() },
    },
  });
  const hasImages = fs.existsSync(values.images);
  if (!hasImages) console.log(`${values.images} does not exist; images lie in ${tmpdir()}`);
  const images = fs.mkdtempSync(join(hasImages ? values.images : tmpdir(), "joblog-bench-"));
  const logs = fs.mkdtempSync(join(values.log, "joblog-bench-log-"));
  const runtime = "deno" in process.versions ? "deno" : "bun";
  console.log(`${runtime}: ${values.mib} MiB raw to raw, ${values.rounds} rounds, log in SQLite`);
  try {
    await measure(freshPlace(images, logs, Number(values.mib)), Number(values.rounds));
  } finally {
    fs.rmSync(images, { recursive: true, force: true });
    fs.rmSync(logs, { recursive: true, force: true });
  }
}

if (import.meta.main) await main();
