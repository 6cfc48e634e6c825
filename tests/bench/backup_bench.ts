/**
 * What a backup through the whole engine costs, beside QEMU's own backup, `cp` and `dd`.
 *
 *     backup_bench.ts [--rounds 5] [--mib 1024] [--images /dev/shm] [--log FOLDER]
 *
 * - The image is random data without holes, on tmpfs; targets are made anew each time, QEMU's by
 *   `qemu-img create` before the measured time. The sides take turns; round 0 warms up and is not
 *   counted. Medians of the rates, and of the ratios of each round, are printed.
 * - QEMU's side is `qemu-storage-daemon` with blockdev-backup, from its command to
 *   BLOCK_JOB_COMPLETED; without it there are no ratios to it.
 * - The time of a backup of ours runs from the command to the durable end of the job. The log is
 *   the real one: SQLite, synchronous=FULL, on the disk of `--log`.
 * - The delay of the event loop is how much later than due a 2 ms timer fires during a backup.
 * - Every copy of the last round is compared with the source. A missed goal is printed, not an
 *   error, because a busy machine misses it.
 */
import { execFileSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openJoblog } from "../../mod.ts";
import { noteDelays, reportDelays } from "./loop_delay.ts";
import { figure, median, medianRatio, optionsOf, placeName, printGoal, timed } from "./measure.ts";
import { StorageDaemon } from "./storage_daemon.ts";

const MIB = 1_048_576;

type Format = "raw" | "qcow2";

/** Where a round works. */
interface Place {
  readonly folder: string;
  readonly source: string;
  readonly target: string;
  readonly log: string;
  readonly delaysMs: number[];
}

function makeImage(path: string, mib: number): void {
  const fd = fs.openSync(path, "wx");
  const bytes = new Uint8Array(MIB);
  for (let index = 0; index < mib; index++) fs.writeSync(fd, randomFillSync(bytes));
  fs.closeSync(fd);
}

/** Runs one job; the engine is opened before and closed after the measured time. */
async function ours(place: Place, format: Format): Promise<number> {
  const joblog = await openJoblog({ path: place.log });
  const endNoting = noteDelays(place.delaysMs);
  const parameters = { source: place.source, target: place.target, format };
  const tookMs = await timed(async () => {
    const job = await joblog.start({ type: "backup", id: "bench", parameters });
    const end = await job.done;
    if (end.ret !== 0) throw new Error(`Cannot back up: ${end.error?.text}`);
  });
  endNoting();
  await joblog.close();
  return tookMs;
}

async function qemus(place: Place, format: Format): Promise<number> {
  const { source, target } = place;
  execFileSync("qemu-img", ["create", "-q", "-f", format, target, `${fs.statSync(source).size}`]);
  const daemon = await StorageDaemon.start(place.folder);
  await daemon.add("s", source);
  await daemon.add("t", target, format);
  const job = { "job-id": "j", device: "s", target: "t", sync: "full" };
  const tookMs = await timed(async () => {
    await daemon.send("blockdev-backup", job);
    await daemon.event("BLOCK_JOB_COMPLETED");
  });
  await daemon.stop();
  return tookMs;
}

const WAYS = {
  "cp": ({ source, target }: Place) =>
    timed(() => execFileSync("cp", ["--sparse=never", "--reflink=never", source, target])),
  "backup to raw": (place: Place) => ours(place, "raw"),
  "QEMU to raw": (place: Place) => qemus(place, "raw"),
  "backup to qcow2": (place: Place) => ours(place, "qcow2"),
  "QEMU to qcow2": (place: Place) => qemus(place, "qcow2"),
  "dd": ({ source, target }: Place) =>
    timed(() => execFileSync("dd", [`if=${source}`, `of=${target}`, "bs=1M"], { stdio: "ignore" })),
};

type Way = keyof typeof WAYS;

function check({ source, target }: Place, way: Way): void {
  if (!way.endsWith("qcow2")) return void execFileSync("cmp", [source, target]);
  execFileSync("qemu-img", ["compare", "-q", "-f", "raw", "-F", "qcow2", source, target]);
  execFileSync("qemu-img", ["check", "-q", target]);
}

async function measure(place: Place, rounds: number, hasQemu: boolean): Promise<void> {
  const mib = fs.statSync(place.source).size / MIB;
  const ways = (Object.keys(WAYS) as Way[]).filter((way) => hasQemu || !way.startsWith("QEMU"));
  const rates = Object.fromEntries(ways.map((way) => [way, []])) as unknown as Record<
    Way,
    number[]
  >;
  for (let round = 0; round <= rounds; round++) {
    if (round === 1) place.delaysMs.length = 0;
    for (const way of ways) {
      fs.rmSync(place.target, { force: true });
      const tookMs = await WAYS[way](place);
      if (round > 0) rates[way].push(mib / tookMs * 1_000);
      if (round === rounds && (hasQemu || !way.endsWith("qcow2"))) check(place, way);
    }
  }
  for (const way of ways) {
    const all = rates[way].map((rate) => figure(rate)).join(" ");
    console.log(`${way.padEnd(16)} ${figure(median(rates[way])).padStart(6)} MiB/s   (${all})`);
  }
  const goals: readonly (readonly [Way, Way, number])[] = [
    ["backup to raw", "cp", 0.8],
    ["backup to raw", "QEMU to raw", 1],
    ["backup to qcow2", "QEMU to qcow2", 1],
  ];
  for (const [one, other, goal] of goals) {
    if (rates[other] === undefined) continue;
    const ratio = medianRatio(rates[one], rates[other]);
    printGoal(`${one} / ${other} ${figure(ratio, 2)}`, `${goal}`, ratio >= goal);
  }
}

function isInstalled(tool: string): boolean {
  try {
    execFileSync(tool, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

async function main(): Promise<void> {
  const options = optionsOf({ rounds: "5", mib: "1024", images: "/dev/shm", log: tmpdir() });
  const root = fs.existsSync(options.images) ? options.images : tmpdir();
  const folder = fs.mkdtempSync(join(root, "joblog-bench-"));
  const logs = fs.mkdtempSync(join(options.log, "joblog-bench-log-"));
  const hasQemu = isInstalled("qemu-storage-daemon") && isInstalled("qemu-img");
  console.log(`${placeName()}: ${options.mib} MiB on ${root}, log in SQLite`);
  if (!hasQemu) {
    console.log("qemu-storage-daemon and qemu-img are not installed: no ratios to them");
  }
  const place = {
    folder,
    source: join(folder, "source.raw"),
    target: join(folder, "target.img"),
    log: join(logs, "jobs.db"),
    delaysMs: [],
  };
  try {
    makeImage(place.source, Number(options.mib));
    await measure(place, Number(options.rounds), hasQemu);
    reportDelays(place.delaysMs);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
    fs.rmSync(logs, { recursive: true, force: true });
  }
}

if (import.meta.main) await main();
