/**
 * Plays recorded QMP scenarios against `joblog qmp` on the runtime that runs this, by the runner
 * that comes with the recordings. They are not part of this repository.
 *
 * The folder is named by JOBLOG_ORACLE; unless it is, it is `../shared/oracle` beside the project.
 * The runner needs Node.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runtimeCommand } from "../support/spawn_runtime.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const MAIN = fileURLToPath(new URL("../../api/cli/main.ts", import.meta.url));

/** Where the recordings are looked for. */
export const ORACLE_FOLDER: string = resolve(
  ROOT,
  process.env["JOBLOG_ORACLE"] || "../shared/oracle",
);

/** True if they are there. */
export const HAS_ORACLE: boolean = existsSync(join(ORACLE_FOLDER, "run.mjs"));

/** Why a case is skipped without them. */
export const NO_ORACLE = "there are no recorded scenarios; JOBLOG_ORACLE names their folder";

/** How strictly the order of messages is compared: see the README of the recordings. */
export type Order = "stream" | "events";

/** One scenario that was played. */
export interface Played {
  /** Its name. */
  readonly name: string;
  /** True if replies, events and images were as recorded. */
  readonly ok: boolean;
  /** What was different. */
  readonly detail: readonly string[];
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * Plays scenarios, at most `jobs` at once.
 *
 * @param names which; empty = all
 */
export async function play(
  names: readonly string[],
  order: Order = "events",
  jobs = 2,
): Promise<readonly Played[]> {
  const folder = mkdtempSync(join(tmpdir(), "joblog-oracle-"));
  const report = join(folder, "report.json");
  // Its socket and its log lie in the folder that the runner makes for each scenario.
  const words = runtimeCommand(MAIN, ["qmp", "--store", "jobs.db", "--socket"]).map(quoted);
  const args = [
    ...[join(ORACLE_FOLDER, "run.mjs"), "check", "--server", `${words.join(" ")} {sock}`],
    ...["--order", order, "--ignore-drain", "--jobs", String(jobs), "--json", report, ...names],
  ];
  try {
    await ended("node", args);
    return JSON.parse(readFileSync(report, "utf8")) as readonly Played[];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function ended(program: string, args: readonly string[]): Promise<void> {
  return new Promise((done, fail) => {
    const child = spawn(program, [...args], { stdio: ["ignore", "ignore", "inherit"] });
    child.on("error", fail);
    child.on("close", () => done());
  });
}
