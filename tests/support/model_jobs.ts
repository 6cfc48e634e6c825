/**
 * A reference model of jobs: what a reader of QEMU's rules expects to see once all is quiet.
 *
 * It shares no code with the engine and knows no events, no queues and no callbacks: a job is a
 * handful of variables, and every verb runs to its end at once. Jobs work in units: one at once,
 * then one after each sleep of 10 ms.
 */

/** What a modelled job is like. */
export interface ModelPlan {
  /** Its id. */
  readonly id: string;
  /** Units of work. */
  readonly steps: number;
  /** `mirror` becomes ready after its work, `failing` fails then. */
  readonly kind: "plain" | "mirror" | "failing";
  /** True = its prepare fails. */
  readonly isUnprepared: boolean;
  /** False = waits in pending. */
  readonly autoFinalize: boolean;
  /** False = stays concluded. */
  readonly autoDismiss: boolean;
}

/** What can be compared with an engine. */
export interface ModelView {
  /** Its id. */
  readonly id: string;
  /** Where it stands. */
  readonly status: string;
  /** Its return code. */
  readonly ret: number;
  /** Whether a user's pause is in force. */
  readonly isUserPaused: boolean;
  /** Units done. */
  readonly done: number;
}

const ECANCELED = -125;
const SLEEP_MS = 10;

/** Statuses in which each verb is heard. */
const HEARD: { readonly [verb: string]: readonly string[] } = {
  pause: ["created", "running", "paused", "ready", "standby"],
  resume: ["created", "running", "paused", "ready", "standby"],
  "set-speed": ["created", "running", "paused", "ready", "standby"],
  cancel: ["created", "running", "paused", "ready", "standby", "waiting", "pending"],
  complete: ["ready", "standby"],
  finalize: ["pending"],
  dismiss: ["concluded"],
  start: ["created"],
};

class ModelJob {
  status = "created";
  ret = 0;
  done = 0;
  isUserPaused = false;
  isStarted = false;
  isForced = false;
  isSoft = false;
  isToComplete = false;
  wakesAt = Infinity;
  wakeOrder = 0;

  constructor(readonly plan: ModelPlan) {}

  get isOver(): boolean {
    return this.status === "concluded" || this.status === "null";
  }

  get hasEnded(): boolean {
    return this.isOver || ["waiting", "pending", "aborting"].includes(this.status);
  }
}

/** Jobs that were created together. */
export class ModelJobs {
  readonly #jobs: readonly ModelJob[];
  readonly #isGroup: boolean;
  #nowMs = 0;
  #orderCount = 0;

  /** @param isGroup whether they end together */
  constructor(plans: readonly ModelPlan[], isGroup: boolean) {
    this.#jobs = plans.map((plan) => new ModelJob(plan));
    this.#isGroup = isGroup;
  }

  /** What is to be seen, oldest first, dismissed jobs left out. */
  view(): readonly ModelView[] {
    return this.#jobs.filter(({ status }) => status !== "null")
      .map(({ plan: { id }, status, ret, isUserPaused, done }) => {
        return { id, status, ret, isUserPaused, done };
      });
  }

  /** Lets time pass. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const next = this.#jobs.filter(({ wakesAt }) => wakesAt <= endMs)
        .sort((a, b) => a.wakesAt - b.wakesAt || a.wakeOrder - b.wakeOrder)[0];
      if (next === undefined) break;
      this.#nowMs = next.wakesAt;
      this.#goOn(next);
    }
    this.#nowMs = endMs;
  }

  /** Sends a verb. @returns the code of the refusal, or `ok` */
  verb(id: string, verb: string, isForced = true): string {
    const job = this.#jobs.find(({ plan, status }) => plan.id === id && status !== "null");
    if (job === undefined) return "unknownJob";
    if (verb === "resume" && !job.isUserPaused) return "notPaused";
    if (verb === "cancel" && !isForced && job.isUserPaused) return "currentlyPaused";
    if (!HEARD[verb]!.includes(job.status)) return "verbRefused";
    if (verb === "pause" && job.isUserPaused) return "alreadyPaused";
    if (verb === "complete" && (job.isSoft || job.isForced)) return "notCompletable";
    this.#apply(job, verb, isForced);
    return "ok";
  }

  #apply(job: ModelJob, verb: string, isForced: boolean): void {
    if (verb === "start") {
      job.isStarted = true;
      job.status = "running";
      this.#goOn(job);
    } else if (verb === "pause") {
      job.isUserPaused = true;
      if (job.isStarted) this.#goOn(job);
    } else if (verb === "resume") {
      job.isUserPaused = false;
      if (job.isStarted) this.#goOn(job);
    } else if (verb === "set-speed") {
      if (job.status === "running") this.#goOn(job);
    } else if (verb === "cancel") {
      const isSoft = !isForced && job.status === "ready";
      if (!isSoft) this.#cancel(job);
      else {
        job.isSoft = true;
        this.#goOn(job);
      }
    } else if (verb === "complete") {
      job.isToComplete = true;
      if (job.status === "ready") this.#goOn(job);
    } else if (verb === "finalize") this.#finalize(this.#groupOf(job));
    else job.status = "null";
  }

  /** A job is entered: it goes on to its next rest. */
  #goOn(job: ModelJob): void {
    job.wakesAt = Infinity;
    if (job.status === "paused" || job.status === "standby") {
      job.status = job.status === "paused" ? "running" : "ready";
    }
    if (job.isUserPaused) {
      job.status = job.status === "running" ? "paused" : "standby";
    } else if (job.status === "ready") {
      if (job.isSoft || job.isToComplete) this.#end(job, 0);
    } else if (job.done < job.plan.steps) {
      job.done += 1;
      job.wakesAt = this.#nowMs + SLEEP_MS;
      job.wakeOrder = this.#orderCount++;
    } else if (job.plan.kind === "mirror") job.status = "ready";
    else this.#end(job, job.plan.kind === "failing" ? -5 : 0);
  }

  #end(job: ModelJob, ret: number): void {
    if (ret !== 0) return this.#abort(job, ret);
    job.status = "waiting";
    const group = this.#groupOf(job);
    if (!group.every(({ hasEnded }) => hasEnded)) return;
    for (const member of group) member.status = "pending";
    if (group.every(({ plan }) => plan.autoFinalize)) this.#finalize(group);
  }

  #cancel(job: ModelJob): void {
    this.#abort(job, ECANCELED);
  }

  /** One fails; the others of its group are cancelled. */
  #abort(job: ModelJob, ret: number): void {
    job.ret = ret;
    for (const member of this.#groupOf(job)) {
      member.wakesAt = Infinity;
      member.isForced = member !== job || ret === ECANCELED;
      member.isUserPaused = false;
      if (member.ret === 0) member.ret = ECANCELED;
      this.#conclude(member);
    }
  }

  #finalize(group: readonly ModelJob[]): void {
    const failing = group.findLast(({ plan }) => plan.isUnprepared);
    if (failing !== undefined) return this.#abort(failing, -1);
    for (const member of group) this.#conclude(member);
  }

  #conclude(job: ModelJob): void {
    job.status = job.plan.autoDismiss || !job.isStarted ? "null" : "concluded";
  }

  #groupOf(job: ModelJob): readonly ModelJob[] {
    return this.#isGroup ? this.#jobs : [job];
  }
}
