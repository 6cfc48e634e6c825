/**
 * The rules of the job machine in memory, with a scripted shell: for tests by given, when, then.
 *
 * - It plays the shell's part: it enters jobs, reports pause points, calls the closing callbacks
 *   that `dueWork` names, and holds commands back while a transaction closes. With
 *   `isByHand` it reports and calls nothing until `settle` is called.
 * - Nothing runs, sleeps or is stored.
 */
import {
  type CallbackName,
  errnoError,
  type ErrorPolicy,
  type IoOperation,
  type JobError,
  type JobVerb,
  memberOf,
} from "../../events/job/mod.ts";
import {
  type Answer,
  decideCreate,
  decideRecovery,
  decideSignal,
  decideVerb,
  dueWork,
  isClosing,
  isPauseWanted,
  type Refusal,
  type Signal,
  type VerbCommand,
} from "../../engine/core/mod.ts";
import { MachineLog } from "./machine_log.ts";

/** One job and how its driver behaves. */
export interface JobScript {
  /** Its id; null = internal. */
  readonly id: string | null | undefined;
  /** Callbacks that the driver has. */
  readonly callbacks?: readonly CallbackName[];
  /** Errno names that callbacks fail with. */
  readonly failing?: { readonly [C in CallbackName]?: string };
  /** Bytes per second. */
  readonly speed?: number;
  /** False = waits in pending. */
  readonly autoFinalize?: boolean;
  /** False = stays concluded. */
  readonly autoDismiss?: boolean;
  /** True = goes on after a crash. */
  readonly isResumable?: boolean;
  /** True = a soft cancel completes the job once it is ready, as a mirror does. */
  readonly isSoft?: boolean;
  /** True = does not return by itself when it is told to complete or to stop. */
  readonly lingers?: boolean;
  /** The driver's own refusal of `complete`. */
  readonly completeRefusal?: string;
  /** A refusal found before the job is created. */
  readonly refusal?: Refusal;
}

/** How jobs are created. */
export interface CreateOptions {
  /** True = they end together. */
  readonly isGrouped?: boolean;
  /** False = they stay created. */
  readonly isStarted?: boolean;
  /** Recorded verb. */
  readonly verb?: "create" | "transaction";
}

/** Arguments of verbs. */
export type VerbArguments = Pick<VerbCommand, "force" | "speed">;

interface QueuedVerb {
  readonly runId: string;
  readonly command: VerbCommand;
}

/** The machine. */
export class Machine extends MachineLog {
  readonly #isByHand: boolean;
  readonly #scripts = new Map<string, JobScript>();
  readonly #entered: string[] = [];
  readonly #held: QueuedVerb[] = [];
  #nameCount = 0;

  /** @param options `isByHand`: the shell acts only in `settle` */
  constructor(options: { readonly isByHand?: boolean } = {}) {
    super();
    this.#isByHand = options.isByHand ?? false;
  }

  /** Creates jobs; a single script is one `create`. */
  create(scripts: readonly JobScript[], options: CreateOptions = {}): Answer {
    const { isGrouped = false, isStarted = true } = options;
    const verb = options.verb ?? (scripts.length === 1 && !isGrouped ? "create" : "transaction");
    const plans = scripts.map((script) => {
      const runId = this.#name("run");
      this.#scripts.set(runId, script);
      const { callbacks = [], speed = 0, autoFinalize = true, autoDismiss = true } = script;
      const { isResumable = false, refusal } = script;
      const settings = { callbacks, speed, autoFinalize, autoDismiss, isResumable };
      const plan = { runId, id: script.id, jobType: "scripted", parameters: {}, ...settings };
      return refusal === undefined ? plan : { ...plan, refusal };
    });
    const inUse = this.jobs().filter((job) => job.status !== "null").map((job) => job.id ?? "");
    const decision = decideCreate(
      {
        commandId: this.#name("command"),
        verb,
        subject: scripts.map(({ id }) => String(id)).join(","),
        arguments: {},
        plans,
        groupId: isGrouped ? this.#name("group") : null,
        rollbackId: this.#name("group"),
        isStarted,
      },
      new Set(inUse),
      this.position,
    );
    this.record(undefined, decision);
    this.#settleUnlessByHand();
    return decision.answer;
  }

  /** Sends a verb to the newest job of an id. */
  verb(id: string, verb: JobVerb | "start", given: VerbArguments = {}): Answer {
    const { runId } = this.job(id);
    const command: VerbCommand = {
      commandId: this.#name("command"),
      verb,
      runId,
      subject: id,
      arguments: { ...given },
      ...given,
    };
    if (isClosing(this.txnOf(runId))) {
      this.#held.push({ runId, command });
      return { kind: "later" };
    }
    return this.#decide(command);
  }

  /** Sends a verb and gives the text of its refusal; undefined = accepted. */
  refusal(id: string, verb: JobVerb | "start", given: VerbArguments = {}): string | undefined {
    const answer = this.verb(id, verb, given);
    return answer.kind === "refused" ? answer.refusal.text : undefined;
  }

