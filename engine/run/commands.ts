/**
 * Commands of users: creation and verbs, with their records, their actors and their repeats.
 *
 * Every state-changing command that arrives here leaves exactly one `VerbAccepted` or
 * `VerbRefused`. A command with an idempotency key is answered from its record when it is repeated.
 */
import type { EventMetadata, JsonObject, RecordedEvent, Via } from "../../events/log/event.ts";
import { JoblogError } from "../../events/log/errors.ts";
import {
  ENGINE_STREAM,
  type JobEvent,
  type JobEventData,
  type JobState,
  type JobVerb,
  memberOf,
} from "../../events/job/mod.ts";
import { type CreateCommand, decideCreate, type JobPlan } from "../core/create.ts";
import { type Refusal, UNKNOWN_JOB } from "../core/refusals.ts";
import { decideVerb, type VerbCommand } from "../core/verbs.ts";
import type { OpenedJob } from "./drivers.ts";
import type { Engine } from "./engine.ts";
import { refusalError } from "./refusal_error.ts";

/** One job to make. */
export interface JobRequest {
  /** Driver type. */
  readonly type: string;
  /** The id; null = internal job: no id, in no list. Absent is refused. */
  readonly id?: string | null;
  /** The driver's parameters. @default {} */
  readonly parameters?: JsonObject;
  /** Bytes per second; 0 = unlimited. @default 0 */
  readonly speed?: number;
  /** False = waits in pending for `finalize`. @default true */
  readonly autoFinalize?: boolean;
  /** False = stays in concluded until `dismiss`. @default true */
  readonly autoDismiss?: boolean;
}

/** Who sends a command, and how it is to be recorded. */
export interface CommandContext {
  /** Who asks. @default the actor that the log was opened with */
  readonly actor?: string;
  /** The way in. @default "api" */
  readonly via?: Via;
  /** The same for everything that belongs to one conversation. */
  readonly correlationId?: string;
  /** A client's name for this command: a repeat returns the first answer. 1 to 200 characters. */
  readonly idempotencyKey?: string;
}

/** A verb of the table, or `start` for a created job. */
export type Verb = JobVerb | "start";

/** Arguments of the verbs that have any. */
export interface VerbArguments {
  /** For `cancel`. @default true */
  readonly force?: boolean;
  /** For `set-speed`: bytes per second, 0 = unlimited. */
  readonly speed?: number;
}

/** Which job a verb is for: the holder of an id, or one run whatever its id. */
export interface Target {
  /** The id; null = internal job. */
  readonly id: string | null;
  /** The run; absent = the one that holds the id now. */
  readonly runId?: string;
}

/** How the jobs of one transaction end. */
export type CompletionMode = "individual" | "grouped";

/** What a creation made. */
export interface Created {
  /** The group; null for jobs that end each on its own. */
  readonly groupId: string | null;
  /** Run ids, in the order of the requests. */
  readonly runIds: readonly string[];
}

interface CommandHead {
  readonly commandId: string;
  readonly metadata: EventMetadata;
  readonly isIdempotent: boolean;
}

type Record = Pick<JobEventData["VerbAccepted"], "verb" | "subject" | "arguments">;

/** Takes commands for one engine. */
export class Commands {
  readonly #engine: Engine;
  readonly #actor: string;
  readonly #underWay = new Map<string, { record: Record; done: Promise<unknown> }>();

  /**
   * @param engine decides and appends
   * @param actor who asks when a command does not say
   */
  constructor(engine: Engine, actor: string) {
    this.#engine = engine;
    this.#actor = actor;
  }

