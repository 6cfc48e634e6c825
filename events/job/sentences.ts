/**
 * What an event says, in words: one clause per type, and one sentence per cause chain.
 *
 * Clauses are in the past tense, without a full stop, and speak of `it` when the event is the
 * job's own and of its name when it is another's. A chain reads from the event to its root:
 * `a pause point was reached, because ann asked for "pause" over cli`.
 */
import type { JsonObject } from "../log/event.ts";
import { causeChain, type CauseSource } from "./causes.ts";
import type { JobError } from "./errno.ts";
import { type JobEvent, runIdOfStream } from "./events.ts";

/** Who a sentence is about and where names come from. */
export interface Speaker {
  /** Run id of the job that `it` stands for. */
  readonly runId: string;
  /** Names of other jobs. */
  readonly names: Pick<CauseSource, "nameOf">;
}

type Words = { readonly it: string; its(part: string): string; name(runId: string): string };

function wordsFor(event: JobEvent, speaker: Speaker): Words {
  const name = (runId: string) => `"${speaker.names.nameOf(runId) ?? runId}"`;
  const runId = runIdOfStream(event.stream);
  if (runId === undefined || runId === speaker.runId) {
    return { it: "it", its: (part) => `its ${part}`, name };
  }
  return { it: name(runId), its: (part) => `the ${part} of ${name(runId)}`, name };
}

/** The clause of one event. */
export function clauseOf(event: JobEvent, speaker: Speaker): string {
  const words = wordsFor(event, speaker);
  return lifeClause(event, words) ?? workClause(event, words) ?? recordClause(event, words);
}

const PAUSE_CLAUSES = {
  user: "a pause was asked for",
  policy: "the error policy asked for a pause",
  logSpace: "the disk of the log was full",
  internal: "the engine asked for a pause",
} as const;

const CANCEL_CLAUSES = {
  user: "was cancelled",
  group: "was cancelled with its group",
  engine: "was cancelled by the engine",
} as const;

function lifeClause(event: JobEvent, { it, its, name }: Words): string | undefined {
  switch (event.type) {
    case "JobCreated":
      return `${it} was created`;
    case "JobStarted":
      return `${it} was started`;
    case "JobPauseRequested":
      return PAUSE_CLAUSES[event.data.by];
    case "JobPaused":
      return `${it} reached a pause point`;
    case "JobResumeRequested":
      return event.data.by === "user" ? "the pause was ended" : "the engine ended its own pause";
    case "JobResumed":
      return `${it} left its pause point`;
    case "JobReady":
      return `${its("driver")} reported that source and target are in step`;
    case "JobCompleteRequested":
      return `${it} was asked to complete`;
    case "JobCancelRequested":
      return `${it} ${CANCEL_CLAUSES[event.data.by]}${event.data.force ? "" : " softly"}`;
    case "JobWaiting":
      return `${its("work")} ended well`;
    case "JobPending":
      return "all members ended well";
    case "JobAborting":
      return `${it} could not succeed`;
    case "JobConcluded":
      return concluded(event.data, it);
    case "JobDismissed":
      return `${it} was dismissed`;
    case "TxnFinalizing":
      return event.data.by === "auto" ? "finalization began by itself" : "finalization began";
    case "TxnDecided": {
      const { decision, trigger } = event.data;
      if (decision === "commit") return "the transaction was decided to commit";
      const account = trigger === null ? "" : ` on account of ${name(trigger)}`;
      return `the transaction was decided to abort${account}`;
    }
    default:
      return undefined;
  }
}

function concluded(
  { outcome, ret, error }: { outcome: string; ret: number; error?: JobError },
  it: string,
): string {
  if (outcome === "cancelled") return `${it} concluded as cancelled`;
  return ret === 0 ? `${it} concluded as completed` : `${it} concluded as failed${told(error)}`;
}

function told(error: JobError | undefined): string {
  return error === undefined ? "" : `: ${error.text}`;
}

