/**
 * Proof by kill -9: a process with groups in their closing sequences, backups, snapshots and verbs
 * is killed at a random moment, again and again over the same log, also while it recovers.
 *
 *     kill_loop.ts [--seed N] [--budget-s S] [--rounds N] [--keep]
 *
 * - `--seed` chooses the moments and the work; what meets what is left to the machine.
 * - `--budget-s` ends the proof after so many seconds. @default no bound
 * - `--rounds` kills so often. @default 500, or no bound when there is a budget
 * - `--keep` leaves the folder there when something was found.
 *
 * After each kill a fresh process looks: nothing that was told is lost, the log verifies against
 * every tree head that was told, files agree with decisions. After some kills another one lets
 * everything end, and then all must have ended as the rules say. Ends with status 1 at a finding,
 * and when the budget was too short for a single kill: then nothing was proved.
 */
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { noise } from "../support/images.ts";
import { randomOf } from "../support/random.ts";
import { proofCount, proofTime, scriptOptions } from "../support/script_options.ts";
import { spawnRuntime } from "../support/spawn_runtime.ts";
import type { Look } from "./kill_loop/check.ts";
import { SOURCE_NAME, TOLD_NAME } from "./kill_loop/told.ts";

const ROUNDS = 500;
/** Kills of one log before it is settled. */
const ROUNDS_OF_LOG = 12;
const IMAGE_BYTES = 2 ** 21;
/** Left of the budget for the last log to be settled. */
const SETTLE_MS = 12_000;

const pathOf = (name: string) => fileURLToPath(new URL(`./kill_loop/${name}`, import.meta.url));

interface Totals {
  kills: number;
  told: number;
  beforeOpen: number;
  logs: number;
}

/** Lets a process work until it has told enough or long enough, and kills it. */
async function killOne(
  folder: string,
  round: number,
  random: () => number,
  totals: Totals,
): Promise<string[]> {
  const seed = Math.floor(random() * 2 ** 31);
  const script = spawnRuntime(pathOf("child.ts"), [folder, String(round), String(seed)]);
  // Half of the kills fall a while after the start, the others after so much was told.
  const isTimed = random() < 0.5;
  const linesMax = isTimed ? Infinity : 1 + Math.floor(random() ** 2 * 150);
  const afterMs = isTimed ? 100 + random() * 1_500 : 20_000;
  const timer = setTimeout(() => void script.kill(), afterMs);
  const lines: string[] = [];
  for (let line = await script.line(); line !== undefined; line = await script.line()) {
    lines.push(line);
    if (lines.length === linesMax) void script.kill();
  }
  clearTimeout(timer);
  const ended = await script.ended;
  appendFileSync(join(folder, TOLD_NAME), lines.map((line) => `${line}\n`).join(""));
  totals.kills += 1;
  totals.told += lines.length;
  if (lines.length === 0) totals.beforeOpen += 1;
  return ended === "SIGKILL" ? [] : [`the process ended by itself with ${ended}`];
}

async function check(folder: string, mode: "look" | "settle"): Promise<Look> {
  const script = spawnRuntime(pathOf("check.ts"), [folder, mode]);
  const line = await script.line();
  const ended = await script.ended;
  if (line !== undefined && ended === 0) return JSON.parse(line) as Look;
  throw new Error(`The check ended with ${ended}`);
}

/** Works over one log until it was settled. */
async function proveLog(
  folder: string,
  rounds: number,
  random: () => number,
  isOver: () => boolean,
  totals: Totals,
): Promise<Look> {
  writeFileSync(join(folder, SOURCE_NAME), sourceBytes(random));
  for (let round = 0; round < rounds && !isOver(); round++) {
    const ended = await killOne(folder, round, random, totals);
    const found = await check(folder, "look");
    const findings = [...ended, ...found.findings];
    if (findings.length > 0) return { ...found, findings };
  }
  return await check(folder, "settle");
}

/** Noise with a hole in it. */
function sourceBytes(random: () => number): Uint8Array {
  const bytes = noise(IMAGE_BYTES, 1 + Math.floor(random() * 1_000));
  return bytes.fill(0, IMAGE_BYTES / 4, IMAGE_BYTES / 2);
}

function add(sums: Record<string, number>, found: Look): void {
  for (const [name, value] of Object.entries(found)) {
    if (typeof value === "number") sums[name] = (sums[name] ?? 0) + value;
  }
}

function summary(totals: Totals, sums: Record<string, number>, outcome: string): string {
  const sum = (name: string) => sums[name] ?? 0;
  return `kill loop: ${totals.kills} kills (${totals.beforeOpen} before the log was open) of ` +
    `${totals.logs} logs, ${totals.told} facts told, ${outcome}, ${sum("size")} events ` +
    `verified, ${sum("snapshots")} snapshots compared, ${sum("committed")} transactions ` +
    `committed and ${sum("aborted")} aborted (${sum("interrupted")} interrupted before the ` +
    `decision), ${sum("resumed")} jobs resumed and ${sum("failed")} ended by a recovery, ` +
    `${sum("backups")} backups with equal bytes`;
}

/** Runs the proof. @returns the exit status */
export async function main(args: readonly string[]): Promise<number> {
  const defaults = { seed: 1, "budget-s": Infinity, rounds: Infinity, keep: false } as const;
  const { seed, keep, ...values } = scriptOptions(args, defaults);
  const time = proofTime(values["budget-s"], SETTLE_MS);
  const rounds = proofCount(values.rounds, ROUNDS, time);
  const random = randomOf(seed);
  const totals: Totals = { kills: 0, told: 0, beforeOpen: 0, logs: 0 };
  const sums: Record<string, number> = {};
  console.log(`seed ${seed}`);
  let findings: readonly string[] = [];
  while (findings.length === 0 && totals.kills < rounds && !time.isOver()) {
    const folder = mkdtempSync(join(tmpdir(), "joblog-kill-"));
    const count = Math.min(ROUNDS_OF_LOG, rounds - totals.kills);
    const found = await proveLog(folder, count, random, time.isOver, totals);
    totals.logs += 1;
    add(sums, found);
    findings = found.findings;
    const isKept = keep && findings.length > 0;
    if (isKept) console.log(`kept: ${folder}`);
    else rmSync(folder, { recursive: true, force: true });
  }
  if (totals.kills === 0) {
    const kept = `${SETTLE_MS / 1_000} s of it are kept for the last log to be settled`;
    console.log(`NOTHING PROVED: the budget is too short for a kill, as ${kept}`);
    return 1;
  }
  for (const finding of findings) console.log(`BROKEN after ${totals.kills} kills: ${finding}`);
  const outcome = findings.length === 0 ? "nothing lost" : `${findings.length} findings`;
  console.log(summary(totals, sums, outcome));
  console.log(`seed ${seed}, ${time.seconds()} s`);
  return findings.length === 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
