/**
 * Everything that can happen in a small world, numbered, and which of it can happen now.
 *
 * A code is 8 x kind + argument; the argument is the member's place, or for an opening the member
 * whose driver cannot be opened (`NONE_MISSING`, `ALL_MISSING`).
 */
import {
  acceptsVerb,
  errnoError,
  type ErrorPolicy,
  internalPauses,
  isOverStatus,
  type JobState,
} from "../../../events/job/mod.ts";
import { isPauseWanted, type Signal, type VerbCommand } from "../../../engine/core/mod.ts";
import { isDriving, isEnd, isParked, type Rules, type Scene, slotOf } from "./scene.ts";
import type { Ability, JobSketch, World } from "./world.ts";

type Verb = VerbCommand["verb"];
type Given = Pick<
  VerbCommand,
  "force" | "speed" | "canCancelSoftly" | "completeRefusal" | "changed" | "changeRefusal"
>;

/** One kind of action. */
export type Act =
  | { readonly kind: "verb"; readonly verb: Verb; readonly given: Given; readonly needs?: Ability }
  | { readonly kind: "signal"; readonly signal: Signal }
  | { readonly kind: "callback"; readonly fails: boolean }
  | { readonly kind: "step" | "checkpoint" | "stopped" | "reopen" | "reopenOffline" };

/** Argument of an opening: every driver can be opened. */
export const NONE_MISSING = 3;

/** Argument of an opening: no driver can be opened. */
export const ALL_MISSING = 4;

function verb(name: Verb, given?: Given, needs?: Ability): Act {
  const act = { kind: "verb", verb: name, given: given ?? {} } as const;
  return needs === undefined ? act : { ...act, needs };
}

function signal(given: Signal): Act {
  return { kind: "signal", signal: given };
}

function error(policy: ErrorPolicy, errno: string): Act {
  return signal({ kind: "errorRaised", policy, operation: "write", error: errnoError(errno) });
}

/** Verbs and errors come first: those that change nothing are remembered by bits. */
const NAMED = {
  start: verb("start"),
  pause: verb("pause", {}, "pause"),
  resume: verb("resume"),
  cancelByForce: verb("cancel"),
  cancelSoftly: verb("cancel", { force: false, canCancelSoftly: true }, "soft"),
  cancelHard: verb("cancel", { force: false, canCancelSoftly: false }, "soft"),
  complete: verb("complete", {}, "ready"),
  completeTooEarly: verb("complete", { completeRefusal: "not now" }, "ready"),
  finalize: verb("finalize"),
  dismiss: verb("dismiss"),
  unlimit: verb("set-speed", { speed: 0 }, "speed"),
  limit: verb("set-speed", { speed: 5 }, "speed"),
  limitBelowZero: verb("set-speed", { speed: -1 }),
  change: verb("change", { changed: { mode: "other" } }, "change"),
  changeNothing: verb("change", { changed: {} }),
  changeRefused: verb("change", { changeRefusal: "not so" }),
  changeUnsupported: verb("change"),
  reportError: error("report", "EIO"),
  reportFull: error("report", "ENOSPC"),
  ignoreError: error("ignore", "EIO"),
  ignoreFull: error("ignore", "ENOSPC"),
  stopAtError: error("stop", "EIO"),
  stopAtFull: error("stop", "ENOSPC"),
  reportNotFull: error("enospc", "EIO"),
  stopOnlyAtFull: error("enospc", "ENOSPC"),
  reach: signal({ kind: "pausePointReached" }),
  leave: signal({ kind: "pausePointLeft" }),
  ready: signal({ kind: "ready" }),
  keepInStep: signal({ kind: "syncChanged", isActivelySynced: true }),
  fallBehind: signal({ kind: "syncChanged", isActivelySynced: false }),
  end: signal({ kind: "runReturned" }),
  fail: signal({ kind: "runReturned", error: errnoError("EIO", "lost") }),
  failFull: signal({ kind: "runReturned", error: errnoError("ENOSPC") }),
  nest: signal({ kind: "pauseRequested", by: "internal" }),
  unnest: signal({ kind: "resumeRequested" }),
  pauseForSpace: signal({ kind: "pauseRequested", by: "logSpace" }),
  cancelByEngine: signal({ kind: "cancelled" }),
  dismissByEngine: signal({ kind: "dismissed" }),
  callback: { kind: "callback", fails: false },
  callbackFails: { kind: "callback", fails: true },
  step: { kind: "step" },
  checkpoint: { kind: "checkpoint" },
  stopped: { kind: "stopped" },
  reopen: { kind: "reopen" },
  reopenOffline: { kind: "reopenOffline" },
} as const satisfies { readonly [name: string]: Act };