function workClause(event: JobEvent, { it, its }: Words): string | undefined {
  switch (event.type) {
    case "JobSpeedChanged": {
      const { before, after } = event.data;
      return `${its("speed")} went from ${speedText(before)} to ${speedText(after)}`;
    }
    case "JobParametersChanged":
      return changes(event.data, its);
    case "JobSyncChanged":
      return event.data.isActivelySynced
        ? `${its("writes")} reach the target at once from here on`
        : `${its("writes")} no longer reached the target at once`;
    case "IoErrorHandled": {
      const { operation, policy, action, error } = event.data;
      return `policy "${policy}" answered a ${operation} error with "${action}"${told(error)}`;
    }
    case "IoStatusChanged":
      return `${its("io-status")} went from ${event.data.before} to ${event.data.after}`;
    case "StepTaken":
      return `${it} took a step (${event.data.kind})`;
    case "ProgressTotalChanged":
      return `${its("total")} became ${event.data.total}`;
    case "CheckpointTaken":
      return `${its("target")} became durable up to a checkpoint`;
    case "SourceWritten":
      return `${its("source")} was about to be written by somebody else`;
    case "ActAnnounced":
      return `${event.data.kind} of "${event.data.subject}" was announced`;
    case "ActConfirmed":
      return `${event.data.kind} of "${event.data.subject}" was done`;
    case "RunReturned":
      return event.data.ret === 0
        ? `${its("work")} ended well`
        : `${its("work")} failed${told(event.data.error)}`;
    case "PrepareReturned":
      return event.data.ret === 0
        ? `${its("prepare")} ended well`
        : `${its("prepare")} failed${told(event.data.error)}`;
    case "DriverFaulted":
      return `${its("callback")} "${event.data.callback}" threw${told(event.data.error)}`;
    default:
      return undefined;
  }
}

/** Each parameter with its value before and after. */
function changes(
  { before, after }: { readonly before: JsonObject; readonly after: JsonObject },
  its: Words["its"],
): string {
  const told = Object.keys(after).map((key) =>
    `${its(`parameter "${key}"`)} went from ${JSON.stringify(before[key])} to ` +
    JSON.stringify(after[key])
  );
  return told.join(" and ");
}

/** A speed for people: bytes per second, or `unlimited`. */
export function speedText(speed: number): string {
  return speed === 0 ? "unlimited" : `${speed} bytes per second`;
}

function recordClause(event: JobEvent, { it, its }: Words): string {
  const { actor, via } = event.metadata;
  switch (event.type) {
    case "VerbAccepted":
      return `${actor} asked for "${event.data.verb}" over ${via}`;
    case "VerbRefused":
      return `${actor} asked for "${event.data.verb}" over ${via} and was refused: ` +
        event.data.text;
    case "VerbAnswered":
      return event.data.text === undefined
        ? "the command was answered: done"
        : `the command was answered: ${event.data.text}`;
    case "JobParked":
      return `${its("process")} closed and ${it} was parked`;
    case "JobRecovered":
      return event.data.action === "resumed"
        ? `${it} was taken up again from its last checkpoint`
        : `${it} could not be taken up again after a stop of the engine`;
    case "EngineOpened":
      return "the engine opened the log";
    case "EngineClosed":
      return "the engine closed the log";
    case "LogSpaceLow":
      return "the disk of the log was full";
    default:
      return `${event.type} was recorded`;
  }
}

/** Links that say nothing once the command behind them is named. */
function isSilent(event: JobEvent): boolean {
  switch (event.type) {
    case "JobPauseRequested":
    case "JobResumeRequested":
    case "JobCancelRequested":
      return event.data.by === "user";
    case "TxnFinalizing":
      return event.data.by === "verb";
    case "JobCompleteRequested":
      return true;
    default:
      return false;
  }
}

/** An explanation: one sentence, who stands at its root, and the events behind it. */
export interface Explanation {
  /** One sentence without a full stop. */
  readonly text: string;
  /** Who stands at the root of the chain. */
  readonly actor: string;
  /** The way in of the root. */
  readonly via: JobEvent["metadata"]["via"];
  /** Causes, the direct one first. */
  readonly chain: readonly JobEvent[];
}

/** Explains one event by its cause chain. */
export function explain(event: JobEvent, runId: string, source: CauseSource): Explanation {
  const chain = causeChain(event, source);
  const root = chain.at(-1) ?? event;
  const speaker = { runId, names: source };
  const told = chain.filter((cause) => cause === root || !isSilent(cause));
  const clauses = [event, ...told].map((link) => clauseOf(link, speaker));
  if (event.type === "JobAborting" && chain.length === 0) {
    clauses[0] += `: ${event.data.error.text}`;
  }
  const distinct = clauses.filter((clause, i) => clause !== clauses[i - 1]);
  const { actor, via } = root.metadata;
  return { text: distinct.join(", because "), actor, via, chain };
}

/** An instant as text: ISO 8601 in UTC, with milliseconds. */
export function instant(ms: number): string {
  return new Date(ms).toISOString();
}