  /** Sends a verb to the job that holds an id, or to one life of it. */
  verb(target: Target, verb: Verb, args: VerbArguments, context: CommandContext): Promise<void> {
    const record = { verb, subject: target.id ?? target.runId ?? "", arguments: { ...args } };
    const { ledger } = this.#engine;
    const runOf = () => target.runId ?? ledger.runOf(record.subject);
    const entryOf = () => ledger.entryOfRun(runOf() ?? "");
    return this.#once(
      record,
      context,
      (head) =>
        this.#engine.whenNotClosing(entryOf, () => this.#verbNow(runOf(), record, args, head)),
      () => Promise.resolve(),
    );
  }

  #verbNow(
    runId: string | undefined,
    record: Record,
    args: VerbArguments,
    head: CommandHead,
  ): Promise<void> {
    this.#engine.assertOpen();
    const { ledger } = this.#engine;
    const entry = runId === undefined ? undefined : ledger.entryOfRun(runId);
    if (runId === undefined || entry === undefined) return this.#refuse(record, UNKNOWN_JOB, head);
    const job = memberOf(entry.head, runId)!;
    const { commandId } = head;
    const command = { ...record, ...args, commandId, runId, ...this.#ask(record.verb, job) };
    const decision = decideVerb(entry.head, command as VerbCommand, ledger.position);
    return this.#engine.answer(decision, commandId, head.metadata, head.isIdempotent);
  }

  /** What only the live driver can say, asked in the same turn as the decision. */
  #ask(verb: string, job: JobState): Partial<VerbCommand> {
    const driver = this.#engine.ledger.entryOfRun(job.runId)?.live.get(job.runId)?.driver;
    if (verb === "cancel") return { canCancelSoftly: driver?.canCancelSoftly?.(job) === true };
    if (verb !== "complete") return {};
    const completeRefusal = driver?.completeRefusal?.(job);
    return completeRefusal === undefined ? {} : { completeRefusal };
  }

  async #refuse(record: Record, refusal: Refusal, head: CommandHead): Promise<never> {
    const { commandId, metadata, isIdempotent } = head;
    const data = { ...record, commandId, code: refusal.code, text: refusal.text };
    const events = [{ stream: ENGINE_STREAM, type: "VerbRefused", data }] as const;
    const key = isIdempotent ? commandId : undefined;
    await this.#engine.ledger.append(events, metadata, key);
    throw refusalError(refusal, record.subject);
  }

  /** Makes one job, or several in one transaction. */
  create(
    requests: readonly JobRequest[],
    options: { verb: "create" | "transaction"; mode: CompletionMode; isStarted: boolean },
    context: CommandContext,
  ): Promise<Created> {
    const record = {
      verb: options.verb,
      subject: requests.map((request) => request.id ?? "").join(","),
      arguments: argumentsOf(requests, options),
    };
    return this.#once(
      record,
      context,
      (head) => this.#createNow(requests, options, record, head),
      (events) => Promise.resolve(createdBy(events)),
    );
  }

  async #createNow(
    requests: readonly JobRequest[],
    options: { verb: "create" | "transaction"; mode: CompletionMode; isStarted: boolean },
    record: Record,
    head: CommandHead,
  ): Promise<Created> {
    const { ports } = this.#engine.options;
    const opened: OpenedJob[] = [];
    const plans: JobPlan[] = [];
    for (const request of requests) {
      const plan = await this.#plan(request, opened);
      plans.push(plan);
      if (plan.refusal !== undefined) break;
    }
    const groupId = options.mode === "grouped" ? ports.newId() : null;
    const command: CreateCommand = {
      ...record,
      verb: options.verb,
      commandId: head.commandId,
      plans,
      groupId,
      rollbackId: ports.newId(),
      isStarted: options.isStarted,
    };
    return await this.#decide(command, opened, head);
  }

  async #decide(
    command: CreateCommand,
    opened: readonly OpenedJob[],
    head: CommandHead,
  ): Promise<Created> {
    const { ledger, drivers } = this.#engine;
    const unused = opened.map((job) => ({ driver: job.driver }));
    try {
      this.#engine.assertOpen();
      const decision = decideCreate(command, ledger.idsInUse, ledger.position);
      const { commandId, metadata, isIdempotent } = head;
      const answer = this.#engine.answer(decision, commandId, metadata, isIdempotent);
      command.plans.forEach((plan, index) => {
        const live = ledger.entryOfRun(plan.runId)?.liveOf(plan.runId);
        const job = unused[index];
        if (live === undefined || job === undefined) return;
        live.driver = job.driver;
        delete unused[index];
      });
      await answer;
      return { groupId: command.groupId, runIds: command.plans.map((plan) => plan.runId) };
    } finally {
      for (const live of unused) await drivers.close(live).catch(() => {});
    }
  }

  async #plan(request: JobRequest, opened: OpenedJob[]): Promise<JobPlan> {
    const plan = {
      runId: this.#engine.options.ports.newId(),
      id: request.id,
      jobType: request.type,
      speed: request.speed ?? 0,
      autoFinalize: request.autoFinalize !== false,
      autoDismiss: request.autoDismiss !== false,
    };
    try {
      const job = await this.#engine.drivers.open(request.type, request.parameters ?? {});
      opened.push(job);
      const { parameters, callbacks, isResumable } = job;
      return { ...plan, parameters, callbacks, isResumable };
    } catch (error) {
      const refusal = refusalOf(error);
      return { ...plan, parameters: {}, callbacks: [], isResumable: false, refusal };
    }
  }

  /** Runs a command once per idempotency key; without a key, always. */
  async #once<T>(
    record: Record,
    context: CommandContext,
    run: (head: CommandHead) => Promise<T>,
    repeat: (events: readonly RecordedEvent[]) => Promise<T>,
  ): Promise<T> {
    this.#engine.assertOpen();
    const head = this.#head(context);
    if (!head.isIdempotent) return await run(head);
    const { commandId } = head;
    const first = this.#underWay.get(commandId);
    if (first !== undefined) {
      assertSame(context.idempotencyKey!, first.record, record);
      return await (first.done as Promise<T>);
    }
    const done = this.#runOrRepeat(head, record, context, run, repeat);
    this.#underWay.set(commandId, { record, done });
    try {
      return await done;
    } finally {
      this.#underWay.delete(commandId);
    }
  }

  async #runOrRepeat<T>(
    head: CommandHead,
    record: Record,
    context: CommandContext,
    run: (head: CommandHead) => Promise<T>,
    repeat: (events: readonly RecordedEvent[]) => Promise<T>,
  ): Promise<T> {
    const events = await this.#engine.options.store.command(head.commandId);
    if (events === undefined) return await run(head);
    const answer = events.find((event) =>
      event.type === "VerbAccepted" || event.type === "VerbRefused"
    ) as (RecordedEvent & JobEvent & { type: "VerbAccepted" | "VerbRefused" }) | undefined;
    if (answer === undefined) throw new Error(`Command ${head.commandId} has no record`);
    assertSame(context.idempotencyKey!, answer.data, record);
    if (answer.type === "VerbRefused") throw refusalError(answer.data, record.subject);
    if (answer.data.isAnsweredLater === true) await this.#laterAnswer(answer, head.commandId);
    return await repeat(events);
  }

  async #laterAnswer(accepted: RecordedEvent, commandId: string): Promise<void> {
    const types = ["VerbAnswered"];
    const { stream, position } = accepted;
    const { store } = this.#engine.options;
    for await (const event of store.readAll({ from: position + 1, stream, types })) {
      const data = event.data as JobEventData["VerbAnswered"];
      if (data.commandId !== commandId) continue;
      if (data.code !== undefined) throw refusalError({ code: data.code, text: data.text ?? "" });
      return;
    }
    await this.#engine.awaitAnswer(commandId);
  }

  #head(context: CommandContext): CommandHead {
    const actor = context.actor ?? this.#actor;
    const key = context.idempotencyKey;
    const commandId = key === undefined
      ? this.#engine.options.ports.newId()
      : `key:${actor}:${key}`;
    const metadata = { actor, via: context.via ?? "api", causationId: commandId };
    const { correlationId } = context;
    return {
      commandId,
      metadata: correlationId === undefined ? metadata : { ...metadata, correlationId },
      isIdempotent: key !== undefined,
    };
  }
}