type ActName = keyof typeof NAMED;
const NAMES = Object.keys(NAMED) as readonly ActName[];

/** All kinds, by number. */
export const ACTS: readonly Act[] = Object.values(NAMED);

const KIND = Object.fromEntries(NAMES.map((name, kind) => [name, kind])) as Record<ActName, number>;
const VERB_COUNT = KIND.changeUnsupported + 1;
/** Kinds below this may be remembered as changing nothing for a member's state. */
export const LOCAL_COUNT = KIND.stopOnlyAtFull + 1;

function codeOf(name: ActName, argument: number): number {
  return KIND[name] << 3 | argument;
}

/** The kind of a code. */
export function actOf(code: number): Act {
  return ACTS[code >> 3]!;
}

/** Says in words what a code does. */
export function describeAction(code: number): string {
  const act = actOf(code);
  const argument = code & 7;
  const member = `of member ${argument}`;
  switch (act.kind) {
    case "verb":
      return `verb ${act.verb} ${JSON.stringify(act.given)} ${member}`;
    case "signal":
      return `signal ${JSON.stringify(act.signal)} ${member}`;
    case "callback":
      return `callback ${act.fails ? "fails" : "returns"} ${member}`;
    case "reopen": {
      if (argument === NONE_MISSING) return "crash, then opened for running";
      const whose = argument === ALL_MISSING ? "any member" : `member ${argument}`;
      return `crash, then opened for running without a driver for ${whose}`;
    }
    case "reopenOffline":
      return "crash, then opened without running";
    default:
      return `${act.kind} ${member}`;
  }
}

/** Lists what can happen in a scene. */
export class Choices {
  readonly #world: World;
  readonly #rules: Rules;

  /**
   * @param world bounds what can happen
   * @param rules ask them what is due
   */
  constructor(world: World, rules: Rules) {
    this.#world = world;
    this.#rules = rules;
  }

  /** Writes the codes of all that can happen into a list that the caller owns. */
  list(scene: Scene, codes: number[]): void {
    codes.length = 0;
    const { txn } = scene;
    const areVerbsTaken = !this.#rules.isClosing(txn);
    for (let slot = 0; slot < txn.jobs.length; slot++) {
      const job = txn.jobs[slot]!;
      const plan = this.#world.jobs[slot]!;
      if (areVerbsTaken) listVerbs(job, plan, slot, codes);
      if (scene.isOnline) listSignals(scene, plan, slot, codes);
      else if (isUnrun(job)) codes.push(codeOf("stopped", slot));
    }
    const due = this.#rules.dueWork(txn);
    if (due?.kind === "callback") {
      const slot = slotOf(due.runId);
      codes.push(codeOf("callback", slot));
      if (this.#world.jobs[slot]!.abilities.has("faults")) {
        codes.push(codeOf("callbackFails", slot));
      }
    }
    if (this.#world.crashes && !isEnd(scene)) this.#listOpenings(scene, codes);
  }

  #listOpenings(scene: Scene, codes: number[]): void {
    codes.push(codeOf("reopen", NONE_MISSING));
    let opened = 0;
    scene.txn.jobs.forEach((job, slot) => {
      if (!job.isResumable || !isLive(job)) return;
      opened += 1;
      codes.push(codeOf("reopen", slot));
    });
    if (opened > 1) codes.push(codeOf("reopen", ALL_MISSING));
    if (this.#world.offline && scene.isOnline) codes.push(codeOf("reopenOffline", 0));
  }

  /**
   * The next act of a world in which everybody does their part: the shell first, then drivers,
   * then users. While a transaction closes, users can do nothing and are not needed.
   *
   * @returns -1 when there is none
   */
  onward(scene: Scene): number {
    const { txn } = scene;
    const due = this.#rules.dueWork(txn);
    if (due?.kind === "callback") return codeOf("callback", slotOf(due.runId));
    if (!scene.isOnline) return this.#onwardOffline(scene);
    for (let slot = 0; slot < txn.jobs.length; slot++) {
      if (isParked(txn.jobs[slot]!) && (scene.entered >> slot & 1) === 1) {
        return codeOf("leave", slot);
      }
    }
    if (due?.kind === "enter") {
      const slot = slotOf(due.runId);
      return isDriving(txn.jobs[slot]!) ? codeOf("end", slot) : -1;
    }
    return this.#rules.isClosing(txn) ? -1 : onwardByUsers(scene);
  }

  #onwardOffline({ txn }: Scene): number {
    const slot = txn.jobs.findIndex(isUnrun);
    return slot >= 0 ? codeOf("stopped", slot) : codeOf("reopen", NONE_MISSING);
  }
}

