/**
 * Every event type of jobs, transactions, commands and the engine, with its data.
 *
 * Types are only added; a meaning never changes. Unless said otherwise an event stands in the
 * stream of its job, `job-<run id>`. Facts of a group stand in `txn-<txn id>`; a lone job has no
 * such stream, and they stand in its own. Those of the graph of nodes are in `graph_events.ts`.
 *
 * Source: QEMU 7.2 job.c, blockjob.c for the facts; DESIGN.md, The log, for commands and steps.
 */
import type { JsonObject, JsonValue, RecordedEvent } from "../log/event.ts";
import type { ErrorAction, ErrorPolicy, IoOperation, IoStatus } from "./error_policy.ts";
import type { JobError } from "./errno.ts";
import { GRAPH_SCHEMAS, type GraphEventData, type NodeVerb } from "./graph_events.ts";

export { ENGINE_STREAM, jobStream, runIdOfStream, txnStream } from "./streams.ts";

/** Commands that change something: QEMU's verbs, the ways to make a job, those of the graph. */
export type CommandVerb =
  | NodeVerb
  | "create"
  | "start"
  | "transaction"
  | "pause"
  | "resume"
  | "cancel"
  | "complete"
  | "finalize"
  | "dismiss"
  | "set-speed"
  | "change";

/** The callbacks that a driver may have; the log names the ones a job was created with. */
export type CallbackName =
  | "complete"
  | "prepare"
  | "commit"
  | "abort"
  | "clean";

/** Callbacks that may throw without changing a job's result. */
export type FaultedCallback =
  | CallbackName
  | "cancel"
  | "setSpeed"
  | "changed"
  | "userResume"
  | "close";

/** Who asked for a pause. `user`, `policy` and `logSpace` set the user's pause bit. */
export type PauseCause = "user" | "policy" | "logSpace" | "internal";

/** Data of each event type. Since: event version 1, all of them. */
export interface JobEventData extends GraphEventData {
  /** The engine accepted the id. Appended by creation; implies status created. */
  JobCreated: {
    readonly runId: string;
    readonly id: string | null;
    readonly jobType: string;
    readonly txnId: string;
    readonly parameters: JsonObject;
    readonly speed: number;
    readonly autoFinalize: boolean;
    readonly autoDismiss: boolean;
    readonly callbacks: readonly CallbackName[];
    readonly isResumable: boolean;
    readonly behaviour: number;
  };
  /** created -> running; the pause that creation holds is dropped. */
  JobStarted: Record<string, never>;
  /** One more reason to pause. The job pauses at its next pause point. */
  JobPauseRequested: { readonly by: PauseCause };
  /** running -> paused or ready -> standby: a pause point was reached. */
  JobPaused: Record<string, never>;
  /** One reason to pause less. The job goes on once none is left. */
  JobResumeRequested: { readonly by: "user" | "internal" };
  /** paused -> running or standby -> ready: the pause point was left. */
  JobResumed: Record<string, never>;
  /** running -> ready: the driver says that source and target are in step. */
  JobReady: Record<string, never>;
  /** The limit was changed; bytes per second, 0 = unlimited. */
  JobSpeedChanged: { readonly before: number; readonly after: number };
  /**
   * The verb `change` was accepted and makes a difference: these of the driver's parameters are
   * others from now on. Both have the same keys.
   */
  JobParametersChanged: { readonly before: JsonObject; readonly after: JsonObject };
  /** Whether each write reaches the target before it is acknowledged, and nothing else is left. */
  JobSyncChanged: { readonly isActivelySynced: boolean };
  /** `complete` was accepted; the driver ends by itself. */
  JobCompleteRequested: Record<string, never>;
  /** A cancel took effect on the flags; `force` is never taken back. Ends a user's pause. */
  JobCancelRequested: { readonly force: boolean; readonly by: "user" | "group" | "engine" };
  /** A driver consulted its error policy. */
  IoErrorHandled: {
    readonly operation: IoOperation;
    readonly policy: ErrorPolicy;
    readonly action: ErrorAction;
    readonly error: JobError;
  };
  /** The io-status moved. */
  IoStatusChanged: { readonly before: IoStatus; readonly after: IoStatus };
  /** One unit of a driver's work, or several neighbouring ones of a mergeable kind. */
  StepTaken: {
    readonly kind: string;
    readonly offset: number;
    readonly length: number;
    readonly work?: number;
    readonly detail?: JsonObject;
  };
  /** The progress's total moved. */
  ProgressTotalChanged: { readonly total: number };
  /** The target is durable up to here; `resumeFrom` is what a later run needs. */
  CheckpointTaken: { readonly resumeFrom: JsonValue };
  /**
   * Somebody beside the job is about to write what it reads, for the first time since its last
   * checkpoint: appended by a driver that copies one moment, durable before that write goes on.
   */
  SourceWritten: Record<string, never>;
  /** An act that cannot be taken back is about to be done. */
  ActAnnounced: {
    readonly kind: string;
    readonly subject: string;
    readonly before: JsonValue;
    readonly after: JsonValue;
  };
  /** The announced act was done. */
  ActConfirmed: { readonly kind: string; readonly subject: string };
  /** `run` has ended. 0 = well; -errno otherwise. */
  RunReturned: { readonly ret: number; readonly error?: JobError };
  /** running or ready -> waiting: ended well, waits for the other members. */
  JobWaiting: Record<string, never>;
  /** waiting -> pending: all members ended well. */
  JobPending: Record<string, never>;
  /** -> aborting: the return code is not 0. */
  JobAborting: { readonly ret: number; readonly error: JobError };
  /** `prepare` has ended. */
  PrepareReturned: { readonly ret: number; readonly error?: JobError };
  /** `commit` has ended. */
  CommitReturned: Record<string, never>;
  /** `abort` has ended. */
  AbortReturned: Record<string, never>;
  /** `clean` has ended. */
  CleanReturned: Record<string, never>;
  /**
   * A callback that cannot fail threw; the sequence goes on as if it had not. With `close` it is
   * the one event of a job that may follow its `JobDismissed`.
   */
  DriverFaulted: { readonly callback: FaultedCallback; readonly error: JobError };
  /** pending or aborting -> concluded: the result. Follows commit or abort, and clean. */
  JobConcluded: {
    readonly outcome: "completed" | "cancelled";
    readonly ret: number;
    readonly error?: JobError;
    readonly wasStarted: boolean;
    readonly current: number;
    readonly total: number;
    readonly speed: number;
  };
  /** -> null: the job's id is free again; its history stays. */
  JobDismissed: Record<string, never>;
  /** The process closed while the job ran; it goes on when the log is opened for running. */
  JobParked: Record<string, never>;
  /** An opening took the job up again. Progress goes back to the last checkpoint. */
  JobRecovered: { readonly action: "resumed" | "failed"; readonly current: number };
  /** Stream `txn-<id>`: a group of jobs that end together. */
  TxnCreated: { readonly txnId: string; readonly members: readonly string[] };
  /** All members are pending and finalization has begun: by itself or by the verb. */
  TxnFinalizing: { readonly by: "auto" | "verb" };
  /** The group's fate, durable before the first commit or abort callback. */
  TxnDecided: { readonly decision: "commit" | "abort"; readonly trigger: string | null };
  /** Stream `txn-<id>`: every member has concluded. */
  TxnConcluded: { readonly decision: "commit" | "abort" };
  /**
   * A command was accepted. `isAnsweredLater`: a `VerbAnswered` follows. `rollback`: a transaction
   * could not be created; what was created of it is undone, and this will be the answer.
   */
  VerbAccepted: {
    readonly commandId: string;
    readonly verb: CommandVerb;
    readonly subject: string;
    readonly arguments: JsonObject;
    readonly status?: string;
    readonly isAnsweredLater?: boolean;
    readonly rollback?: { readonly code: string; readonly text: string };
  };
  /** A command was refused with exactly this text. */
  VerbRefused: {
    readonly commandId: string;
    readonly verb: CommandVerb;
    readonly subject: string;
    readonly arguments: JsonObject;
    readonly status?: string;
    readonly code: string;
    readonly text: string;
  };
  /** The later answer to an accepted command. */
  VerbAnswered: { readonly commandId: string; readonly code?: string; readonly text?: string };
  /** Stream `engine`: a process opened the log for writing. */
  EngineOpened: {
    readonly version: string;
    readonly runtime: string;
    readonly pid: number;
    readonly isRunning: boolean;
  };
  /** Stream `engine`: that process closed it. */
  EngineClosed: { readonly reason: string };
  /** Stream `engine`: so many commands of an actor were stopped before the door. */
  CommandsThrottled: { readonly actor: string; readonly count: number; readonly windowMs: number };
  /** Stream `engine`: the disk was full, the reserve was freed, and jobs were paused. */
  LogSpaceLow: { readonly pausedJobs: number };
}

