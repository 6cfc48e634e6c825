/**
 * Creation: of one job, and of several in one transaction.
 *
 * A creation is one atomic decision over everything it makes:
 *
 * ```text
 * one job        JobCreated JobStarted VerbAccepted
 * bad id         VerbRefused                                   (nothing was created)
 * bad speed      JobCreated JobDismissed VerbRefused           (found after the id was taken;
 *                 so is a target that may not be written)
 * transaction    changes of the graph, JobCreated... JobStarted... VerbAccepted  (oldest first)
 * a bad member   JobCreated... [of the bad one: JobDismissed] VerbAccepted{rollback}
 *                JobAborting... JobConcluded JobDismissed VerbAnswered
 * ```
 *
 * The record of the answer stands where the reply belongs: after the events that go out before it.
 *
 * Differs from QEMU: the members of a failing transaction are undone as one group, whatever its
 * completion mode, and without waiting for each other (QEMU 7.2 hangs there).
 *
 * Source: QEMU 7.2 job.c job_create, job_start; blockdev.c qmp_transaction.
 */
import type { JsonObject } from "../../events/log/event.ts";
import {
  BEHAVIOUR,
  type CallbackName,
  ENGINE_STREAM,
  initialTxn,
  jobStream,
  txnStream,
} from "../../events/job/mod.ts";
import { abortTxn, advance } from "./converge.ts";
import { ACCEPTED, type DecidedEvent, type Decision, Draft } from "./draft.ts";
import {
  duplicateId,
  ID_REQUIRED,
  INVALID_SPEED,
  invalidId,
  isWellFormedId,
  type Refusal,
} from "./refusals.ts";

/** One job to create, after its driver has checked the parameters and opened what it needs. */
export interface JobPlan {
  /** UUIDv7 of the new life. */
  readonly runId: string;
  /** The id; null = internal job. */
  readonly id: string | null | undefined;
  /** Driver type. */
  readonly jobType: string;
  /** Checked parameters. */
  readonly parameters: JsonObject;
  /** Bytes per second; 0 = unlimited; negative is refused late, as in QEMU. */
  readonly speed: number;
  /** @default true in every way in */
  readonly autoFinalize: boolean;
  /** @default true in every way in */
  readonly autoDismiss: boolean;
  /** Callbacks that the driver has. */
  readonly callbacks: readonly CallbackName[];
  /** True if the driver can go on from a checkpoint. */
  readonly isResumable: boolean;
  /** The driver's refusal, found before the engine's own checks. */
  readonly refusal?: Refusal;
  /** True if the refusal counts only once the id is taken, as a bad speed does. @default false */
  readonly isRefusedLate?: boolean;
}

/** A creation. */
export interface CreateCommand {
  /** Unique id; the causation of everything. */
  readonly commandId: string;
  /** `create` makes one job, `transaction` any number. */
  readonly verb: "create" | "transaction";
  /** The ids, joined by commas. */
  readonly subject: string;
  /** The arguments as they came, for the record. */
  readonly arguments: JsonObject;
  /** The jobs, in the order given. */
  readonly plans: readonly JobPlan[];
  /** Group id when the jobs end together; null = each on its own. */
  readonly groupId: string | null;
  /** A group id to use if creation fails half way. */
  readonly rollbackId: string;
  /** False = the jobs stay created until `start`. */
  readonly isStarted: boolean;
  /** What stands in one append with the jobs and before them, unless refused. @default none */
  readonly changes?: readonly DecidedEvent[];
}

/** What a creation decided, with the transactions that it made. */
export interface CreateDecision extends Decision {
  /** Transactions whose events these are: id and whether it is a group. */
  readonly txns: readonly { readonly txnId: string; readonly isGroup: boolean }[];
}

/** The ids that jobs hold, concluded ones that are not dismissed included. */
export interface IdsInUse {
  /** Whether a job holds an id. */
  has(id: string): boolean;
}

/**
 * Checks one plan against the rules that come before a job exists.
 *
 * Order: the driver's checks; the id's presence and form; its uniqueness.
 */
export function earlyRefusal(plan: JobPlan, idsInUse: IdsInUse): Refusal | undefined {
  if (plan.refusal !== undefined && plan.isRefusedLate !== true) return plan.refusal;
  if (plan.id === null) return undefined;
  if (plan.id === undefined) return ID_REQUIRED;
  if (!isWellFormedId(plan.id)) return invalidId(plan.id);
  return idsInUse.has(plan.id) ? duplicateId(plan.id) : undefined;
}

interface Verdict {
  /** Plans that are created, the one refused late included. */
  readonly created: readonly JobPlan[];
  /** The refusal that ends the creation. */
  readonly refusal?: Refusal;
  /** True if the last of `created` was refused after its creation. */
  readonly isLate: boolean;
}

function judge(plans: readonly JobPlan[], idsInUse: IdsInUse): Verdict {
  const made = new Set<string>();
  const ids = { has: (id: string) => made.has(id) || idsInUse.has(id) };
  const created: JobPlan[] = [];
  for (const plan of plans) {
    const refusal = earlyRefusal(plan, ids);
    if (refusal !== undefined) return { created, refusal, isLate: false };
    created.push(plan);
    const late = plan.refusal ?? (plan.speed < 0 ? INVALID_SPEED : undefined);
    if (late !== undefined) return { created, refusal: late, isLate: true };
    if (typeof plan.id === "string") made.add(plan.id);
  }
  return { created, isLate: false };
}

