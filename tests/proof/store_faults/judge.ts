/** Says whether a run under a fault kept its promises: in what it told, and in what it left. */
import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { openEventReader } from "../../../events/log/mod.ts";
import { verify } from "../../../events/replay/mod.ts";
import { openSqliteLog, RESERVE_BYTES } from "../../../events/store/sqlite/mod.ts";
import { type Joblog, JoblogError, type JobState, openJoblog } from "../../../mod.ts";
import type { Fact } from "./facts.ts";
import type { FaultCase, FaultyRun } from "./faulty_run.ts";
import { TALLY } from "./tally.ts";

/** How an engine took a fault. */
export type Outcome =
  | "no fault"
  | "unharmed"
  | "freed its reserve"
  | "stopped"
  | "did not open"
  | "said so at its close";

/** A verdict: how it went, or what is wrong. */
export type Verdict = { readonly outcome: Outcome } | { readonly breach: string };

/** Time that jobs may take to come to their ends. */
const REST_MS = 20_000;

/** Answers to a verb for a job that has gone on meanwhile. */
const REFUSALS: readonly string[] = ["unknownJob", "verbRefused", "notPaused"];

type OfKind<K extends Fact["kind"]> = Extract<Fact, { kind: K }>;

function all<K extends Fact["kind"]>(run: FaultyRun, kind: K): readonly OfKind<K>[] {
  return run.facts.filter((fact): fact is OfKind<K> => fact.kind === kind);
}

/** Judges a run, and what is left of its log. Opens the log, which changes it. */
export async function judge(fault: FaultCase, run: FaultyRun): Promise<Verdict> {
  const told = wrongInWords(fault, run);
  if (told !== undefined) return { breach: told };
  const left = await wrongOnDisk(run);
  return left === undefined ? { outcome: outcomeOf(run) } : { breach: left };
}

function outcomeOf(run: FaultyRun): Outcome {
  if (run.injected.length === 0) return "no fault";
  if (all(run, "stopped").length > 0) return "stopped";
  if (all(run, "durable").some(({ type }) => type === "LogSpaceLow")) return "freed its reserve";
  if (all(run, "openFailed").length > 0) return "did not open";
  return all(run, "closeFailed").length > 0 ? "said so at its close" : "unharmed";
}

function wrongInWords(fault: FaultCase, run: FaultyRun): string | undefined {
  const [hung] = all(run, "hung");
  if (hung !== undefined) return `it hung while ${hung.place}: ${lastWords(run)}`;
  if (run.status !== 0) return `it ended with ${run.status}: ${run.errors}`;
  if (run.errors !== "") return `it wrote to its error output: ${run.errors}`;
  for (const { code } of [...all(run, "failed"), ...all(run, "cut"), ...all(run, "openFailed")]) {
    if (code.startsWith("no JoblogError")) return `what it threw is ${code}`;
  }
  for (const { failure, later } of all(run, "stopped")) {
    if (failure !== "commitFailed") return `a command failed, but the engine says "${failure}"`;
    if (later !== "logClosed") return `a stopped engine answers a command with "${later}"`;
  }
  if (isShortOfSpace(fault, run) && all(run, "stopped").length > 0) {
    return "a disk that was full for a moment stopped it, although it had a reserve";
  }
  for (const { code } of all(run, "closeFailed")) {
    if (code !== "commitFailed") return `its close failed with "${code}"`;
  }
  const opened = all(run, "opened");
  if (!fault.isLasting && opened.length !== 2) return "it could not be opened again";
  const failures = all(run, "openFailed").length + all(run, "stopped").length +
    all(run, "closeFailed").length;
  if (!fault.isLasting && failures > 1) return "it suffered twice from one fault";
  return undefined;
}

/** True if a write of a commit, and nothing else, found no room. */
function isShortOfSpace({ call, errno, isLasting }: FaultCase, run: FaultyRun): boolean {
  const isWrite = call === "pwrite64" && errno === "ENOSPC" && !isLasting;
  return isWrite && run.injected[0]?.includes("jobs.db-wal>") === true;
}

/** What it told last, for whoever has to find out why. */
function lastWords(run: FaultyRun): string {
  const words = run.facts.map((fact) => "type" in fact ? fact.type : JSON.stringify(fact));
  return words.slice(-12).join(" ");
}

async function wrongOnDisk(run: FaultyRun): Promise<string | undefined> {
  try {
    return await wrongInLog(run) ?? await wrongAtRecovery(run) ?? await wrongInLog(run);
  } catch (error) {
    return `its log cannot be used: ${error instanceof Error ? error.stack : String(error)}`;
  }
}

/** What is durable is there, event by event, and the log verifies. */
async function wrongInLog({ path, facts }: FaultyRun): Promise<string | undefined> {
  const durable = new Map<number, string>();
  const started = new Set<string>();
  for (const fact of facts) {
    if (fact.kind === "durable") durable.set(fact.position, fact.digest);
    if (fact.kind === "started") started.add(fact.runId);
  }
  const reader = openEventReader(await openSqliteLog(path, { reserve: false }));
  try {
    for await (const event of reader.readAll()) {
      const digest = createHash("sha1").update(JSON.stringify(event)).digest("hex");
      const known = durable.get(event.position);
      durable.delete(event.position);
      if (known !== undefined && known !== digest) return `event ${event.position} has changed`;
      if (event.type === "JobCreated") started.delete(event.stream.slice("job-".length));
    }
    const [lost] = durable.keys();
    if (lost !== undefined) return `event ${lost} was durable and is gone`;
    if (started.size > 0) return `a job that was started is gone: ${[...started][0]}`;
    const report = await verify(reader);
    return report.ok ? undefined : `the log does not verify: ${report.first?.text}`;
  } finally {
    await reader.close();
  }
}

/** Without a fault the log opens, has its reserve, and all its jobs come to their ends. */
async function wrongAtRecovery({ path }: FaultyRun): Promise<string | undefined> {
  const joblog = await openJoblog({ path, drivers: [TALLY] });
  try {
    const reserve = statSync(`${path}.reserve`, { throwIfNoEntry: false })?.size;
    if (reserve !== RESERVE_BYTES) return `its reserve has ${reserve} bytes`;
    const signal = AbortSignal.timeout(REST_MS);
    const ids = joblog.jobs().map(({ id }) => id ?? "");
    await finishAll(joblog, ids);
    for (const id of ids) {
      const isEnd = ({ status }: JobState) => isOver(status) || status === "pending";
      await joblog.job(id)?.until(isEnd, { signal });
    }
    await finishAll(joblog, ids);
    for (const id of ids) await joblog.job(id)?.until(({ status }) => isOver(status), { signal });
    return undefined;
  } finally {
    await joblog.close();
  }
}

function isOver(status: string): boolean {
  return status === "concluded" || status === "null";
}

/** Resumes what is paused and finalizes what is pending. Jobs may be gone meanwhile. */
async function finishAll(joblog: Joblog, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const state = joblog.job(id)?.state;
    const verb = state?.isUserPaused === true ? "resume" : "finalize";
    if (verb === "finalize" && state?.status !== "pending") continue;
    await joblog.verb(id, verb).catch((error) => {
      if (!(error instanceof JoblogError) || !REFUSALS.includes(error.code)) throw error;
    });
  }
}