function onwardByUsers({ txn }: Scene): number {
  for (let slot = 0; slot < txn.jobs.length; slot++) {
    const job = txn.jobs[slot]!;
    if (job.status === "created") return codeOf("start", slot);
    if (isDriving(job)) return codeOf("end", slot);
    if (isParked(job) && internalPauses(job) > 0) return codeOf("unnest", slot);
    if (isParked(job) && job.isUserPaused) return codeOf("resume", slot);
    if (job.status === "pending") return codeOf("finalize", slot);
    if (job.status === "concluded") return codeOf("dismiss", slot);
  }
  return -1;
}

/** A force-cancelled job that nobody runs. */
function isUnrun(job: JobState): boolean {
  return job.isForceCancelled && job.isStarted && !job.hasRunReturned;
}

function isLive(job: JobState): boolean {
  return isDriving(job) || isParked(job);
}

function listVerbs(job: JobState, plan: JobSketch, slot: number, codes: number[]): void {
  for (let kind = 0; kind < VERB_COUNT; kind++) {
    const act = ACTS[kind] as Act & { kind: "verb" };
    const isOutOfBounds = act.needs !== undefined && !plan.abilities.has(act.needs) &&
      act.verb !== "start" && acceptsVerb(job.status, act.verb);
    if (!isOutOfBounds) codes.push(kind << 3 | slot);
  }
}

function listSignals(scene: Scene, plan: JobSketch, slot: number, codes: number[]): void {
  const job = scene.txn.jobs[slot]!;
  const { abilities } = plan;
  const add = (name: ActName) => codes.push(codeOf(name, slot));
  if (isDriving(job)) {
    if (abilities.has("errors")) {
      for (let kind = VERB_COUNT; kind < LOCAL_COUNT; kind++) codes.push(kind << 3 | slot);
    }
    if (isPauseWanted(job)) add("reach");
    if (abilities.has("ready") && job.status === "running") add("ready");
    if (abilities.has("change")) {
      add("keepInStep");
      add("fallBehind");
    }
    if (job.progress.current < plan.stepsMax) add("step");
    if (job.progress.current !== (job.checkpoint?.current ?? 0)) add("checkpoint");
  }
  if (isParked(job) && (scene.entered >> slot & 1) === 1) add("leave");
  if (isDriving(job) || (isParked(job) && abilities.has("failsOddly"))) {
    add("end");
    if (abilities.has("fails")) add("fail");
    if (abilities.has("failsOddly")) add("failFull");
  }
  if (isOverStatus(job.status)) {
    if (abilities.has("engine") && job.status === "concluded") add("dismissByEngine");
    return;
  }
  if (internalPauses(job) > 0) add("unnest");
  if (abilities.has("nested") && internalPauses(job) < 2) add("nest");
  if (abilities.has("engine")) {
    add("cancelByEngine");
    if (job.isStarted && !job.hasRunReturned && !job.isUserPaused) add("pauseForSpace");
  }
}
