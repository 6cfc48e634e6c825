/**
 * What must hold of one decision as a whole: the record of a verb, a signal, a recovery.
 *
 * Source: QEMU 7.2 job.c JobVerbTable; DESIGN.md, The log, Commands are records; The job machine.
 */
import type { JobError, JobEventData, JobState, TxnState } from "../../../events/job/mod.ts";
import type { Decision, VerbCommand } from "../../../engine/core/mod.ts";
import { must, type Scene, slotOf } from "./scene.ts";

const UNTIL_COMPLETED = "created running paused ready standby";

/** Statuses that take a verb, typed in. */
const TAKEN: { readonly [verb: string]: string } = {
  start: "created",
  cancel: `${UNTIL_COMPLETED} waiting pending`,
  pause: UNTIL_COMPLETED,
  resume: UNTIL_COMPLETED,
  "set-speed": UNTIL_COMPLETED,
  complete: "ready standby",
  finalize: "pending",
  dismiss: "concluded",
  change: UNTIL_COMPLETED,
};

/** One record a command; a refusal changes nothing; a later answer comes exactly once. */
export function checkRecord(
  { txn }: Scene,
  command: VerbCommand,
  { events, answer }: Decision,
  after: Scene,
): void {
  const { verb, commandId } = command;
  const records = events.filter(({ type }) => type === "VerbAccepted" || type === "VerbRefused");
  must(records.length === 1, `The command has ${records.length} records`);
  const data = records[0]!.data as JobEventData["VerbAccepted"];
  const job = txn.jobs[slotOf(command.runId)]!;
  must(data.commandId === commandId && data.verb === verb, "The record is of another command");
  must(data.status === job.status, `The record says ${data.status} of a job in ${job.status}`);
  if (answer.kind === "refused") {
    must(records[0]!.type === "VerbRefused" && events.length === 1, "A refusal changed something");
    must(answer.refusal.text !== "", "A refusal says nothing");
    return must(!mayTake(job, command), `${verb} was refused in ${job.status}`);
  }
  must(records[0]!.type === "VerbAccepted", "A command was accepted and recorded as refused");
  must(mayTake(job, command), `${verb} was accepted in ${job.status}`);
  const isLater = data.isAnsweredLater === true;
  must(isLater === (answer.kind === "later"), "The record and the answer disagree");
  const isAwaited = after.txn.awaited.some((awaited) => awaited.commandId === commandId);
  const answers = events.filter(({ type }) => type === "VerbAnswered").length;
  must(isLater === isAwaited || answers === 1, "A later answer got lost");
  checkEffect(job, command, after.txn);
}

function mayTake(job: JobState, command: VerbCommand): boolean {
  const { verb, force, speed, completeRefusal } = command;
  if (!TAKEN[verb]!.split(" ").includes(job.status)) return false;
  if (verb === "change") return command.changed !== undefined;
  if (verb === "pause") return !job.isUserPaused;
  if (verb === "resume") return job.isUserPaused;
  if (verb === "cancel") return !(job.isUserPaused && force === false);
  if (verb === "set-speed") return speed! >= 0;
  if (verb !== "complete") return true;
  const isAble = job.callbacks.includes("complete") && !job.isCancelRequested;
  return isAble && completeRefusal === undefined;
}

function checkEffect(before: JobState, command: VerbCommand, txn: TxnState): void {
  const job = txn.jobs[slotOf(command.runId)]!;
  const { verb } = command;
  if (verb === "pause") must(job.isUserPaused, "A pause left no mark");
  if (verb === "resume") must(!job.isUserPaused && job.ioStatus === "ok", "A resume left a pause");
  if (verb === "change") checkChange(before, command, job);
  if (verb === "finalize") must(txn.isFinalizing, "Finalize began nothing");
  if (verb !== "cancel") return;
  const isForced = command.force !== false || command.canCancelSoftly !== true;
  if (isForced) must(job.isForceCancelled, "A force cancel left no mark");
  const isEnded = !before.isStarted || before.hasRunReturned;
  if (isEnded && isForced) must(txn.decision?.decision === "abort", "A cancel decided nothing");
  must(!job.isUserPaused || (!isForced && before.hasRunReturned), "A cancel left a user's pause");
}

function checkChange(before: JobState, { changed }: VerbCommand, job: JobState): void {
  const wanted = { ...before.parameters, ...changed };
  const isDone = JSON.stringify(job.parameters) === JSON.stringify(wanted);
  must(isDone, "A change left other parameters");
}

/** Its stream may still get the answer to a command. */
function isSameEnd(old: JobState, now: JobState): boolean {
  return old.status === now.status && old.ret === now.ret && old.outcome === now.outcome &&
    old.closed === now.closed && old.pauseCount === now.pauseCount;
}

/** Signals and recoveries leave no record of a command. */
export function checkSignal({ events, answer }: Decision): void {
  must(answer.kind === "accepted", "A signal was refused");
  for (const { type } of events) {
    must(type !== "VerbAccepted" && type !== "VerbRefused", "A signal left a command's record");
  }
}

/** Every member goes on or ends, as its driver and the group's decision allow. */
export function checkRecovery(
  before: TxnState,
  after: TxnState,
  cannot: (job: JobState) => JobError | undefined,
): void {
  if (before.decision !== null) {
    must(after.decision?.decision === before.decision.decision, "A decision was overturned");
  } else if (before.isFinalizing) {
    must(after.decision?.decision === "abort", "An undecided finalization did not abort");
  }
  before.jobs.forEach((old, slot) => {
    const now = after.jobs[slot]!;
    const isLive = ["running", "paused", "ready", "standby"].includes(now.status);
    if (old.outcome !== null) return must(isSameEnd(old, now), "A concluded member was touched");
    if (isLive) {
      const mayLive = old.isResumable && cannot(old) === undefined && !old.isForceCancelled;
      must(mayLive, `A member that cannot go on is ${now.status}`);
      must(now.status === old.status, `A resumed member went from ${old.status} to ${now.status}`);
      const pauses = now.isUserPaused ? 1 : 0;
      must(now.pauseCount === pauses, "An internal pause outlived who asked for it");
      const isKept = after.decision !== null || now.isUserPaused === old.isUserPaused;
      must(isKept, "A resumed member lost its user's pause");
      const mark = old.checkpoint?.current ?? 0;
      must(now.progress.current === mark, "A resumed member is not at its checkpoint");
    }
    must(now.status !== "created", "A member that nobody can start was left created");
  });
}
