/**
 * Proof by kill -9 of the drivers: processes that back up, mirror, stream or commit, mostly under a
 * guest that writes, are killed at random moments and in the last steps, and new ones go on.
 *
 *     driver_kill_loop.ts [--seed N] [--budget-s S] [--rounds N] [--only TEXT] [--keep]
 *
 * - `--seed` chooses images, writes and moments; what meets what is left to the machine.
 * - `--budget-s` ends the proof after so many seconds. @default no bound
 * - `--rounds` kills each driver so often: backup, mirror, stream, commit of inner layers and of
 *   the active one, each in all its cases, changes of the graph of nodes, and bitmaps that images
 *   keep, under backups by them.
 *   @default 200, or no bound when there is a budget
 * - `--only` takes the cases alone whose name begins with the text, as `stream, nodes`.
 * - `--keep` leaves the folder there when something was found.
 *
 * After each kill an image is, for `qemu-img check`, at worst leaking; a chain is the old one or
 * the new one; what its guests see is what they were told. Some openings run no job: the graph is
 * what the log says. After some kills the job is let to its end: it completes, or fails as the
 * documents say, the log verifies, and the bytes are those of a model. Ends with status 1 at a
 * finding, and when a driver was not killed at work once: then nothing was proved.
 */
import process from "node:process";
import { HAS_QEMU, NO_QEMU } from "../engine/block/qcow2/qemu.ts";
import { numbersFrom } from "../engine/block/qcow2/seeded.ts";
import { ImageFolder } from "../support/images.ts";
import { proofCount, proofTime, scriptOptions } from "../support/script_options.ts";
import { BitmapKills } from "./driver_kill_loop/bitmap_kills.ts";
import { BackupKills, type BackupShape } from "./driver_kill_loop/backup_kills.ts";
import { ChainKills } from "./driver_kill_loop/chain_kills.ts";
import type { ChainScene } from "./driver_kill_loop/chain_scene.ts";
import { GraphKills } from "./driver_kill_loop/graph_kills.ts";
import type { KillCase } from "./driver_kill_loop/kill_case.ts";
import { type CopyMode, MirrorKills } from "./driver_kill_loop/mirror_kills.ts";
import { SCENES } from "./driver_kill_loop/scenes.ts";

/** Kills of each driver, when there is no budget. */
const ROUNDS = 200;
/** Kills of one job before it may end. */
const ROUNDS_OF_JOB = 6;
/** Left of the budget for the last job to end. */
const SETTLE_MS = 8_000;

type DriverName = "backup" | "mirror" | "stream" | "commit" | "active commit" | "graph" | "bitmaps";

interface Row {
  readonly driver: DriverName;
  readonly shape: string;
  readonly make: (folder: ImageFolder, seed: number) => KillCase;
}

const backupRow = (shape: BackupShape): Row => ({
  ...{ driver: "backup", shape },
  make: (folder, seed) => new BackupKills(folder, seed, shape),
});

const mirrorRow = (shape: CopyMode): Row => ({
  ...{ driver: "mirror", shape },
  make: (folder, seed) => new MirrorKills(folder, seed, shape),
});

const chainRow = (driver: DriverName, shape: string, scene: ChainScene): Row => ({
  ...{ driver, shape },
  make: (folder, seed) => new ChainKills(folder, seed, scene),
});

const ROWS: readonly Row[] = [
  backupRow("raw to qcow2"),
  backupRow("raw to packed qcow2"),
  mirrorRow("background"),
  ...Object.entries(SCENES).map(([name, scene]) => {
    const [driver = "", shape = ""] = name.split(", ");
    return chainRow(driver as DriverName, shape, scene);
  }),
  { driver: "graph", shape: "random", make: (folder, seed) => new GraphKills(folder, seed) },
  { driver: "bitmaps", shape: "kept", make: (folder, seed) => new BitmapKills(folder, seed) },
  backupRow("top of a chain to qcow2"),
  mirrorRow("write-blocking"),
  backupRow("raw to raw"),
];

interface Totals {
  jobs: number;
  kills: number;
  atWork: number;
  closing: number;
  done: number;
  lost: number;
  overBefore: number;
}

const zero = (): Totals => ({
  ...{ jobs: 0, kills: 0, atWork: 0, closing: 0 },
  ...{ done: 0, lost: 0, overBefore: 0 },
});

