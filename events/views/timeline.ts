/**
 * The timeline of one job: each status with its span, who and why, and everything else that a
 * person wants to know afterwards.
 *
 * - The fold takes events in global order and keeps those of the job's own stream and of its
 *   group's; steps are counted and not kept, so memory is that of the decisions.
 * - Causes may stand in other streams. {@linkcode timelineView} looks them up in a source that the
 *   caller filled; the fold keeps what it saw in such a source of its own.
 * - Neighbouring checkpoints are one note with a count.
 *
 * Source: DESIGN.md, What users of such systems ask for.
 */
import {
  applyToJob,
  type CauseSource,
  explain,
  INITIAL_JOB,
  type JobDraft,
  type JobError,
  type JobEvent,
  type JobState,
  type JobStatus,
  jobStream,
  KnownCauses,
  txnStream,
} from "../job/mod.ts";
import type { Via } from "../log/event.ts";
import { type Gaps, isUnderstood, noGaps, type Projection } from "./projection.ts";

/** Kinds of things that happen beside the statuses. */
export type NoteKind =
  | "accepted"
  | "refused"
  | "answered"
  | "pause"
  | "resume"
  | "cancel"
  | "complete"
  | "speed"
  | "change"
  | "ioError"
  | "ioStatus"
  | "checkpoint"
  | "result"
  | "fault"
  | "act"
  | "decision"
  | "process";

const NOTE_KINDS: { readonly [T in JobEvent["type"]]?: NoteKind } = {
  VerbAccepted: "accepted",
  VerbRefused: "refused",
  VerbAnswered: "answered",
  JobPauseRequested: "pause",
  JobResumeRequested: "resume",
  JobCancelRequested: "cancel",
  JobCompleteRequested: "complete",
  JobSpeedChanged: "speed",
  JobParametersChanged: "change",
  JobSyncChanged: "change",
  IoErrorHandled: "ioError",
  IoStatusChanged: "ioStatus",
  CheckpointTaken: "checkpoint",
  SourceWritten: "checkpoint",
  RunReturned: "result",
  PrepareReturned: "result",
  DriverFaulted: "fault",
  ActAnnounced: "act",
  ActConfirmed: "act",
  TxnFinalizing: "decision",
  TxnDecided: "decision",
  JobParked: "process",
  JobRecovered: "process",
};

/** A status as the fold keeps it. */
export interface FoldedSpan {
  /** The status that was entered. */
  readonly status: JobStatus;
  /** The event that entered it. */
  readonly event: JobEvent;
  /** The job's error at that moment. */
  readonly error: JobError | null;
}

/** What else happened, as the fold keeps it. */
export interface FoldedNote {
  /** Its kind. */
  readonly kind: NoteKind;
  /** Its first event. */
  readonly event: JobEvent;
  /** Events that this note stands for; more than 1 for neighbouring checkpoints. */
  count: number;
  /** The last of them. */
  last: JobEvent;
}

/** The fold behind a timeline. */
export interface TimelineState {
  /** The job so far. */
  readonly job: JobDraft;
  /** Each status that was entered. */
  readonly spans: FoldedSpan[];
  /** What else happened. */
  readonly notes: FoldedNote[];
  /** The events of both, by position. */
  readonly known: KnownCauses;
  /** Milliseconds since 1970 of the last event folded. */
  time: number;
  /** What could not be understood. */
  readonly gaps: Gaps;
}

/**
 * The projection for one job.
 *
 * @param runId the job's run id
 */
export function timeline(runId: string): Projection<TimelineState> {
  const stream = jobStream(runId);
  return {
    name: `timeline-${runId}`,
    foldVersion: 1,
    initial: () => ({
      job: { ...INITIAL_JOB, runId },
      spans: [],
      notes: [],
      known: new KnownCauses(),
      time: 0,
      gaps: noGaps(),
    }),
    evolve(state, event) {
      const isOwn = event.stream === stream;
      // The group is known from the creation on; nothing of it concerns the job before that.
      const { txnId } = state.job;
      const isGroups = txnId !== "" && event.stream === txnStream(txnId);
      if (!isOwn && !isGroups) return state;
      state.time = event.time;
      if (!isUnderstood(event, state.gaps)) return state;
      if (isOwn) foldOwn(state, event);
      else noteOther(state, event);
      return state;
    },
  };
}

