/**
 * The second part of a run: the faults have stopped, and everything has to come to an end.
 */
import { type JobState } from "../../events/job/mod.ts";
import type { Command } from "./commands.ts";
import type { Simulation } from "./simulation.ts";

/** Rounds in which each job is sent what its status asks for. */
const ROUNDS_MAX = 60;
/** Rounds after which a job is no longer asked to complete. */
const PATIENT_ROUNDS = 5;

/** Brings all jobs to their end, closes, and opens once more. */
export async function bringToEnd(simulation: Simulation): Promise<void> {
  const { judge, clients, facts, chance } = simulation;
  await simulation.calm();
  for (let round = 0; round < ROUNDS_MAX && judge.breach === undefined; round++) {
    simulation.process.checkQuiet();
    const { joblog, life } = simulation.process;
    const jobs = joblog.jobs();
    if (jobs.length === 0) break;
    for (const job of jobs) clients.send(joblog, life, nextOf(job, round), "ending");
    await simulation.settle();
    simulation.process.check();
  }
  if (judge.breach !== undefined) return;
  judge.check(simulation.process.joblog.jobs().length === 0, "the jobs do not end");
  const { process } = simulation;
  await simulation.subscribers.catchUp(process.store, process.life, () => simulation.settle());
  const isInternalLeft = facts.directory.txns.length > 0;
  await simulation.close(process, isInternalLeft || chance.isOneIn(2) ? "cancel" : "park");
  if (judge.breach !== undefined) return;
  await simulation.reopen();
  simulation.process.check();
  judge.check(facts.directory.txns.length === 0, "something is unfinished in the end");
  const last = simulation.process;
  await simulation.subscribers.catchUp(last.store, last.life, () => simulation.settle());
  await simulation.close(last, "park");
  clients.checkAll();
}

const RESUMABLE: readonly string[] = ["running", "paused", "ready", "standby"];

/** The verb that takes a job towards its end; one that will not end well is cancelled. */
function nextOf(job: JobState, round: number): Command {
  const { id, status, isUserPaused, callbacks } = job;
  const isCompletable = callbacks.includes("complete") && round < PATIENT_ROUNDS;
  const verb = status === "created"
    ? "start"
    : isUserPaused && RESUMABLE.includes(status)
    ? "resume"
    : status === "ready" && isCompletable
    ? "complete"
    : status === "pending"
    ? "finalize"
    : status === "concluded"
    ? "dismiss"
    : "cancel";
  return { kind: "verb", id: id!, verb, args: {} };
}
