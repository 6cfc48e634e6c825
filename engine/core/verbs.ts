/**
 * Users' verbs on an existing job: the order of checks, the texts, the effects.
 *
 * Each accepted or refused verb leaves exactly one record; a refusal changes nothing else. Checks
 * run in the order in which they stand here, and the first that fails is the answer.
 *
 * Source: QEMU 7.2 job.c job_user_pause, job_user_resume, job_user_cancel, job_complete,
 * job_finalize, job_dismiss; blockdev.c qmp_block_job_cancel; blockjob.c block_job_set_speed;
 * QEMU 8.2 blockjob.c block_job_change_locked.
 */
import type { JsonObject } from "../../events/log/event.ts";
import {
  acceptsVerb,
  type JobState,
  jobStream,
  type JobVerb,
  nameOf,
  type TxnState,
} from "../../events/job/mod.ts";
import { abortTxn, advance, cancelAsync, complete } from "./converge.ts";
import { ACCEPTED, type Answer, type Decision, Draft } from "./draft.ts";
import {
  ALREADY_PAUSED,
  CHANGE_UNSUPPORTED,
  changeRefused,
  currentlyPaused,
  INVALID_SPEED,
  NOT_PAUSED,
  notCompletable,
  type Refusal,
  refusedByTable,
} from "./refusals.ts";

/** A verb on one job, with what only its live driver can say. */
export interface VerbCommand {
  /** Unique id; the causation of the verb's effects. */
  readonly commandId: string;
  /** The verb; `start` starts a created job. */
  readonly verb: JobVerb | "start";
  /** The job. */
  readonly runId: string;
  /** The id as the user wrote it. */
  readonly subject: string;
  /** The arguments as they came, for the record. */
  readonly arguments: JsonObject;
  /** For `cancel`. @default true */
  readonly force?: boolean;
  /** For `set-speed`: bytes per second, 0 = unlimited. */
  readonly speed?: number;
  /** For `cancel`: the driver would complete instead of stopping. @default false */
  readonly canCancelSoftly?: boolean;
  /** For `complete`: the driver's own refusal. */
  readonly completeRefusal?: string;
  /** For `change`: the parameters that become others, empty = none; absent = it cannot be done. */
  readonly changed?: JsonObject;
  /** For `change`: why the kind of job refuses it. */
  readonly changeRefusal?: string;
}

type Check = (job: JobState, command: VerbCommand) => Refusal | undefined;
type Effect = (draft: Draft, job: JobState, command: VerbCommand) => void;

function byTable(verb: JobVerb): Check {
  return (job) =>
    acceptsVerb(job.status, verb) ? undefined : refusedByTable(nameOf(job), job.status, verb);
}

const cannotSpeed: Check = (_job, { speed }) =>
  speed === undefined || speed < 0 ? INVALID_SPEED : undefined;

const cannotComplete: Check = (job, { completeRefusal }) => {
  if (job.isCancelRequested || !job.callbacks.includes("complete")) return notCompletable(job);
  if (completeRefusal === undefined) return undefined;
  return { code: "notCompletable", text: completeRefusal };
};

const cannotChange: Check = (_job, { changed, changeRefusal }) => {
  if (changeRefusal !== undefined) return changeRefused(changeRefusal);
  return changed === undefined ? CHANGE_UNSUPPORTED : undefined;
};

const notCreated: Check = (job) =>
  job.status === "created" ? undefined : {
    code: "verbRefused",
    text: `Cannot start job '${nameOf(job)}': it is in state '${job.status}'`,
  };

