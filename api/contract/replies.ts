/**
 * What the ways in answer: plain data, with the process behind a status always beside it.
 */
import { z } from "zod";
import { instant, type Plain, position, wholeNumber } from "./values.ts";

/** Whether a live process stands behind what is told. */
export const WriterView = z.object({
  isAlive: z.boolean().describe("True if a live process holds the log for writing"),
  isRunning: z.boolean().describe("True if that process runs jobs; false: it takes verbs only"),
  since: instant.nullable().describe(
    "Alive: since it opened the log. Not alive: since when none runs jobs. null: none ever did",
  ),
  pid: wholeNumber.nullable().describe("Process id of the newest writer"),
}).meta({ id: "WriterView", description: "The process that writes the log" });

/** An error of a job. */
export const JobErrorView = z.object({
  errno: z.string(),
  number: wholeNumber,
  text: z.string(),
}).meta({ id: "JobErrorView", description: "Name, number and text of an errno" });

/** One job. */
export const JobView = z.object({
  id: z.string().nullable().describe("The id that users chose; null = internal job"),
  runId: z.string().describe("UUIDv7 of this life of the id"),
  type: z.string(),
  txnId: z.string().describe("Its transaction; equals runId for a lone job"),
  status: z.string(),
  statusSince: instant.describe("Since when, in ms since 1970 UTC"),
  verbs: z.array(z.string()).describe("Verbs that this status accepts"),
  progress: z.object({
    current: wholeNumber,
    total: wholeNumber,
    percent: z.number().describe("0 to 100 with one decimal; 100 = nothing is left"),
  }),
  speed: wholeNumber.describe("Bytes per second; 0 = unlimited"),
  isActivelySynced: z.boolean().describe(
    "True while every write to the source of a mirror reaches its target at once",
  ),
  ioStatus: z.string(),
  error: JobErrorView.nullable(),
  pauseCount: wholeNumber.describe("Reasons to be paused"),
  isUserPaused: z.boolean().describe(
    "True if a user, the error policy or a full disk is one of them",
  ),
  pausedBy: z.enum(["user", "policy", "logSpace", "internal"]).nullable().describe(
    "Who asked last for the pause that it is in or about to take: a user, its error policy, the " +
      "full disk of the log, the engine; null = nobody",
  ),
  isCancelRequested: z.boolean(),
  isResumable: z.boolean().describe("True if it can outlive its process"),
  autoFinalize: z.boolean(),
  autoDismiss: z.boolean(),
  outcome: z.string().nullable().describe("completed or cancelled; null before it concluded"),
  ret: wholeNumber.describe("0, or a negative errno"),
  checkpoint: z.object({ position, current: wholeNumber, resumeFrom: z.unknown() }).nullable(),
  createdAt: instant,
  parameters: z.record(z.string(), z.unknown()),
  stepCount: wholeNumber,
  position: position.describe("Position of its last event"),
  setBy: z.record(z.string(), z.unknown()).describe(
    "Per explained field, the position of the event that set it",
  ),
}).meta({ id: "JobView", description: "Everything that is true of one job" });

const around = {
  position: position.describe("The position that this is true of"),
  writer: WriterView,
};

/** One job, and the process behind it. */
export const JobReply = z.object({ job: JobView, ...around }).meta({ id: "JobReply" });

/** A list of jobs, newest first. */
export const JobsReply = z.object({ jobs: z.array(JobView), ...around }).meta({ id: "JobsReply" });

/** A transaction with its members, oldest first. */
export const TxnView = z.object({
  id: z.string(),
  isGroup: z.boolean().describe("True if its jobs end together"),
  members: z.array(JobView),
  convergence: z.object({
    phase: z.string().describe("running, held, preparing, committing, aborting or concluded"),
    memberCount: wholeNumber,
    completedCount: wholeNumber,
    waitingCount: wholeNumber,
    concludedCount: wholeNumber,
    decision: z.object({
      decision: z.string(),
      trigger: z.string().nullable(),
      position,
    }).nullable(),
    awaited: z.array(z.string()),
    blockers: z.array(z.object({
      runId: z.string(),
      name: z.string(),
      kind: z.string(),
      since: instant,
      text: z.string(),
    })),
  }),
  awaitedCommands: z.array(z.string()),
  position,
}).meta({ id: "TxnView", description: "A transaction and what it waits for" });

/** A transaction, and the process behind it. */
export const TxnReply = z.object({ txn: TxnView, ...around }).meta({ id: "TxnReply" });

/** What was created. */
export const CreatedReply = z.object({
  txnId: z.string().nullable().describe("The group; null = each job is on its own"),
  jobs: z.array(JobView),
  ...around,
}).meta({ id: "CreatedReply" });

/** What a verb left behind. */
export const VerbReply = z.object({
  verb: z.string(),
  job: JobView.nullable().describe("The job after the verb; null if it is gone from the list"),
  ...around,
}).meta({ id: "VerbReply" });

/** One event, as it stands in the log. */
export const EventView = z.object({
  position,
  stream: z.string(),
  version: wholeNumber,
  type: z.string(),
  schema: wholeNumber,
  time: instant,
  data: z.record(z.string(), z.unknown()),
  metadata: z.object({
    actor: z.string(),
    via: z.string(),
    correlationId: z.string().optional(),
    causationId: z.string().optional(),
    commandId: z.string().optional(),
  }),
}).meta({ id: "EventView", description: "One event, as it stands in the log" });

