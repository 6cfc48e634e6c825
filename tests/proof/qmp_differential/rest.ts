/**
 * When a server is at rest: nothing changes any more until the next command.
 *
 * - A job rests where only a verb leads on, held by a speed of next to nothing, or endless.
 * - A verb that was accepted has had its effect: see `isDone`.
 */
import type { Message, Monitor } from "./monitor.ts";
import {
  type Command,
  HOLDING_SPEED_MAX,
  type JobNotes,
  type Json,
  type JsonObject,
} from "./script.ts";

/** A job as both queries tell it; those of the block layer have a speed. */
export interface JobNow {
  readonly id: string;
  readonly status: string;
  readonly info: JsonObject;
  /** What `query-block-jobs` says; undefined = it is no block job. */
  readonly blockInfo: JsonObject | undefined;
}

/** A held job that has taken no step after so long takes none: it is told of as it is. */
const FIRST_STEP_MS = 1_000;
/** What is not at rest after so long is told as restless. */
const RESTLESS_MS = 6_000;
/**
 * What one look counts as at most: more passes only where both servers wait for a processor, and a
 * server that had none has not been silent.
 */
const LOOK_MS = 60;

/** Asks for all jobs, newest first. */
export async function jobsOf(monitor: Monitor): Promise<readonly JobNow[]> {
  const [jobs, blockJobs] = await monitor.look([
    { execute: "query-jobs" },
    { execute: "query-block-jobs" },
  ]);
  const blocks = (blockJobs!.return ?? []) as readonly JsonObject[];
  return ((jobs!.return ?? []) as readonly JsonObject[]).map((info) => ({
    id: info["id"] as string,
    status: info["status"] as string,
    info,
    blockInfo: blocks.find((block) => block["device"] === info["id"]),
  }));
}

const RESTING = new Set(["paused", "standby", "ready", "concluded"]);

/** The jobs that end with one, itself included. */
function groupOf(job: JobNow, jobs: readonly JobNow[], notes: JobNotes): readonly JobNow[] {
  const ids = notes.groups.get(job.id) ?? [job.id];
  return jobs.filter(({ id }) => ids.includes(id));
}

/** What was seen so far. */
interface Looks {
  /** How long is waited. */
  readonly sinceMs: number;
  /** What the look before told. */
  readonly before: readonly JobNow[];
}

function isResting(
  job: JobNow,
  jobs: readonly JobNow[],
  notes: JobNotes,
  { sinceMs, before }: Looks,
): boolean {
  if (RESTING.has(job.status)) return true;
  const group = groupOf(job, jobs, notes);
  if (job.status === "waiting") return group.some(({ status }) => status !== "waiting");
  if (job.status === "pending") {
    return group.some(({ blockInfo }) => blockInfo?.["auto-finalize"] === false);
  }
  if (job.status !== "running") return false;
  const { speed, busy, offset, type, len } = job.blockInfo ?? {};
  const isLate = sinceMs > FIRST_STEP_MS;
  if (type === "backup" && notes.endless.has(job.id)) return Number(len) > 0 || isLate;
  if (typeof speed !== "number" || speed === 0 || speed > HOLDING_SPEED_MAX) return false;
  // Between two steps it may not be at its limit yet.
  const isStill = before.some(({ id, blockInfo }) =>
    id === job.id && blockInfo?.["offset"] === offset
  );
  return busy === false && isStill && (Number(offset) > 0 || isLate);
}

/** Which verb a command is, and on which job. */
export function verbOf(
  command: Command,
): { readonly verb: string; readonly id: string } | undefined {
  const match = /^(?:block-)?job-(pause|resume|cancel|complete)$/.exec(command.execute);
  const args = command.arguments as JsonObject | undefined;
  const id: Json | undefined = args?.["id"] ?? args?.["device"];
  if (match === null || typeof id !== "string") return undefined;
  return { verb: match[1]!, id };
}

const ENDED = new Set(["waiting", "pending", "concluded"]);

/** True if a verb that was accepted has had its effect, so that nothing of it is still to come. */
function isDone(
  { verb, id }: { readonly verb: string; readonly id: string },
  status: string | undefined,
  events: readonly string[],
  isCompleting: boolean,
): boolean {
  if (status === undefined || ENDED.has(status)) return true;
  switch (verb) {
    case "pause":
      return status === "paused" || status === "standby";
    case "resume":
      if (isCompleting && status === "ready") return false;
      return events.includes(`${id} running`) || events.includes(`${id} ready`);
    case "cancel":
      return false;
    default:
      // In standby a complete waits for the resume.
      return status !== "ready";
  }
}

/** What was asked of jobs so far and is still to be seen. */
export class Expected {
  readonly #verbs: { readonly verb: string; readonly id: string }[] = [];
  /** Jobs that end once they are resumed. */
  readonly #completing = new Set<string>();

  /** Notes a batch and its replies. */
  note(step: readonly Command[], replies: readonly Message[]): void {
    step.forEach((command, index) => {
      const verb = verbOf(command);
      if (verb === undefined || replies[index]?.error !== undefined) return;
      this.#verbs.push(verb);
      if (verb.verb === "complete") this.#completing.add(verb.id);
    });
  }

  /** Forgets what was seen. @returns true if nothing is left */
  isOver(jobs: readonly JobNow[], events: readonly string[]): boolean {
    for (const id of this.#completing) {
      if (!jobs.some((job) => job.id === id)) this.#completing.delete(id);
    }
    for (let at = this.#verbs.length - 1; at >= 0; at--) {
      const verb = this.#verbs[at]!;
      const status = jobs.find(({ id }) => id === verb.id)?.status;
      const isCompleting = this.#completing.has(verb.id);
      if (isDone(verb, status, events, isCompleting)) this.#verbs.splice(at, 1);
    }
    return this.#verbs.length === 0;
  }

  /** Forgets everything that a later batch would ask for in vain. */
  clear(): void {
    this.#verbs.length = 0;
  }
}

function statusEvents(messages: readonly Message[]): readonly string[] {
  return messages
    .filter(({ event }) => event === "JOB_STATUS_CHANGE")
    .map(({ data }) => `${data!["id"]} ${data!["status"]}`);
}

/** Waits for rest. @returns all jobs, and whether they rest */
export async function untilRest(
  monitor: Monitor,
  expected: Expected,
  notes: JobNotes,
): Promise<{ readonly jobs: readonly JobNow[]; readonly rests: boolean }> {
  let sinceMs = 0;
  let before: readonly JobNow[] = [];
  for (let lastMs = performance.now();;) {
    const count = monitor.pending.length;
    const jobs = await jobsOf(monitor);
    const nowMs = performance.now();
    sinceMs += Math.min(nowMs - lastMs, LOOK_MS);
    lastMs = nowMs;
    const isOver = expected.isOver(jobs, statusEvents(monitor.pending));
    // What came meanwhile may be younger than what was told of the jobs.
    const rests = isOver && monitor.pending.length === count &&
      jobs.every((job) => isResting(job, jobs, notes, { sinceMs, before }));
    before = jobs;
    if (rests || sinceMs > RESTLESS_MS) {
      expected.clear();
      return { jobs, rests };
    }
    await monitor.news(sinceMs < 200 ? 10 : 50);
  }
}
