/**
 * Plays the shell of a small world: asks the rules, appends what they decide, folds it, and wakes
 * parked members as the engine does.
 *
 * - One decision is one append; a crash falls between two of them.
 * - A parked member leaves its pause point only when it was woken.
 * - Every event passes `checkEvent` on its way.
 */
import {
  evolveTxn,
  initialTxn,
  type JobError,
  type JobEvent,
  type JobState,
  jobStream,
  type TxnState,
} from "../../../events/job/mod.ts";
import type {
  CreateCommand,
  DecidedEvent,
  Decision,
  VerbCommand,
} from "../../../engine/core/mod.ts";
import { type Act, actOf, ALL_MISSING } from "./actions.ts";
import { checkEvent } from "./event_checks.ts";
import { checkRecord, checkRecovery, checkSignal } from "./decision_checks.ts";
import { isParked, must, type Rules, runIdOf, type Scene, slotOf } from "./scene.ts";
import type { World } from "./world.ts";

/** Why a driver that is gone cannot go on. */
const MISSING: JobError = { errno: "ENOENT", number: 2, text: "driver is gone" };
const METADATA = { actor: "", via: "engine" } as const;

/** What one action brought about. */
export interface Step {
  /** The scene after it. */
  readonly after: Scene;
  /** The events of its append. */
  readonly events: readonly DecidedEvent[];
}

/** Performs actions by the rules. */
export class Shell {
  readonly #world: World;
  readonly #rules: Rules;

  /**
   * @param world what jobs there are
   * @param rules the rules under proof
   */
  constructor(world: World, rules: Rules) {
    this.#world = world;
    this.#rules = rules;
  }

  /** Creates the jobs of the world. */
  create(): Step {
    const { jobs, isGroup, isStarted } = this.#world;
    const plans = jobs.map((job, slot) => ({
      runId: runIdOf(slot),
      id: `job${slot}`,
      jobType: "small",
      parameters: {},
      speed: job.refused === "late" ? -1 : 0,
      autoFinalize: job.autoFinalize,
      autoDismiss: job.autoDismiss,
      callbacks: job.callbacks,
      isResumable: job.isResumable,
      ...(job.refused === "early" && { refusal: { code: "openFailed", text: "not today" } }),
    }));
    const command: CreateCommand = {
      commandId: "creation",
      verb: isGroup ? "transaction" : "create",
      subject: plans.map(({ id }) => id).join(","),
      arguments: {},
      plans,
      groupId: isGroup ? "group" : null,
      rollbackId: "undone",
      isStarted,
    };
    const decision = this.#rules.decideCreate(command, new Set(), 0);
    const made = decision.txns[0]!;
    const before = { txn: initialTxn(made.txnId, made.isGroup), entered: 0, isOnline: true };
    return this.#append(before, decision);
  }

  /**
   * Performs one action.
   *
   * @param scene the scene before
   * @param code the action
   * @param position last position of the log
   * @throws {Violation} when a promise is broken; whatever the rules throw
   */
  perform(scene: Scene, code: number, position: number): Step {
    const act = actOf(code);
    switch (act.kind) {
      case "verb":
        return this.#verb(scene, act, code, position);
      case "reopen":
        return this.#reopen(scene, code & 7, position);
      case "reopenOffline":
        return this.#reopenOffline(scene, position);
      default:
        return this.#report(scene, act, code & 7, position);
    }
  }

