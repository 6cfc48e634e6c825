/**
 * What must be true of a log and of the files beside it after a kill, and once all has ended.
 *
 * The files of a deed are judged without the engine: nothing is committed or aborted before the
 * decision is in the log, and nothing ever goes to the other side.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { sameBytes } from "../../support/images.ts";
import { DEEDS } from "./deeds.ts";
import type { History, JobFacts, TxnFacts } from "./history.ts";
import { type Fact, SOURCE_NAME } from "./told.ts";

const isDeed = ({ type }: JobFacts) => type === "deed" || type === "lasting";

/** What was told and is not in the log. */
export function lost(history: History, told: readonly Fact[]): string[] {
  const findings: string[] = [];
  for (const fact of told) {
    if (fact.kind === "answered") {
      const answer = history.answers.get(fact.id);
      if (answer === fact.isAccepted) continue;
      findings.push(`command ${fact.id} was told ${fact.isAccepted}, the log has ${answer}`);
    } else if (fact.kind === "created") {
      const missing = fact.runIds.filter((runId) => !history.jobs.has(runId));
      if (missing.length > 0) findings.push(`jobs ${missing.join(", ")} were told, but are lost`);
    } else if (fact.kind === "over") {
      const ret = history.jobs.get(fact.runId)?.ret;
      if (ret === fact.ret) continue;
      findings.push(`job ${fact.runId} was told over with ${fact.ret}, the log has ${ret}`);
    }
  }
  return findings;
}

/** Files that contradict the log. */
export function contradicting(history: History, folder: string): string[] {
  const findings: string[] = [];
  for (const txn of history.txns.values()) {
    for (const job of txn.jobs.filter(isDeed)) findings.push(...deedFindings(txn, job, folder));
  }
  for (const job of history.jobs.values()) {
    if (job.type === "backup" && job.ret === 0) findings.push(...copyFindings(job, folder));
  }
  return findings;
}

function deedFindings({ decision }: TxnFacts, job: JobFacts, folder: string): string[] {
  const name = String(job.parameters["name"]);
  const has = (state: string) => existsSync(join(folder, DEEDS, `${name}.${state}`));
  const findings: string[] = [];
  const add = (text: string) => findings.push(`deed ${name}: ${text}`);
  const [isCommitted, isAborted, isCleaned] = [has("committed"), has("aborted"), has("cleaned")];
  if (isCommitted && decision !== "commit") add(`is committed, but decided is ${decision}`);
  if (isAborted && decision !== "abort") add(`is aborted, but decided is ${decision}`);
  const { returned, ret } = job;
  if (returned.has("CommitReturned") && !isCommitted) add("its commit is recorded, but not done");
  if (returned.has("AbortReturned") && !isAborted) add("its abort is recorded, but not done");
  if (returned.has("CleanReturned") && !isCleaned) add("its clean is recorded, but not done");
  if (isCleaned && !returned.has("CommitReturned") && !returned.has("AbortReturned")) {
    add("is cleaned before it was committed or aborted");
  }
  if (ret !== undefined && !isCleaned) add("has concluded without being cleaned");
  if (ret !== undefined && (ret === 0) !== isCommitted) add(`has ended with ${ret}`);
  if (ret !== undefined && has("prepared")) add("has concluded and left what was prepared");
  return findings;
}

function copyFindings(job: JobFacts, folder: string): string[] {
  const target = String(job.parameters["target"]);
  const bytes = [SOURCE_NAME, target].map((name) => readFileSync(join(folder, name)));
  return sameBytes(bytes[0]!, bytes[1]!) ? [] : [`backup to ${target} has other bytes`];
}

/** What is wrong when everything was given the time to end. */
export function unsettled(history: History): string[] {
  const findings: string[] = [];
  for (const txn of history.txns.values()) {
    const rets = txn.jobs.map(({ ret }) => ret);
    const place = `transaction ${txn.txnId} (${txn.jobs.map(({ type }) => type).join(", ")})`;
    if (rets.includes(undefined)) findings.push(`${place} has not ended: ${rets}`);
    const sides = new Set(rets.map((ret) => ret === 0));
    if (sides.size > 1) findings.push(`${place} ended on two sides: ${rets}`);
    const isWell = rets.every((ret) => ret === 0);
    if (isWell === hasReason(txn)) {
      findings.push(`${place} ended with ${rets}, ${isWell ? "against" : "without"} a reason`);
    }
    findings.push(...txn.jobs.flatMap(recoveryFindings));
  }
  return findings;
}

/** Whether a transaction has to fail. */
function hasReason(txn: TxnFacts): boolean {
  return txn.wasInterrupted ||
    txn.jobs.some((job) =>
      job.isCancelled || job.recoveries.includes("failed") ||
      (job.parameters["fails"] ?? "none") !== "none"
    );
}

/** A job that cannot go on fails at the first recovery; one that can goes on each time. */
function recoveryFindings({ type, runId, recoveries, isCancelled }: JobFacts): string[] {
  const failed = recoveries.filter((action) => action === "failed").length;
  const resumed = recoveries.length - failed;
  if (type === "deed" && resumed > 0) return [`deed ${runId} was resumed by a recovery`];
  if (failed > 1) return [`job ${runId} failed by ${failed} recoveries`];
  // A group that was decided to abort takes its members with it, also those that could go on.
  if (type === "backup" && failed > 0 && !isCancelled) return [`backup ${runId} was not resumed`];
  return [];
}