/**
 * Decides a creation.
 *
 * @param command what to create
 * @param idsInUse ids that jobs hold, concluded ones that are not dismissed included
 * @param position last position of the head
 */
export function decideCreate(
  command: CreateCommand,
  idsInUse: IdsInUse,
  position: number,
): CreateDecision {
  const verdict = judge(command.plans, idsInUse);
  if (verdict.refusal === undefined) return createAll(command, position);
  if (verdict.created.length > (verdict.isLate ? 1 : 0)) {
    return rollBack(command, verdict, verdict.refusal, position);
  }
  return refuse(command, verdict, verdict.refusal, position);
}

function record(command: CreateCommand) {
  const { commandId, verb, subject } = command;
  return { commandId, verb, subject, arguments: command.arguments };
}

function createAll(command: CreateCommand, position: number): CreateDecision {
  const { plans } = command;
  const groupId = plans.length === 0 ? null : command.groupId;
  const drafts = groupId === null
    ? plans.map((plan) => new Draft(initialTxn(plan.runId, false), position))
    : [new Draft(initialTxn(groupId, true), position)];
  const draftOf = (index: number) => groupId === null ? drafts[index]! : drafts[0]!;
  const events: DecidedEvent[] = [...command.changes ?? []];
  const collect = (draft: Draft, write: () => void) => {
    const from = draft.events.length;
    write();
    events.push(...draft.events.slice(from));
  };
  if (groupId !== null) {
    const members = plans.map((plan) => plan.runId);
    collect(drafts[0]!, () => drafts[0]!.onTxn("TxnCreated", { txnId: groupId, members }));
  }
  plans.forEach((plan, i) => collect(draftOf(i), () => create(draftOf(i), plan)));
  if (command.isStarted) {
    plans.forEach((plan, i) =>
      collect(draftOf(i), () => draftOf(i).onJob(plan.runId, "JobStarted", {}))
    );
  }
  const stream = groupId !== null
    ? txnStream(groupId)
    : command.verb === "create"
    ? jobStream(plans[0]!.runId)
    : ENGINE_STREAM;
  events.push({ stream, type: "VerbAccepted", data: record(command) });
  const txns = drafts.map(({ txn: { txnId, isGroup } }) => ({ txnId, isGroup }));
  return { events, answer: ACCEPTED, txns };
}

function create(draft: Draft, plan: JobPlan): void {
  draft.onJob(plan.runId, "JobCreated", {
    runId: plan.runId,
    id: plan.id ?? null,
    jobType: plan.jobType,
    txnId: draft.txn.txnId,
    parameters: plan.parameters,
    speed: Math.max(0, plan.speed),
    autoFinalize: plan.autoFinalize,
    autoDismiss: plan.autoDismiss,
    callbacks: plan.callbacks,
    isResumable: plan.isResumable,
    behaviour: BEHAVIOUR,
  });
}

/** Nothing is left behind: a plain refusal, or created and dismissed in one breath. */
function refuse(
  command: CreateCommand,
  verdict: Verdict,
  refusal: Refusal,
  position: number,
): CreateDecision {
  const data = { ...record(command), code: refusal.code, text: refusal.text };
  const plan = verdict.created[0];
  const answer = { kind: "refused", refusal } as const;
  if (plan === undefined) {
    const events = [{ stream: ENGINE_STREAM, type: "VerbRefused", data }] as const;
    return { events, answer, txns: [] };
  }
  const draft = new Draft(initialTxn(plan.runId, false), position);
  create(draft, plan);
  draft.onJob(plan.runId, "JobDismissed", {});
  draft.onJob(plan.runId, "VerbRefused", data);
  return { events: draft.events, answer, txns: [{ txnId: plan.runId, isGroup: false }] };
}

/** Some members exist: they are cancelled before their start, newest first. */
function rollBack(
  command: CreateCommand,
  verdict: Verdict,
  refusal: Refusal,
  position: number,
): CreateDecision {
  const txnId = command.groupId ?? command.rollbackId;
  const draft = new Draft(initialTxn(txnId, true), position);
  draft.onTxn("TxnCreated", { txnId, members: verdict.created.map((plan) => plan.runId) });
  for (const plan of verdict.created) create(draft, plan);
  const { code, text } = refusal;
  const newest = verdict.created.at(-1)!;
  if (verdict.isLate) draft.onJob(newest.runId, "JobDismissed", {});
  const rollback = { code, text };
  draft.onTxn("VerbAccepted", { ...record(command), isAnsweredLater: true, rollback });
  const trigger = draft.newestFirst.find((job) => job.status === "created")!;
  draft.onJob(trigger.runId, "JobCancelRequested", { force: true, by: "engine" });
  abortTxn(draft, trigger.runId);
  advance(draft);
  return { events: draft.events, answer: { kind: "later" }, txns: [{ txnId, isGroup: true }] };
}
