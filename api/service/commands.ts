/**
 * Commands: creation and verbs, each written once for all ways in.
 *
 * What does not fit the contract is refused here and leaves no record; what does is a command, and
 * the engine records it, accepted or refused.
 */
import { JoblogError } from "../../events/log/errors.ts";
import type { JobState } from "../../events/job/mod.ts";
import type { JsonObject } from "../../events/log/event.ts";
import type { CommandContext, Job, Joblog, JobRequest } from "../../engine/run/mod.ts";
import {
  JobBody,
  type JobBodyValue,
  name,
  TransactionBody,
  type VerbName,
  VERBS,
} from "../contract.ts";
import { isRunId } from "./lookup.ts";
import { parsed } from "./request.ts";

/** What a creation made. */
export interface CreatedJobs {
  /** The group; null = each job is on its own. */
  readonly txnId: string | null;
  /** The jobs, in the order of the requests. */
  readonly jobs: readonly JobState[];
  /** The position that this is true of. */
  readonly position: number;
}

/** The longest idempotency key or correlation id. */
export const KEY_LENGTH_MAX = 100;

function requestOf(body: Omit<JobBodyValue, "start">): JobRequest {
  const { parameters, ...rest } = body;
  const request = parameters === undefined
    ? rest
    : { ...rest, parameters: parameters as JsonObject };
  return definedOnly(request) as unknown as JobRequest;
}

function definedOnly(object: object): object {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

/** Checks what came with a command beside its body. */
function checkedContext(context: CommandContext): CommandContext {
  for (const key of ["idempotencyKey", "correlationId"] as const) {
    const value = context[key];
    if (value === undefined || /^[\x21-\x7e]{1,100}$/.test(value)) continue;
    const what = key === "idempotencyKey" ? "Idempotency-Key" : "X-Correlation-Id";
    throw new JoblogError(
      "invalidRequest",
      `Cannot take the request: "${what}" must be 1 to ${KEY_LENGTH_MAX} visible ASCII characters`,
      { subject: what },
    );
  }
  return context;
}

async function created(joblog: Joblog, pending: Promise<Job>): Promise<CreatedJobs> {
  const job = await pending;
  return { txnId: null, jobs: [job.state], position: joblog.position };
}

/**
 * Creates one job, or several together when the body has `jobs`.
 *
 * @param body a `JobBody` or a `TransactionBody` of the contract
 * @throws {JoblogError} code "invalidRequest", or the engine's refusal
 */
export async function createJobs(
  joblog: Joblog,
  body: unknown,
  context: CommandContext,
): Promise<CreatedJobs> {
  checkedContext(context);
  if (typeof body !== "object" || body === null || !("jobs" in body)) {
    const { start, ...job } = parsed(JobBody, body);
    const request = requestOf(job as JobBodyValue);
    return await created(
      joblog,
      start === false ? joblog.create(request, context) : joblog.start(request, context),
    );
  }
  const { jobs, completionMode } = parsed(TransactionBody, body);
  const requests = jobs.map((job) => requestOf(job as JobBodyValue));
  const options = completionMode === undefined ? {} : { completionMode };
  const made = await joblog.transaction(requests, options, context);
  const states = made.jobs.map((job) => job.state);
  return { txnId: made.txnId, jobs: states, position: joblog.position };
}

/**
 * Sends a verb to a job.
 *
 * @param id the job's id, or its run id: then the verb is for this run, also when it has to wait
 * and somebody else has the id by then
 * @param body the verb's arguments; undefined = none
 * @returns the job, as it was before the verb; undefined when it is an unknown one
 * @throws {JoblogError} code "invalidRequest", or the engine's refusal
 */
export async function sendVerb(
  joblog: Joblog,
  id: string,
  verb: VerbName,
  body: unknown,
  context: CommandContext,
): Promise<JobState | undefined> {
  checkedContext(context);
  const args = definedOnly(parsed(VERBS[verb].body, body ?? {}));
  const subject = parsed(name, id);
  const known = isRunId(subject)
    ? joblog.jobs().find((job) => job.runId === subject)
    : joblog.job(subject)?.state;
  // A run that is in no list, such as that of an internal job, is unknown to users.
  const target = isRunId(subject) && known !== undefined ? { runId: subject } : subject;
  await joblog.verb(target, verb, args, context);
  return known;
}
