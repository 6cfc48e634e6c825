/**
 * The log as a front with live connections sends it: followed, projected to the events of QMP, and
 * with the answers to commands marked, so that each reply finds its place among the events.
 *
 * What comes first is the event behind the position that it starts from; nothing is missed and
 * nothing comes twice.
 */
import { type JobEventData, type JobState, runIdOfStream } from "../../events/job/mod.ts";
import type { EventReader } from "../../events/log/store.ts";
import type { RecordedEvent } from "../../events/log/event.ts";
import { qmpEventsOf, type QmpMessage, qmpMessage, qmpStateOf } from "../../events/views/mod.ts";

export type { QmpMessage } from "../../events/views/mod.ts";

/** Where a job has come to, as far as replies wait for it. */
export interface Milestone {
  /** The job. */
  readonly runId: string;
  /** What has happened; `work`: it has found something to do, `step`: it has done some of it. */
  readonly what: "work" | "step" | "readError" | "writeError" | keyof typeof STATUSES;
}

/** Events that change a status, and what they are here. */
const STATUSES = {
  paused: "JobPaused",
  resumed: "JobResumed",
  ready: "JobReady",
  waiting: "JobWaiting",
  pending: "JobPending",
  aborting: "JobAborting",
  concluded: "JobConcluded",
  dismissed: "JobDismissed",
  parked: "JobParked",
} as const;

const BY_TYPE: ReadonlyMap<string, Milestone["what"]> = new Map([
  ...Object.entries(STATUSES).map(([what, type]) => [type, what as Milestone["what"]] as const),
  ["StepTaken", "step"],
]);

function whatOf({ type, data }: RecordedEvent): Milestone["what"] | undefined {
  if (type === "IoErrorHandled") {
    const { operation } = data as JobEventData["IoErrorHandled"];
    return operation === "read" ? "readError" : "writeError";
  }
  if (type !== "ProgressTotalChanged") return BY_TYPE.get(type);
  return (data as JobEventData["ProgressTotalChanged"]).total > 0 ? "work" : undefined;
}

function milestoneOf(event: RecordedEvent): Milestone | undefined {
  const what = whatOf(event);
  const runId = what === undefined ? undefined : runIdOfStream(event.stream);
  return what === undefined || runId === undefined ? undefined : { runId, what };
}

/** One recorded event, as far as it concerns connections. */
export interface WireItem {
  /** Its position. */
  readonly position: number;
  /** What goes out because of it, in order; often nothing. */
  readonly messages: readonly QmpMessage[];
  /** The command that it answers, with the conversation that this came in. */
  readonly answer?: { readonly commandId: string; readonly correlationId: string };
  /** What directly caused it: a command's id, or `@` and a position. */
  readonly causationId: string | undefined;
  /** Where a job has come to by it. */
  readonly milestone: Milestone | undefined;
}

/** From where to follow. */
export interface WireStart {
  /** The last position that was seen. */
  readonly after: number;
  /** The jobs as they were there; dismissed ones may be left out. */
  readonly jobs: readonly JobState[];
  /** Ends it. */
  readonly signal?: AbortSignal;
}

/** Commands whose answers follow later, with the conversations that they came in. */
type Awaited = Map<string, string>;

function answerOf(event: RecordedEvent, awaited: Awaited): WireItem["answer"] {
  if (event.type === "VerbAnswered") {
    const { commandId } = event.data as JobEventData["VerbAnswered"];
    const correlationId = awaited.get(commandId);
    awaited.delete(commandId);
    return correlationId === undefined ? undefined : { commandId, correlationId };
  }
  if (event.type !== "VerbAccepted" && event.type !== "VerbRefused") return undefined;
  const { correlationId } = event.metadata;
  if (correlationId === undefined) return undefined;
  const data = event.data as JobEventData["VerbAccepted"];
  const { commandId } = data;
  if (data.isAnsweredLater !== true) return { commandId, correlationId };
  awaited.set(commandId, correlationId);
  return undefined;
}

/** Follows the log from a moment on; ends when it is closed or told to. */
export async function* wireItems(
  reader: EventReader,
  { after, jobs, signal }: WireStart,
): AsyncGenerator<WireItem, void> {
  const state = qmpStateOf(jobs);
  const awaited: Awaited = new Map();
  const subscription = reader.subscribe({ after, ...(signal === undefined ? {} : { signal }) });
  for await (const event of subscription) {
    const messages = qmpEventsOf(state, event).map(qmpMessage);
    const answer = answerOf(event, awaited);
    const { position, metadata: { causationId } } = event;
    const milestone = milestoneOf(event);
    yield {
      position,
      messages,
      causationId,
      milestone,
      ...(answer === undefined ? {} : { answer }),
    };
  }
}