/** Name of an event type of this room. */
export type JobEventType = keyof JobEventData;

/** A recorded event whose type is known, with the data of that type. */
export type JobEvent = {
  [T in JobEventType]: Omit<RecordedEvent, "type" | "data"> & {
    readonly type: T;
    readonly data: JobEventData[T];
  };
}[JobEventType];

/** Current schema version of each type; a type that is not here is unknown. */
export const EVENT_SCHEMAS: { readonly [T in JobEventType]: number } = {
  JobCreated: 1,
  JobStarted: 1,
  JobPauseRequested: 1,
  JobPaused: 1,
  JobResumeRequested: 1,
  JobResumed: 1,
  JobReady: 1,
  JobSpeedChanged: 1,
  JobParametersChanged: 1,
  JobSyncChanged: 1,
  JobCompleteRequested: 1,
  JobCancelRequested: 1,
  IoErrorHandled: 1,
  IoStatusChanged: 1,
  StepTaken: 1,
  ProgressTotalChanged: 1,
  CheckpointTaken: 1,
  SourceWritten: 1,
  ActAnnounced: 1,
  ActConfirmed: 1,
  RunReturned: 1,
  JobWaiting: 1,
  JobPending: 1,
  JobAborting: 1,
  PrepareReturned: 1,
  CommitReturned: 1,
  AbortReturned: 1,
  CleanReturned: 1,
  DriverFaulted: 1,
  JobConcluded: 1,
  JobDismissed: 1,
  JobParked: 1,
  JobRecovered: 1,
  TxnCreated: 1,
  TxnFinalizing: 1,
  TxnDecided: 1,
  TxnConcluded: 1,
  VerbAccepted: 1,
  VerbRefused: 1,
  VerbAnswered: 1,
  EngineOpened: 1,
  EngineClosed: 1,
  CommandsThrottled: 1,
  LogSpaceLow: 1,
  ...GRAPH_SCHEMAS,
};

/** The numbered behaviour of the machine that new jobs are created with. */
export const BEHAVIOUR = 1;

/** Says whether an event is of a type and schema that this program knows. */
export function isJobEvent(event: RecordedEvent): event is RecordedEvent & JobEvent {
  return EVENT_SCHEMAS[event.type as JobEventType] === event.schema;
}
