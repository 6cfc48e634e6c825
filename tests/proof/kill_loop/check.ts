/**
 * Looks, in a process of its own, at what a killed process left behind; prints findings as JSON.
 *
 *     check.ts FOLDER look|settle
 *
 * - `look` only reads. `settle` looks, then opens the log for running, lets everything end, and
 *   looks again.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { openLog } from "../../../events/mod.ts";
import { verify } from "../../../events/replay/mod.ts";
import { type Joblog, openJoblog } from "../../../mod.ts";
import { DEED_DRIVERS } from "./deeds.ts";
import { contradicting, lost, unsettled } from "./findings.ts";
import { History } from "./history.ts";
import { type Fact, LOG_NAME, TOLD_NAME } from "./told.ts";

/** What one look found. */
export interface Look {
  /** What is wrong; empty = nothing. */
  readonly findings: readonly string[];
  /** Events in the log. */
  readonly size: number;
  /** Snapshots that were compared with the fold from zero. */
  readonly snapshots: number;
  /** Jobs that recoveries took up, and those that they ended. */
  readonly resumed: number;
  readonly failed: number;
  /** Transactions decided, by side, and those whose finalization was interrupted. */
  readonly committed: number;
  readonly aborted: number;
  readonly interrupted: number;
  /** Finished backups with equal bytes. */
  readonly backups: number;
}

/** Everything must end within so long. */
const PATIENCE_MS = 90_000;

const [folder = "", mode = "look"] = process.argv.slice(2);
const path = join(folder, LOG_NAME);

function toldFacts(): Fact[] {
  const file = join(folder, TOLD_NAME);
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

async function look(isSettled: boolean): Promise<Look> {
  const told = toldFacts();
  // A process that is killed before its log is there leaves nothing, and has told nothing.
  if (!existsSync(path)) {
    const findings = told.length === 0 ? [] : ["the log is gone"];
    return { findings, ...countsOf(new History()), snapshots: 0 };
  }
  const reader = await openLog(path);
  try {
    const heads = told.flatMap((fact) => fact.kind === "head" ? [fact.head] : []);
    const newest = heads.at(-1);
    const report = await verify(reader, newest === undefined ? {} : { head: newest });
    const findings = report.faults.map(({ text }) => `verify: ${text}`);
    for (const { size, root } of heads) {
      if (size <= report.size && await reader.root(size) === root) continue;
      findings.push(`the root of ${size} events was told and is another`);
    }
    const history = await History.read(reader);
    findings.push(...lost(history, told), ...contradicting(history, folder));
    if (isSettled) findings.push(...unsettled(history));
    return { findings, ...countsOf(history), snapshots: report.checked.snapshots };
  } finally {
    await reader.close();
  }
}

function countsOf(history: History): Omit<Look, "findings" | "snapshots"> {
  const jobs = [...history.jobs.values()];
  const txns = [...history.txns.values()];
  const recoveries = jobs.flatMap((job) => job.recoveries);
  return {
    size: history.size,
    resumed: recoveries.filter((action) => action === "resumed").length,
    failed: recoveries.filter((action) => action === "failed").length,
    committed: txns.filter(({ decision }) => decision === "commit").length,
    aborted: txns.filter(({ decision }) => decision === "abort").length,
    interrupted: txns.filter(({ wasInterrupted }) => wasInterrupted).length,
    backups: jobs.filter(({ type, ret }) => type === "backup" && ret === 0).length,
  };
}

/** Lets every job go on to its end. */
async function settle(): Promise<string[]> {
  const joblog = await openJoblog({ path, baseFolder: folder, drivers: DEED_DRIVERS });
  const endings = joblog.jobs().map(({ id }) => end(joblog, id!));
  const { promise, resolve } = Promise.withResolvers<string[]>();
  const timer = setTimeout(() => {
    const open = joblog.jobs().filter(({ status }) => status !== "concluded");
    resolve(open.map(({ id, status }) => `job ${id} stays ${status}`));
  }, PATIENCE_MS);
  const findings = await Promise.race([Promise.all(endings).then((all) => all.flat()), promise]);
  clearTimeout(timer);
  await joblog.close();
  return findings;
}

async function end(joblog: Joblog, id: string): Promise<string[]> {
  const job = joblog.job(id);
  if (job === undefined) return [];
  const quiet = () => {};
  await job.setSpeed(0).catch(quiet);
  await job.resume().catch(quiet);
  const state = await job.until(({ status }) => /^(pending|concluded|null)$/.test(status));
  if (state.status === "pending" && !state.autoFinalize) await job.finalize().catch(quiet);
  await job.done;
  if (job.state.status === "concluded") await job.dismiss();
  return [];
}

if (import.meta.main) {
  let found: Look = await look(false);
  if (mode === "settle" && found.size > 0 && found.findings.length === 0) {
    const findings = await settle();
    const after = await look(true);
    found = { ...after, findings: [...findings, ...after.findings] };
  }
  console.log(JSON.stringify(found));
}