/** The checks of each verb, in order of precedence. */
export const VERB_CHECKS: { readonly [V in VerbCommand["verb"]]: readonly Check[] } = {
  start: [notCreated],
  pause: [byTable("pause"), (job) => job.isUserPaused ? ALREADY_PAUSED : undefined],
  resume: [
    (job) => job.isUserPaused && job.pauseCount > 0 ? undefined : NOT_PAUSED,
    byTable("resume"),
  ],
  cancel: [
    (job, { force }) => job.isUserPaused && force === false ? currentlyPaused(job) : undefined,
    byTable("cancel"),
  ],
  complete: [byTable("complete"), cannotComplete],
  finalize: [byTable("finalize")],
  dismiss: [byTable("dismiss")],
  "set-speed": [byTable("set-speed"), cannotSpeed],
  change: [byTable("change"), cannotChange],
};

const EFFECTS: { readonly [V in VerbCommand["verb"]]: Effect } = {
  start: (draft, job) => draft.onJob(job.runId, "JobStarted", {}),
  pause: (draft, job) => draft.onJob(job.runId, "JobPauseRequested", { by: "user" }),
  resume(draft, job) {
    if (job.ioStatus !== "ok") {
      draft.onJob(job.runId, "IoStatusChanged", { before: job.ioStatus, after: "ok" });
    }
    draft.onJob(job.runId, "JobResumeRequested", { by: "user" });
  },
  cancel: cancel,
  complete: (draft, job) => draft.onJob(job.runId, "JobCompleteRequested", {}),
  finalize(draft) {
    draft.onTxn("TxnFinalizing", { by: "verb" });
    advance(draft);
  },
  dismiss: (draft, job) => draft.onJob(job.runId, "JobDismissed", {}),
  "set-speed"(draft, job, { speed }) {
    draft.onJob(job.runId, "JobSpeedChanged", { before: job.speed, after: speed! });
  },
  change(draft, job, { changed }) {
    const after = changed ?? {};
    const keys = Object.keys(after);
    if (keys.length === 0) return;
    const before = Object.fromEntries(keys.map((key) => [key, job.parameters[key] ?? null]));
    draft.onJob(job.runId, "JobParametersChanged", { before, after });
  },
};

function isForced(job: JobState, command: VerbCommand): boolean {
  return command.force !== false || command.canCancelSoftly !== true ||
    !job.isStarted;
}

function cancel(draft: Draft, job: JobState, command: VerbCommand): void {
  const force = isForced(job, command);
  cancelAsync(draft, job.runId, { force, by: "user" });
  if (!job.isStarted) complete(draft, job.runId);
  else if (job.hasRunReturned && force) {
    abortTxn(draft, job.runId);
    advance(draft);
  }
}

/** Verbs whose answer follows once the whole transaction is over. */
function isAnsweredLater(job: JobState, command: VerbCommand): boolean {
  if (command.verb === "finalize") return true;
  if (command.verb !== "cancel") return false;
  return !job.isStarted || (job.hasRunReturned && isForced(job, command));
}

/**
 * Decides a verb.
 *
 * @param txn the transaction of the job, at the head, not in its closing sequence
 * @param command the verb and its arguments
 * @param position last position of the head
 * @returns the record, the effects, and the answer
 */
export function decideVerb(txn: TxnState, command: VerbCommand, position: number): Decision {
  const draft = new Draft(txn, position);
  const job = draft.job(command.runId);
  const stream = jobStream(job.runId);
  const { commandId, verb, subject } = command;
  const record = { commandId, verb, subject, arguments: command.arguments, status: job.status };
  const refusal = firstRefusal(job, command);
  if (refusal !== undefined) {
    draft.add(stream, "VerbRefused", { ...record, code: refusal.code, text: refusal.text });
    return { events: draft.events, answer: { kind: "refused", refusal } };
  }
  const later = isAnsweredLater(job, command);
  draft.add(stream, "VerbAccepted", later ? { ...record, isAnsweredLater: true } : record);
  EFFECTS[verb](draft, job, command);
  const answer: Answer = later ? { kind: "later" } : ACCEPTED;
  return { events: draft.events, answer };
}

function firstRefusal(job: JobState, command: VerbCommand): Refusal | undefined {
  for (const check of VERB_CHECKS[command.verb]) {
    const refusal = check(job, command);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}