  #verb(scene: Scene, act: Act & { kind: "verb" }, code: number, position: number): Step {
    const slot = code & 7;
    const command: VerbCommand = {
      commandId: `command-${code}`,
      verb: act.verb,
      runId: runIdOf(slot),
      subject: `job${slot}`,
      arguments: {},
      ...act.given,
    };
    const decision = this.#rules.decideVerb(scene.txn, command, position);
    const step = this.#append(scene, decision, position);
    checkRecord(scene, command, decision, step.after);
    return step;
  }

  #report(scene: Scene, act: Act, slot: number, position: number): Step {
    const decision = this.#decide(scene, act, slot, position);
    checkSignal(decision);
    return this.#append(scene, decision, position);
  }

  #decide({ txn }: Scene, act: Act, slot: number, position: number): Decision {
    const runId = runIdOf(slot);
    const rules = this.#rules;
    switch (act.kind) {
      case "signal":
        return rules.decideSignal(txn, runId, act.signal, position);
      case "callback": {
        const due = rules.dueWork(txn);
        must(due?.kind === "callback" && due.runId === runId, "Another callback is due");
        const signal = { kind: "callbackReturned", callback: due.callback } as const;
        const failed = act.fails ? { error: MISSING } : {};
        return rules.decideSignal(txn, runId, { ...signal, ...failed }, position);
      }
      case "stopped":
        return rules.decideStopped(txn, runId, position);
      case "step":
        return written(runId, "StepTaken", { kind: "copy", offset: 0, length: 1 });
      default:
        return written(runId, "CheckpointTaken", { resumeFrom: null });
    }
  }

  /** The process died; what it had woken and asked for is gone, and the log is opened again. */
  #reopen(scene: Scene, missing: number, position: number): Step {
    const cannot = (job: JobState) =>
      missing === ALL_MISSING || slotOf(job.runId) === missing ? MISSING : undefined;
    const decision = this.#rules.decideRecovery(scene.txn, cannot, position);
    const reopened = { txn: scene.txn, entered: 0, isOnline: true };
    const { after, events } = this.#append(reopened, decision, position);
    checkSignal(decision);
    checkRecovery(scene.txn, after.txn, cannot);
    return { after: { ...after, entered: this.#wokenAtStart(after.txn) }, events };
  }

  /** Without running jobs only a closing sequence is taken up. */
  #reopenOffline({ txn }: Scene, position: number): Step {
    const offline = { txn, entered: 0, isOnline: false };
    if (!this.#rules.isClosing(txn)) return { after: offline, events: [] };
    const decision = this.#rules.decideRecovery(txn, () => undefined, position);
    const step = this.#append(offline, decision, position);
    checkSignal(decision);
    checkRecovery(txn, step.after.txn, () => MISSING);
    return step;
  }

  /** A recovered job that has no reason to be paused leaves its pause point by itself. */
  #wokenAtStart(txn: TxnState): number {
    let entered = this.#due(txn);
    txn.jobs.forEach((job, slot) => {
      if (isParked(job) && (job.pauseCount === 0 || job.isForceCancelled)) entered |= 1 << slot;
    });
    return entered;
  }

  #append(scene: Scene, decision: Decision, position = 0): Step {
    const { events } = decision;
    let { txn, entered } = scene;
    for (const event of events) {
      position += 1;
      const { cause } = event;
      must(cause === undefined || cause < position, `${event.type} precedes its cause`);
      const before = txn;
      txn = evolveTxn(before, recorded(event, position));
      checkEvent(before, event, txn);
      entered = wake(entered, event, txn);
    }
    if (events.length > 0 && scene.isOnline) entered |= this.#due(txn);
    return { after: { txn, entered, isOnline: scene.isOnline }, events };
  }

  #due(txn: TxnState): number {
    const due = this.#rules.dueWork(txn);
    return due?.kind === "enter" ? 1 << slotOf(due.runId) : 0;
  }
}

function written(runId: string, type: DecidedEvent["type"], data: DecidedEvent["data"]): Decision {
  const events = [{ stream: jobStream(runId), type, data }];
  return { events, answer: { kind: "accepted" } };
}

/** An event as the appender would record it. */
export function recorded(event: DecidedEvent, position: number): JobEvent {
  const { stream, type, data } = event;
  const head = { position, stream, version: 1, type, schema: 1, time: 0 };
  return { ...head, data, metadata: METADATA } as unknown as JobEvent;
}

/** Which members stand woken at their pause point, after one event. */
function wake(entered: number, event: DecidedEvent, txn: TxnState): number {
  if (!event.stream.startsWith("job-")) return entered;
  const slot = slotOf(event.stream.slice(4));
  const bit = 1 << slot;
  switch (event.type) {
    case "JobPaused":
      return entered & ~bit;
    case "JobResumeRequested":
      return txn.jobs[slot]!.pauseCount === 0 ? entered | bit : entered;
    case "JobCancelRequested":
      return (event.data as { by: string }).by === "group" ? entered : entered | bit;
    default:
      return entered;
  }
}