function foldOwn(state: TimelineState, event: JobEvent): void {
  const before = state.job.status;
  applyToJob(state.job, event);
  if (event.type === "StepTaken" || event.type === "ProgressTotalChanged") return;
  if (state.job.status !== before) {
    state.known.add(event);
    const { status, error } = state.job;
    state.spans.push({ status, event, error: status === "aborting" ? error : null });
  } else noteOther(state, event);
}

function noteOther(state: TimelineState, event: JobEvent): void {
  const kind = NOTE_KINDS[event.type];
  state.known.add(event);
  if (kind === undefined) return;
  const last = state.notes.at(-1);
  if (kind === "checkpoint" && last?.kind === kind) {
    last.count += 1;
    last.last = event;
  } else state.notes.push({ kind, event, count: 1, last: event });
}

/** One status of a job, from its beginning to its end. */
export interface TimelineEntry {
  /** The status. */
  readonly status: JobStatus;
  /** Milliseconds since 1970, inclusive. */
  readonly since: number;
  /** Milliseconds since 1970, exclusive; null = it is still so. */
  readonly until: number | null;
  /** How long it was so, until the last event of the log view if it still is. */
  readonly durationMs: number;
  /** Global position of the event that brought it. */
  readonly position: number;
  /** Who stands at the root of the cause chain. */
  readonly actor: string;
  /** The way in of that root. */
  readonly via: Via;
  /** Why, as one sentence without a full stop. */
  readonly why: string;
  /** Positions of the causes, the direct one first. */
  readonly causes: readonly number[];
  /** The error behind the status aborting; null otherwise. */
  readonly error: JobError | null;
}

/** Something else that happened to a job. */
export interface TimelineNote {
  /** What kind of thing. */
  readonly kind: NoteKind;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Global position of its event; of the last one when it stands for several. */
  readonly position: number;
  /** Who stands at the root of the cause chain. */
  readonly actor: string;
  /** The way in of that root. */
  readonly via: Via;
  /** What happened and why, as one sentence without a full stop. */
  readonly text: string;
  /** Number of events it stands for: 1, or more for neighbouring checkpoints. */
  readonly count: number;
}

/** What happened to one job, and why. */
export interface Timeline {
  /** The job at the end of the view. */
  readonly job: JobState;
  /** Its statuses, in order. */
  readonly entries: readonly TimelineEntry[];
  /** What else happened, in order. */
  readonly notes: readonly TimelineNote[];
  /** True if every event of the job was understood. */
  readonly isComplete: boolean;
}

/**
 * The timeline with its sentences.
 *
 * @param state the folded events
 * @param causes where causes in other streams are looked up; the job's own are known already
 * @param now until when a status that still holds has lasted, in ms since 1970.
 *   @default time of the last event folded
 */
export function timelineView(
  state: TimelineState,
  causes: CauseSource = state.known,
  now: number = state.time,
): Timeline {
  const source = joined(state.known, causes);
  const { runId } = state.job;
  const entries = state.spans.map((span, i): TimelineEntry => {
    const { status, error, event: { time: since, position }, event } = span;
    const until = state.spans[i + 1]?.event.time ?? null;
    const { text: why, actor, via, chain } = explain(event, runId, source);
    const durationMs = (until ?? Math.max(now, since)) - since;
    const positions = chain.map((cause) => cause.position);
    return {
      status,
      since,
      until,
      durationMs,
      position,
      actor,
      via,
      why,
      causes: positions,
      error,
    };
  });
  const notes = state.notes.map(({ kind, event, count, last }): TimelineNote => {
    const { text, actor, via } = explain(event, runId, source);
    const { time: at, position } = last;
    const all = count === 1 ? text : `${text} (${count} times)`;
    return { kind, at, position, actor, via, text: all, count };
  });
  return { job: { ...state.job }, entries, notes, isComplete: state.gaps.count === 0 };
}

function joined(own: CauseSource, other: CauseSource): CauseSource {
  if (own === other) return own;
  return {
    event: (position) => own.event(position) ?? other.event(position),
    command: (id) => own.command(id) ?? other.command(id),
    lastBefore: (stream, type, position) =>
      own.lastBefore(stream, type, position) ?? other.lastBefore(stream, type, position),
    nameOf: (runId) => own.nameOf(runId) ?? other.nameOf(runId),
  };
}
