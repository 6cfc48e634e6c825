/**
 * A short life of a whole engine, for a store whose calls may fail at any place. What is durable,
 * answered, or went wrong is told in lines of JSON.
 *
 *     engine_run.ts LOG
 */
import { createHash } from "node:crypto";
import { writeSync } from "node:fs";
import process from "node:process";
import { type Job, type Joblog, JoblogError, openJoblog } from "../../../mod.ts";
import type { Fact } from "./facts.ts";
import { TALLY } from "./tally.ts";

const [path = ""] = process.argv.slice(2);
/** Codes that say that the log, not the command, is at fault. */
const FAILURE = /^(commitFailed|fenced|log[A-Z]|no JoblogError)/;
/** Longer than any run that does not hang, in milliseconds. */
const TIME_MAX_MS = 20_000;
/** Exit status of a run that hung. */
const HUNG = 3;
/** What it is waiting for. */
let place = "opening";

/** A job that will not go on by itself. */
const OVER: readonly string[] = ["concluded", "null"];

function tell(fact: Fact): void {
  writeSync(1, `${JSON.stringify(fact)}\n`);
}

function codeOf(error: unknown): string {
  return error instanceof JoblogError ? error.code : `no JoblogError: ${String(error)}`;
}

/** Opens the log; a second time if the first failed, because a fault may have been the only one. */
async function open(): Promise<Joblog | undefined> {
  for (const attempt of [1, 2]) {
    try {
      const joblog = await openJoblog({ path, drivers: [TALLY] });
      tell({ kind: "opened", attempt });
      return joblog;
    } catch (error) {
      tell({ kind: "openFailed", attempt, code: codeOf(error) });
    }
  }
  return undefined;
}

/** Tells what becomes durable, and resumes what a full disk has paused. */
async function follow(joblog: Joblog): Promise<void> {
  for await (const event of joblog.events()) {
    const digest = createHash("sha1").update(JSON.stringify(event)).digest("hex");
    tell({ kind: "durable", position: event.position, type: event.type, digest });
    if (event.type === "LogSpaceLow") void resumeAll(joblog).catch(() => {});
  }
}

async function resumeAll(joblog: Joblog): Promise<void> {
  for (const { id, isUserPaused } of joblog.jobs()) {
    if (id !== null && isUserPaused) await joblog.verb(id, "resume").catch(() => {});
  }
}

function tally(id: string, parameters: { to?: number; everyMs?: number; fails?: boolean }) {
  return { type: "tally", id, parameters };
}

async function isRefused(command: Promise<unknown>): Promise<boolean> {
  try {
    await command;
    return false;
  } catch (error) {
    if (FAILURE.test(codeOf(error))) throw error;
    return true;
  }
}

async function drive(joblog: Joblog): Promise<void> {
  const isOver = ({ status }: Job["state"]) => status === "concluded" || status === "null";
  const a = await joblog.start({ ...tally("a", { to: 12, everyMs: 4 }), autoDismiss: false });
  tell({ kind: "started", runId: a.runId });
  await isRefused(a.pause());
  const requests = ["b", "c"].map((id) => ({ ...tally(id, { to: 7 }), autoFinalize: false }));
  const { jobs } = await joblog.transaction(requests, { completionMode: "grouped" });
  for (const { runId } of jobs) tell({ kind: "started", runId });
  await a.until((job) => job.status === "paused" || !job.isUserPaused || isOver(job));
  await isRefused(a.resume());
  const d = await joblog.start(tally("d", { to: 3, fails: true }));
  tell({ kind: "started", runId: d.runId });
  await isRefused(joblog.verb("nobody", "pause"));
  await d.done;
  for (const job of jobs) await job.until((state) => state.status === "pending" || isOver(state));
  await isRefused(jobs[0]!.finalize());
  await a.done;
  await isRefused(a.dismiss());
  const e = await joblog.start(tally("e", { to: 30, everyMs: 2 }));
  tell({ kind: "started", runId: e.runId });
}

/** One process's part: what fails is told, and whether the engine stands by it. */
async function live(joblog: Joblog, work: () => Promise<void>): Promise<boolean> {
  place = "working";
  const followed = follow(joblog).catch((error) => tell({ kind: "cut", code: codeOf(error) }));
  let isWell = true;
  try {
    await work();
  } catch (error) {
    isWell = false;
    tell({ kind: "failed", code: codeOf(error) });
  }
  if (!isWell || joblog.failure !== undefined) {
    const later = await joblog.start(tally("z", {})).then(() => "none", codeOf);
    tell({ kind: "stopped", failure: codeOf(joblog.failure), later });
  }
  place = "closing";
  try {
    await joblog.close();
  } catch (error) {
    isWell = false;
    tell({ kind: "closeFailed", code: codeOf(error) });
  }
  place = "following";
  await followed;
  place = "opening";
  return isWell && joblog.failure === undefined;
}

async function main(): Promise<void> {
  const joblog = await open();
  if (joblog === undefined) return;
  const isWell = await live(joblog, () => drive(joblog));
  const again = await open();
  if (again === undefined) return;
  const ids = again.jobs().map(({ id }) => id ?? "");
  await live(again, async () => {
    for (const id of ids) {
      if (!isWell) await isRefused(again.verb(id, "resume"));
      if (!isWell) await isRefused(again.verb(id, "finalize"));
      await again.job(id)?.until(({ status }) => OVER.includes(status) || status === "pending");
    }
  });
}

/** Ends a run that hangs, and says where it hung. */
function watch(): void {
  setTimeout(() => {
    tell({ kind: "hung", place });
    process.exit(HUNG);
  }, TIME_MAX_MS).unref();
}

watch();
await main();
tell({ kind: "end" });
process.exit(0);
