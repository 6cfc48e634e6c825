/**
 * What the ways in accept: bodies of commands and options of queries.
 */
import { z } from "zod";
import { name, parameters, type Plain, position, speed } from "./values.ts";

const flag = z.boolean({ error: "must be true or false" });

/** One job to create and start. */
export const JobBody = z.strictObject({
  type: name.describe("Kind of job, such as backup"),
  id: name.optional().describe("Id of the job: a letter, then letters, digits, '-', '.', '_'"),
  parameters: parameters.optional(),
  speed: speed.optional(),
  autoFinalize: flag.optional().describe("False = waits in pending for finalize (default true)"),
  autoDismiss: flag.optional().describe("False = stays in concluded until dismiss (default true)"),
  start: flag.optional().describe("False = stays in created until the verb start (default true)"),
}).meta({ id: "JobBody", description: "One job to create" });

/** Several jobs to create together. */
export const TransactionBody = z.strictObject({
  jobs: z.array(JobBody.omit({ start: true }), { error: "must be a list of jobs" })
    .min(1, { error: "must hold at least one job" })
    .max(1_000, { error: "must hold at most 1000 jobs" }),
  completionMode: z.enum(["individual", "grouped"], {
    error: 'must be "individual" or "grouped"',
  }).optional().describe("grouped = the jobs end together or not at all (default individual)"),
}).meta({ id: "TransactionBody", description: "Jobs to create together" });

/** Body of a verb without arguments. */
export const NoArguments = z.strictObject({}).meta({
  id: "NoArguments",
  description: "Nothing; the body may be left out",
});

/** Body of the verb cancel. */
export const CancelBody = z.strictObject({
  force: flag.optional().describe(
    "False = let a ready job complete at its current point (default true)",
  ),
}).meta({ id: "CancelBody", description: "How to cancel" });

/** Body of the verb set-speed. */
export const SpeedBody = z.strictObject({ speed }).meta({
  id: "SpeedBody",
  description: "The new limit",
});

/** Body of the verb change. */
export const ChangeBody = z.strictObject({
  type: name.optional().describe("Kind of job that is meant; another one is refused"),
  parameters: parameters.optional().describe('What becomes other, such as {"copy-mode": ...}'),
}).meta({ id: "ChangeBody", description: "Parameters of a job that are to become others" });

/** Every verb with the schema of its arguments and what it does. */
export const VERBS = {
  start: { body: NoArguments, summary: "Start a job that was created without starting" },
  pause: { body: NoArguments, summary: "Pause a job at its next pause point" },
  resume: { body: NoArguments, summary: "Resume a job that was paused" },
  cancel: { body: CancelBody, summary: "Cancel a job" },
  complete: { body: NoArguments, summary: "Let a ready job end" },
  finalize: { body: NoArguments, summary: "Let pending jobs of a transaction conclude" },
  dismiss: { body: NoArguments, summary: "Remove a concluded job from the list of jobs" },
  "set-speed": { body: SpeedBody, summary: "Change the speed limit of a job" },
  change: {
    body: ChangeBody,
    summary: "Change parameters of a job: a mirror's copy-mode to write-blocking",
  },
} as const;

/** Name of a verb. */
export type VerbName = keyof typeof VERBS;

/** All verbs, in the order of the table. */
export const VERB_NAMES = Object.keys(VERBS) as readonly VerbName[];

/** Most events of a page. */
export const PAGE_EVENTS_MAX = 1_000;

/** Events of a page unless told otherwise. */
export const PAGE_EVENTS_DEFAULT = 100;

/** A page of events. */
export const EventsQuery = z.strictObject({
  direction: z.enum(["forwards", "backwards"], {
    error: 'must be "forwards" or "backwards"',
  }).optional().describe("Order of the page (default forwards)"),
  from: position.optional().describe("First position, inclusive"),
  after: position.optional().describe("The last position already seen; forwards only"),
  type: z.array(name).max(100).optional().describe("Only these event types"),
  job: name.optional().describe("Only this job, by id or run id"),
  limit: z.number().int().min(1, { error: "must be 1 or more" })
    .max(PAGE_EVENTS_MAX, { error: `must be at most ${PAGE_EVENTS_MAX}` }).optional()
    .describe(`Events of a page (default ${PAGE_EVENTS_DEFAULT})`),
  page: name.optional().describe("Token of the next page, as the last one gave it"),
}).meta({ id: "EventsQuery", description: "Which events" });

/** A job to create, as the service takes it. */
export type JobBodyValue = Plain<z.infer<typeof JobBody>>;
/** Jobs to create together, as the service takes them. */
export type TransactionBodyValue = Plain<z.infer<typeof TransactionBody>>;
/** Which events, as the service takes it. */
export type EventsQueryValue = Plain<z.infer<typeof EventsQuery>>;
