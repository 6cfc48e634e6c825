/**
 * Where the reply to a command on a job stands among the events that the command sets off.
 *
 * QEMU runs a job that it enters until the job has to wait for I/O, and replies then. A job that
 * sleeps or is paused is entered within the command, so that what comes of it at once stands before
 * the reply: the pause of a sleeper, the going on of a paused job, the whole end of a cancelled
 * one. Here the job goes on by itself and is followed in the log; its reply waits for it, but not
 * for long: the order is a courtesy, the reply is not.
 *
 * Source: QEMU 7.2 job.c job_enter_cond, job_exit; recorded traces.
 */
import type { LiveJob, Milestone } from "../service.ts";

/**
 * What an event means for a reply: it waits on, it waits on and what it waits for is under way, or
 * it stands before it or directly behind it.
 */
export type Verdict = "wait" | "coming" | "before" | "behind";

/** How a reply waits. */
export interface Settling {
  /** Called for each event behind the answer, in order, until the verdict is not to wait. */
  judge(milestone: Milestone | undefined): Verdict;
  /** After this many milliseconds without `coming` the reply goes out in any case. */
  readonly msMax: number;
}

/** How long a reply waits, in milliseconds: for commits on a busy machine, not for slow images. */
const WAIT_MS_MAX = 1_000;
/** For a mirror under a speed limit: over zeros it may sleep long before it records a step. */
const LIMITED_WAIT_MS_MAX = 250;

type Verdicts = { readonly [W in Milestone["what"]]?: Verdict };

/** The way to the end of a job, which takes as long as its commits do. */
const ENDING = new Set<Milestone["what"]>(["waiting", "pending", "aborting", "concluded"]);

const onTheWay = ({ what }: Milestone): Verdict => ENDING.has(what) ? "coming" : "wait";

/** A reply that waits for one job by a table; what is not in it is waited through. */
function byTable(runId: string, verdicts: Verdicts): Settling {
  const judge = (milestone: Milestone | undefined) =>
    milestone?.runId === runId ? verdicts[milestone.what] ?? onTheWay(milestone) : "wait";
  return { judge, msMax: WAIT_MS_MAX };
}

/** The last event of a job that nobody but its user holds up. */
function endOf({ autoDismiss }: LiveJob): Milestone["what"] {
  return autoDismiss ? "dismissed" : "concluded";
}

/** Sooner or later such a job comes to something else. */
const ANOTHER: Verdicts = { waiting: "before", aborting: "before", parked: "before" };

/** Pieces of 1 MiB that a mirror sends off within the command, unless it has a limit. */
const MIRROR_AHEAD = 16;

/**
 * A mirror sends its first reads off within the command, and they may fail there. It is ready
 * within it only if it has nothing to read.
 */
function afterMirrorStart({ runId, speed }: LiveJob): Settling {
  let stepCount = 0;
  const judge = (milestone: Milestone | undefined): Verdict => {
    if (milestone?.runId !== runId) return "wait";
    const { what } = milestone;
    if (what === "readError" || (what === "ready" && stepCount === 0)) return "behind";
    if (what === "step") return ++stepCount < MIRROR_AHEAD && speed === 0 ? "wait" : "before";
    return what === "work" ? "wait" : "before";
  };
  return { judge, msMax: speed === 0 ? WAIT_MS_MAX : LIMITED_WAIT_MS_MAX };
}

/**
 * How the reply to a start waits: for jobs that may have nothing to do, until that shows.
 *
 * @param job as it was started; a backup always looks at its images first
 */
export function afterStart(job: LiveJob): Settling | undefined {
  if (job.type === "mirror") return afterMirrorStart(job);
  const end = { parked: "before", [endOf(job)]: "behind" } as const;
  const held = job.autoFinalize ? {} : { pending: "behind" } as const;
  const busy = { step: "before", paused: "before", writeError: "before" } as const;
  const table: { readonly [type: string]: Verdicts | undefined } = {
    create: { waiting: "before", ...end },
    stream: { ...busy, work: "before", readError: "before", ...held, ...end },
    commit: { ...busy, work: "before", readError: "before", ready: "behind", ...held, ...end },
  };
  const verdicts = table[job.type];
  return verdicts === undefined ? undefined : byTable(job.runId, verdicts);
}

const PAUSED = new Set(["paused", "standby"]);

/** True if a job sleeps, waits or is paused, as far as its state tells. */
function isAtRest({ status, speed, type, parameters }: LiveJob): boolean {
  if (PAUSED.has(status) || status === "ready") return true;
  return status === "running" &&
    (speed > 0 || (type === "backup" && parameters["sync"] === "none"));
}

/** A mirror waits for what is in flight before it ends, and so does a backup that met an error. */
function endsLater({ type, status, ioStatus, parameters }: LiveJob): boolean {
  if (type === "mirror" || status === "ready" || status === "standby") return true;
  if (type === "backup") return ioStatus !== "ok";
  // Without a top a commit is one of the active layer, which is a mirror.
  return type === "commit" && parameters["top"] === undefined &&
    parameters["top-node"] === undefined;
}

/** A cancel ends all members of a transaction within the command. */
function untilAllOver(members: readonly LiveJob[]): Settling {
  const open = members.filter(({ status }) => status !== "concluded");
  const left = new Map(open.map((job) => [job.runId, endOf(job)]));
  const judge = (milestone: Milestone | undefined): Verdict => {
    if (milestone === undefined || !left.has(milestone.runId)) return "wait";
    if (milestone.what === left.get(milestone.runId)) left.delete(milestone.runId);
    return left.size === 0 ? "behind" : onTheWay(milestone);
  };
  return { judge, msMax: WAIT_MS_MAX };
}

/**
 * How the reply to a verb waits: for a job that is at rest, until what the verb brings about at
 * once has come.
 *
 * @param job as it was before the verb
 * @param members unfinished jobs of its transaction, itself included
 */
export function afterVerb(
  verb: string,
  job: LiveJob,
  members: () => readonly LiveJob[],
): Settling | undefined {
  if (!isAtRest(job)) return undefined;
  const isPaused = PAUSED.has(job.status);
  if (verb === "pause" && !isPaused && job.pauseCount === 0) {
    return byTable(job.runId, { ...ANOTHER, paused: "behind" });
  }
  const leaves = isPaused && job.pauseCount === 1;
  if (verb === "resume" && leaves) {
    return byTable(job.runId, { ...ANOTHER, resumed: "behind" });
  }
  if (verb !== "cancel") return undefined;
  if (!endsLater(job)) return untilAllOver(members());
  if (!isPaused) return undefined;
  return byTable(job.runId, { ...ANOTHER, resumed: "behind" });
}
