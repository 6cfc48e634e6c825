/**
 * What a server did in one step, in the words in which both are compared.
 *
 * What truly may differ is taken out: times, progress of a job that is half way, generated names of
 * nodes, the folder, and the blinking of jobs that QEMU pauses while it changes the graph.
 */
import type { Message } from "./monitor.ts";
import type { JobNow } from "./rest.ts";
import { HOLDING_SPEED_MAX, type Json, type JsonObject } from "./script.ts";

/** One step of a script on one server. */
export interface StepTrace {
  /** Replies, in order. */
  readonly replies: readonly string[];
  /** Events of each job, in order. */
  readonly events: ReadonlyMap<string, readonly string[]>;
  /** Final events of all jobs that ended, in order: who is concluded before whom. */
  readonly ends: readonly string[];
  /** Final events that came before the last reply. */
  readonly early: readonly string[];
  /** All jobs at the end, newest first. */
  readonly jobs: readonly string[];
  /** All nodes at the end. */
  readonly nodes: readonly string[];
  /** False if something still moved when patience was over. */
  readonly rests: boolean;
}

function wordsOf(text: string, folder: string): string {
  return text.replaceAll(`${folder}/`, "").replace(/#block\d+/g, "#block<n>");
}

/** JSON with sorted members. */
export function canonical(value: Json | undefined): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "undefined";
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  const object = value as JsonObject;
  const members = Object.keys(object).sort().map((name) =>
    `${JSON.stringify(name)}:${canonical(object[name])}`
  );
  return `{${members.join(",")}}`;
}

/**
 * What counts of the progress of a job that is not under way: its numbers, or only whether it is
 * whole. How far one came that is cancelled on its way counts for nothing, see `isOnItsWay`.
 */
export type Exactness = "numbers" | "whole";

/** By the type of the job. */
type ExactnessOf = (type: string) => Exactness;

function progress(current: Json | undefined, total: Json | undefined, exact: Exactness): string {
  if (current !== total) return "partial";
  return exact === "numbers" || total === 0 ? `${total}/${total}` : "whole";
}

/**
 * True if a job that is cancelled was nowhere in particular: QEMU tries what failed again before it
 * stops, lets a held job take a step each time that it pauses it for somebody else, and a member
 * of a group goes on until another one has failed.
 */
function isOnItsWay(speed: Json | undefined, exact: Exactness): boolean {
  return exact === "whole" || Number(speed) > 0 && Number(speed) <= HOLDING_SPEED_MAX;
}

function replyText(message: Message, folder: string): string {
  const { error } = message;
  if (error === undefined) return `= ${wordsOf(canonical(message.return), folder)}`;
  return wordsOf(`= ${error.class}: ${error.desc}`, folder);
}

function eventText({ event, data }: Message, exactOf: ExactnessOf): readonly [string, string] {
  const { id, device, status, len, offset, error, operation, action, type, speed } = data!;
  const job = (device ?? id) as string;
  const exact = exactOf(type as string);
  switch (event) {
    case "JOB_STATUS_CHANGE":
      return [job, status as string];
    case "BLOCK_JOB_ERROR":
      return [job, `ERROR ${operation} ${action}`];
    case "BLOCK_JOB_PENDING":
      return [job, `PENDING ${type}`];
    default: {
      const failed = error === undefined ? "" : `: ${error}`;
      const words = `${event!.replace("BLOCK_JOB_", "")} ${type} speed ${speed}`;
      if (event === "BLOCK_JOB_CANCELLED" && isOnItsWay(speed, exact)) return [job, words];
      return [job, `${words} ${progress(offset, len, exact)}${failed}`];
    }
  }
}

const BLINKS: { readonly [status: string]: string } = { paused: "running", standby: "ready" };

/** Drops pairs of a pause and the return from it, and repeated errors. */
function steadied(events: readonly string[]): readonly string[] {
  const kept: string[] = [];
  for (const event of events) {
    const last = kept.at(-1);
    if (last !== undefined && BLINKS[last] === event) kept.pop();
    else if (last !== event || !event.startsWith("ERROR")) kept.push(event);
  }
  return kept;
}

const IS_END = /^(pending|PENDING|CANCELLED|COMPLETED|concluded|null)/;

/** Where a job may be anywhere on its way. */
const UNDER_WAY = new Set(["running", "paused"]);

function jobText(job: JobNow, folder: string, exactOf: ExactnessOf): string {
  const { info, blockInfo, status } = job;
  const { "current-progress": current, "total-progress": total, error, type, id } = info;
  const words = [`${id} ${type} ${status}`];
  const exact = exactOf(type as string);
  const isOpen = error === "Operation canceled" && isOnItsWay(blockInfo?.["speed"], exact);
  if (!UNDER_WAY.has(status) && !isOpen) words.push(progress(current, total, exact));
  if (error !== undefined) words.push(`error ${error}`);
  if (blockInfo !== undefined) {
    const { busy: _busy, len: _len, offset: _offset, ...later } = blockInfo;
    // Told from 8.2 on.
    const { "actively-synced": _synced, ...rest } = later;
    words.push(canonical(rest));
  }
  return wordsOf(words.join(" "), folder);
}

/** Puts what came in one step into words. */
export function traceOf(
  messages: readonly Message[],
  jobs: readonly JobNow[],
  rests: boolean,
  folder: string,
  exactOf: ExactnessOf,
): Omit<StepTrace, "nodes"> {
  const replies: string[] = [];
  const events = new Map<string, string[]>();
  const ends: string[] = [];
  let early: readonly string[] = [];
  for (const message of messages) {
    if (message.event === undefined) {
      replies.push(replyText(message, folder));
      early = [...ends];
      continue;
    }
    const [job, text] = eventText(message, exactOf);
    const words = wordsOf(text, folder);
    events.set(job, [...events.get(job) ?? [], words]);
    if (IS_END.test(words)) ends.push(`${job} ${words}`);
  }
  return {
    replies,
    events: new Map([...events].map(([job, texts]) => [job, steadied(texts)])),
    ends,
    early,
    jobs: jobs.map((job) => jobText(job, folder, exactOf)),
    rests,
  };
}