  /** Reports a signal of a job. */
  signal(id: string, signal: Signal): void {
    this.#signal(this.job(id).runId, signal);
    this.#settleUnlessByHand();
  }

  /** The job's `run` ends, well or with an errno. */
  finish(id: string, errno?: string): void {
    this.signal(id, returned(errno === undefined ? undefined : errnoError(errno)));
  }

  /** The job's driver meets an I/O error. */
  fail(id: string, policy: ErrorPolicy, errno = "EIO", operation: IoOperation = "read"): void {
    this.signal(id, { kind: "errorRaised", policy, operation, error: errnoError(errno) });
  }

  /** Takes up what a machine before left behind. */
  recover(): void {
    for (const [txnId, txn] of [...this.txns]) {
      this.record(txnId, decideRecovery(txn, () => undefined, this.position));
    }
    this.#settleUnlessByHand();
  }

  /** A machine that knows the first events of this one, and its drivers, but runs nothing yet. */
  restarted(position: number): Machine {
    const next = new Machine({ isByHand: this.#isByHand });
    for (const [runId, script] of this.#scripts) next.#scripts.set(runId, script);
    next.#nameCount = this.#nameCount;
    for (const event of this.events.slice(0, position)) next.take(event);
    next.appends.push(...this.appends.filter((end) => end <= position));
    return next;
  }

  /** Does all that the shell has to do. */
  settle(): void {
    while (this.step());
  }

  /** Does one thing that the shell has to do; false = there is none. */
  step(): boolean {
    return this.#reachPausePoint() || this.#enterOne() || this.#callOne() || this.#answerHeld();
  }

  #settleUnlessByHand(): void {
    if (!this.#isByHand) this.settle();
  }

  #reachPausePoint(): boolean {
    const job = this.jobs().find(isPauseWanted);
    if (job === undefined) return false;
    this.#signal(job.runId, { kind: "pausePointReached" });
    return true;
  }

  #enterOne(): boolean {
    const runId = this.#entered.shift();
    if (runId === undefined) return false;
    this.#signal(runId, { kind: "pausePointLeft" });
    const job = memberOf(this.txnOf(runId), runId)!;
    const isRunning = job.status === "running" || job.status === "ready";
    const isTold = job.isForceCancelled ||
      job.status === "ready" && (job.isCancelRequested || job.isCompleteRequested);
    const stays = this.#scripts.get(runId)?.lingers === true || isPauseWanted(job);
    if (isRunning && isTold && !stays) this.#signal(runId, returned(undefined));
    return true;
  }

  #callOne(): boolean {
    for (const txn of this.txns.values()) {
      const due = dueWork(txn);
      if (due === undefined) continue;
      const { runId } = due;
      if (due.kind === "callback") {
        const errno = this.#scripts.get(runId)?.failing?.[due.callback];
        const error = errno === undefined ? {} : { error: errnoError(errno) };
        this.#signal(runId, { kind: "callbackReturned", callback: due.callback, ...error });
        return true;
      }
      if (this.#scripts.get(runId)?.lingers === true) continue;
      this.#entered.push(runId);
      return true;
    }
    return false;
  }

  #answerHeld(): boolean {
    const index = this.#held.findIndex(({ runId }) => !isClosing(this.txnOf(runId)));
    if (index < 0) return false;
    this.#decide(this.#held.splice(index, 1)[0]!.command);
    return true;
  }

  #decide(command: VerbCommand): Answer {
    const { runId, verb } = command;
    const txn = this.txnOf(runId);
    const script = this.#scripts.get(runId);
    const { status } = memberOf(txn, runId)!;
    const canCancelSoftly = script?.isSoft === true && (status === "ready" || status === "standby");
    const { completeRefusal } = script ?? {};
    const live = completeRefusal === undefined ? {} : { completeRefusal };
    const decision = decideVerb(txn, { ...command, canCancelSoftly, ...live }, this.position);
    this.record(txn.txnId, decision);
    const job = memberOf(this.txnOf(runId), runId)!;
    const isParked = job.status === "paused" || job.status === "standby";
    const wakes = verb === "cancel" || verb === "resume" && job.pauseCount === 0 ||
      verb === "complete" && !isParked;
    if (wakes && decision.answer.kind === "accepted") this.#entered.push(runId);
    this.#settleUnlessByHand();
    return decision.answer;
  }

  #signal(runId: string, signal: Signal): void {
    const txn = this.txnOf(runId);
    this.record(txn.txnId, decideSignal(txn, runId, signal, this.position));
    const { pauseCount } = memberOf(this.txnOf(runId), runId)!;
    const isResumed = signal.kind === "resumeRequested" && pauseCount === 0;
    if (isResumed || signal.kind === "cancelled") this.#entered.push(runId);
  }

  #name(kind: string): string {
    this.#nameCount += 1;
    return `${kind}${this.#nameCount}`;
  }
}

function returned(error: JobError | undefined): Signal {
  return error === undefined ? { kind: "runReturned" } : { kind: "runReturned", error };
}