interface Run {
  readonly totals: Readonly<Record<DriverName, Totals>>;
  readonly rounds: number;
  readonly isKept: boolean;
  readonly random: (below: number) => number;
  isOver(): boolean;
}

/** Kills one job some times and lets it end. @returns what was found, if anything was */
async function proveJob(row: Row, run: Run): Promise<string | undefined> {
  const folder = new ImageFolder();
  const totals = run.totals[row.driver];
  const seed = run.random(1_000_000);
  totals.jobs += 1;
  let isFound = true;
  try {
    const job = row.make(folder, seed);
    await job.prepare();
    const count = Math.min(1 + run.random(ROUNDS_OF_JOB), run.rounds - totals.kills);
    for (let round = 0; round < count && !(run.isOver() && round > 0); round++) {
      const met = await job.kill(run.random);
      if (met === "over") totals.overBefore += 1;
      else totals.kills += 1;
      if (met === "at work") totals.atWork += 1;
      if (met === "closing") totals.closing += 1;
      if (met === "over") break;
    }
    totals[await job.settle()] += 1;
    isFound = false;
    return undefined;
  } catch (error) {
    const words = error instanceof Error ? error.stack ?? error.message : String(error);
    return `${row.driver}, ${row.shape}, images of seed ${seed}: ${words}`;
  } finally {
    if (isFound && run.isKept) console.log(`kept: ${folder.path}`);
    else folder.remove();
  }
}

/** The next kind of the driver that was killed least, so that a short budget meets both. */
function nextRow(rows: readonly Row[], { totals }: Run): Row {
  const [first] = rows.toSorted((a, b) => totals[a.driver].kills - totals[b.driver].kills);
  const own = rows.filter(({ driver }) => driver === first!.driver);
  return own[totals[first!.driver].jobs % own.length]!;
}

function told(name: DriverName, totals: Totals): string {
  const { kills, atWork, closing, done, lost, overBefore } = totals;
  return `${name}: ${kills} kills (${atWork} at work, ${closing} in the last steps), ` +
    `${done} jobs ended with equal bytes, ${lost} as a kill may end them, ` +
    `${overBefore} before they were killed`;
}

/** Runs the proof. @returns the exit status */
export async function main(args: readonly string[]): Promise<number> {
  const defaults = {
    seed: 1,
    "budget-s": Infinity,
    rounds: Infinity,
    only: "",
    keep: false,
  } as const;
  const { seed, only, keep, ...values } = scriptOptions(args, defaults);
  const time = proofTime(values["budget-s"], SETTLE_MS);
  const rounds = proofCount(values.rounds, ROUNDS, time);
  const run: Run = {
    totals: Object.fromEntries(ROWS.map(({ driver }) => [driver, zero()])) as Run["totals"],
    rounds,
    isKept: keep,
    random: numbersFrom(seed),
    isOver: time.isOver,
  };
  const rows = ROWS.filter(({ driver, shape }) => `${driver}, ${shape}`.startsWith(only));
  const drivers = [...new Set(rows.map(({ driver }) => driver))];
  if (!HAS_QEMU) console.log(`driver kill loop: no image is checked by QEMU: ${NO_QEMU}`);
  let finding: string | undefined;
  const isLeft = () => drivers.some((name) => run.totals[name].kills < rounds);
  while (finding === undefined && isLeft() && !run.isOver()) {
    finding = await proveJob(nextRow(rows, run), run);
  }
  for (const name of drivers) console.log(`driver kill loop: ${told(name, run.totals[name])}`);
  console.log(
    `driver kill loop: ${finding === undefined ? "no" : "1"} finding, seed ${seed}, ` +
      `${time.seconds()} s`,
  );
  if (finding !== undefined) console.log(`BROKEN ${finding}`);
  const idle = drivers.filter((name) => run.totals[name].atWork + run.totals[name].closing === 0);
  // A short budget does not meet each driver.
  const unproved = !time.hasBudget || idle.length === drivers.length ? idle : [];
  if (drivers.length === 0 || unproved.length > 0) {
    console.log(
      `NOTHING PROVED of ${unproved.join(", ") || only}: no process was killed at work`,
    );
    return 1;
  }
  return finding === undefined ? 0 : 1;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