function argumentsOf(
  requests: readonly JobRequest[],
  options: { verb: string; mode: CompletionMode; isStarted: boolean },
): JsonObject {
  const started = options.isStarted ? {} : { start: false };
  if (options.verb === "create") return { ...requests[0] as unknown as JsonObject, ...started };
  return { jobs: requests as unknown as JsonObject[], completionMode: options.mode, ...started };
}

function createdBy(events: readonly RecordedEvent[]): Created {
  const group = events.find((event) => event.type === "TxnCreated");
  const runIds = events.filter((event) => event.type === "JobCreated")
    .map((event) => String(event.data["runId"]));
  return { groupId: group === undefined ? null : String(group.data["txnId"]), runIds };
}

function assertSame(key: string, first: Record, now: Record): void {
  const text = ({ verb, subject, arguments: args }: Record) =>
    JSON.stringify([verb, subject, args]);
  if (text(first) === text(now)) return;
  throw new JoblogError(
    "idempotencyConflict",
    `Cannot repeat command "${key}": it was "${first.verb}" of "${first.subject}" with other ` +
      "arguments",
    { subject: key, expected: text(first), actual: text(now), hint: "Use a new key." },
  );
}

/** Drivers refuse with codes of their own; a system error becomes `openFailed`. */
function refusalOf(error: unknown): Refusal {
  const text = error instanceof Error ? error.message : String(error);
  if (error instanceof JoblogError) return { code: error.code, text };
  return { code: "openFailed", text };
}