/** A page of events. */
export const EventsReply = z.object({
  events: z.array(EventView),
  next: z.string().nullable().describe("Token of the next page; null = no more for now"),
  position: position.describe("End of the log"),
}).meta({ id: "EventsReply" });

/** How a job came to where it is. */
export const TimelineReply = z.object({
  job: JobView,
  entries: z.array(z.object({
    status: z.string(),
    since: instant,
    until: instant.nullable().describe("null = it is still so"),
    durationMs: wholeNumber,
    position,
    actor: z.string(),
    via: z.string(),
    why: z.string(),
    causes: z.array(position),
    error: JobErrorView.nullable(),
  })).describe("Each status, in order"),
  notes: z.array(z.object({
    kind: z.string(),
    at: instant,
    position,
    actor: z.string(),
    via: z.string(),
    text: z.string(),
    count: wholeNumber,
  })).describe("What else happened, in order"),
  isComplete: z.boolean().describe("True if every event of the job was understood"),
  ...around,
}).meta({ id: "TimelineReply" });

/** Fields that say which event gave them their value. */
export const EXPLAINED_FIELDS = [
  "status",
  "pause",
  "resume",
  "cancel",
  "complete",
  "speed",
  "parameters",
  "ioStatus",
  "error",
  "total",
  "checkpoint",
] as const;

/** Why a field has its value. */
export const WhyReply = z.object({
  id: z.string().nullable(),
  runId: z.string(),
  field: z.string(),
  value: z.unknown(),
  event: EventView.nullable().describe("The event that set it; null = it has its first value"),
  causes: z.array(EventView).describe("What brought that event about, the direct cause first"),
  actor: z.string().nullable().describe("Who stands at the root"),
  via: z.string().nullable().describe("The way in of the root"),
  text: z.string().describe("One sentence"),
  ...around,
}).meta({ id: "WhyReply" });

/** What the verifier says. */
export const VerifyReply = z.object({
  isValid: z.boolean(),
  size: wholeNumber.describe("Records that were verified"),
  root: z.string().describe("Root of the Merkle tree over them: 64 hex digits"),
  faultCount: wholeNumber.describe("How many faults there are in all"),
  faults: z.array(z.object({
    kind: z.string(),
    position: position.describe("Of the record; 0 = the log as a whole"),
    expected: z.string(),
    found: z.string(),
    text: z.string(),
  })).describe("The first faults"),
  checked: z.record(z.string(), z.unknown()).describe("How much was checked, by kind"),
  head: z.string().describe("How it stands with the known root: none, matches or differs"),
  note: z.string().describe("What this proves and what it does not"),
}).meta({ id: "VerifyReply" });

/** What a log is and holds. */
export const LogReply = z.object({
  logId: z.string().describe("Random name of the log: 32 hex digits"),
  time: instant.describe("Of the last event"),
  sizeBytes: wholeNumber.describe("Bytes on disk"),
  root: z.string().describe("Root of the Merkle tree: 64 hex digits"),
  statistics: z.record(z.string(), z.unknown()),
  ...around,
}).meta({ id: "LogReply" });

/** Sign of life. */
export const HealthReply = z.object({
  isHealthy: z.boolean(),
  position,
}).meta({ id: "HealthReply" });

/** An error, after RFC 9457. */
export const Problem = z.object({
  type: z.string().describe("urn:joblog:error:<code>"),
  title: z.string(),
  status: wholeNumber,
  detail: z.string(),
  code: z.string(),
  subject: z.string().optional(),
  expected: z.union([z.string(), z.number()]).optional(),
  actual: z.union([z.string(), z.number()]).optional(),
  hint: z.string().optional(),
}).meta({ id: "Problem", description: "An error, after RFC 9457" });

/** See {@linkcode WriterView}. */
export type WriterViewValue = Plain<z.infer<typeof WriterView>>;
/** See {@linkcode JobView}. */
export type JobViewValue = Plain<z.infer<typeof JobView>>;
/** See {@linkcode JobReply}. */
export type JobReplyValue = Plain<z.infer<typeof JobReply>>;
/** See {@linkcode JobsReply}. */
export type JobsReplyValue = Plain<z.infer<typeof JobsReply>>;
/** See {@linkcode TxnReply}. */
export type TxnReplyValue = Plain<z.infer<typeof TxnReply>>;
/** See {@linkcode CreatedReply}. */
export type CreatedReplyValue = Plain<z.infer<typeof CreatedReply>>;
/** See {@linkcode VerbReply}. */
export type VerbReplyValue = Plain<z.infer<typeof VerbReply>>;
/** See {@linkcode EventView}. */
export type EventViewValue = Plain<z.infer<typeof EventView>>;
/** See {@linkcode EventsReply}. */
export type EventsReplyValue = Plain<z.infer<typeof EventsReply>>;
/** See {@linkcode TimelineReply}. */
export type TimelineReplyValue = Plain<z.infer<typeof TimelineReply>>;
/** See {@linkcode WhyReply}. */
export type WhyReplyValue = Plain<z.infer<typeof WhyReply>>;
/** See {@linkcode VerifyReply}. */
export type VerifyReplyValue = Plain<z.infer<typeof VerifyReply>>;
/** See {@linkcode LogReply}. */
export type LogReplyValue = Plain<z.infer<typeof LogReply>>;
/** See {@linkcode Problem}. */
export type ProblemValue = Plain<z.infer<typeof Problem>>;
