/**
 * What the measurements of this folder share: medians, goals, names of runtime and file system.
 */
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";

const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  0xef53: "ext4",
  0x01021994: "tmpfs",
  0x58465342: "xfs",
  0x9123683e: "btrfs",
  0x794c7630: "overlayfs",
};

/** The middle value; of an even count the higher of the two in the middle. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value that so much of all values lies below. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** The median of the rounds' own ratios, because the load of a machine drifts between rounds. */
export function medianRatio(a: readonly number[], b: readonly number[]): number {
  return median(a.map((value, round) => value / (b[round] ?? Infinity)));
}

/** Milliseconds that a piece of work takes. */
export async function timed(work: () => Promise<unknown> | unknown): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** A number with thousands separators and so many digits after the point. */
export function figure(value: number, digits = 0): string {
  return value.toLocaleString("en", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** Prints a figure beside its goal. A missed goal is no error: a busy machine misses it. */
export function printGoal(text: string, goal: string, isMet: boolean): void {
  console.log(`${text} (goal ${goal}) ${isMet ? "met" : "MISSED"}`);
}

/** Runtime, folder and file system, for the head of the output. */
export function placeName(): string {
  const { deno, bun, node } = process.versions as Record<string, string | undefined>;
  const runtime = deno ? `Deno ${deno}` : bun ? `Bun ${bun}` : `Node ${node}`;
  const kind = statfsSync(tmpdir()).type;
  return `${runtime}, ${tmpdir()} on ${FILE_SYSTEMS[kind] ?? `file system 0x${kind.toString(16)}`}`;
}

/** Runs `work` with a fresh folder and removes it. */
export async function withFolder<Result>(
  work: (folder: string) => Promise<Result>,
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), "joblog-bench-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Options of the command line as text; what a script does not know is for another one. */
export function optionsOf<Name extends string>(
  defaults: Readonly<Record<Name, string>>,
): Readonly<Record<Name, string>> {
  const names = Object.keys(defaults) as Name[];
  const options = Object.fromEntries(
    names.map((name) => [name, { type: "string", default: defaults[name] }] as const),
  );
  const { values } = parseArgs({ options, allowPositionals: true, strict: false });
  return Object.fromEntries(names.map((name) => [name, String(values[name])])) as Record<
    Name,
    string
  >;
}
