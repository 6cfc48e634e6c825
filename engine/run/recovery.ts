/**
 * Takes up, at an opening, what an earlier process left unfinished.
 *
 * Resumable jobs have their drivers opened first; one that cannot be opened fails its job and not
 * the opening. Each transaction is one decision and one append.
 *
 * Source: DESIGN.md, The job machine, Recovery.
 */
import {
  ENGINE_STREAM,
  isCompletedStatus,
  type JobError,
  type JobState,
} from "../../events/job/mod.ts";
import { isClosing } from "../core/converge.ts";
import { decideRecovery } from "../core/recover.ts";
import { readDirectory } from "./directory.ts";
import type { Engine } from "./engine.ts";
import type { TxnEntry } from "./entry.ts";
import { BY_ENGINE } from "./ledger.ts";

/** Transactions that are taken up before their commits are waited for. */
const TAKEN_UP_AT_ONCE = 1_000;

/**
 * Folds the log into the engine, records the opening, and takes up unfinished work. When it
 * rejects, nothing runs and every driver that it had opened is closed again.
 *
 * @throws {JoblogError} code "unknownEvent" when the log has events that are not known
 * @throws {JoblogError} code "commitFailed" when the log cannot take what is decided
 */
export async function recover(engine: Engine): Promise<void> {
  try {
    await takeUpAll(engine);
  } catch (error) {
    await letGo(engine);
    throw error;
  }
}

/** Nobody will ever close this engine: what it holds would keep the next opening off its files. */
async function letGo(engine: Engine): Promise<void> {
  engine.stopCommands();
  for (const { live } of engine.ledger.entries) {
    for (const { runner } of live) runner?.abandon();
  }
  await engine.untilIdle();
  for (const { live } of engine.ledger.entries) {
    for (const half of live) engine.closeDriver(half);
  }
  await engine.untilIdle();
  await engine.nodes.close();
}

async function takeUpAll(engine: Engine): Promise<void> {
  const { store, identity } = engine.options;
  const directory = await readDirectory(store);
  await engine.ledger.prime(ENGINE_STREAM);
  await engine.nodes.read();
  for (const txn of directory.txns) engine.ledger.adopt(txn);
  const { version, runtime, pid } = identity;
  await engine.writeEngine("EngineOpened", { version, runtime, pid, isRunning: engine.isRunning });
  const isNeeded = engine.isRunning || engine.ledger.entries.some(({ head }) => isClosing(head));
  if (isNeeded) await engine.nodes.rebuild();
  let underWay: Promise<void>[] = [];
  for (const entry of engine.ledger.entries) {
    // Without running jobs, what was decided is still driven to its end: verbs wait for that.
    if (engine.isRunning || isClosing(entry.head)) {
      underWay.push((await takeUp(engine, entry)).durable);
    } else engine.goOn(entry);
    if (underWay.length < TAKEN_UP_AT_ONCE) continue;
    await Promise.all(underWay);
    underWay = [];
  }
  await Promise.all(underWay);
}

/** Resolves when it is decided, with a promise of its commit, which many share. */
async function takeUp(
  engine: Engine,
  entry: TxnEntry,
): Promise<{ readonly durable: Promise<void> }> {
  const failures = new Map<string, JobError>();
  for (const job of entry.head.jobs) {
    const isLive = engine.isRunning && job.isStarted && job.isResumable &&
      !isCompletedStatus(job.status);
    if (isLive) await open(engine, entry, job, failures);
  }
  const cannot = (job: JobState) => failures.get(job.runId);
  const decision = decideRecovery(entry.head, cannot, engine.ledger.position);
  if (decision.events.length === 0) engine.goOn(entry);
  const durable = engine.ledger.append(decision.events, BY_ENGINE);
  // Whoever waits for all of them hears of a failure; until then it is no unhandled one.
  durable.catch(() => {});
  return { durable };
}

async function open(
  engine: Engine,
  entry: TxnEntry,
  job: JobState,
  failures: Map<string, JobError>,
): Promise<void> {
  try {
    await engine.drivers.ensure(entry.liveOf(job.runId), job);
  } catch (error) {
    failures.set(job.runId, engine.drivers.errorOf(error));
  }
}
