/**
 * Creation: drivers are opened first, then one decision makes the jobs or refuses them.
 *
 * Changes of bitmaps among the jobs of a transaction are done in their turn and recorded in one
 * append with the jobs; if anything is refused they are undone, after the jobs.
 */
import type { JsonObject, RecordedEvent } from "../../events/log/event.ts";
import { JoblogError } from "../../events/log/errors.ts";
import { errnoError, jobErrorOf } from "../../events/job/mod.ts";
import { type CreateCommand, decideCreate, type JobPlan } from "../core/create.ts";
import type { Refusal } from "../core/refusals.ts";
import type { OpenedJob } from "./drivers.ts";
import {
  type BitmapAction,
  type BitmapChanges,
  deviceNotFound,
  graphError,
  type GraphRefusal,
  noSuchDevice,
} from "../graph/mod.ts";
import type { Engine } from "./engine.ts";
import { graphEvents } from "./graph_host.ts";
import type {
  CommandHead,
  CommandRecord,
  CompletionMode,
  Created,
  CreateOptions,
  JobRequest,
  TransactionMember,
} from "./requests.ts";

/** Makes jobs for one engine. */
export class Creation {
  readonly #engine: Engine;

  /** @param engine decides and appends */
  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /**
   * Opens the drivers and decides. A refusal rejects after it was recorded; then, and when nothing
   * could be decided, the drivers are closed again.
   */
  create(
    requests: readonly TransactionMember[],
    options: CreateOptions,
    record: CommandRecord,
    head: CommandHead,
  ): Promise<Created> {
    const create = () => this.#create(requests, options, record, head);
    // Nobody else may meet bitmaps that may have to be as they were.
    return requests.some(meetsBitmaps) ? this.#engine.nodes.turns.run(create) : create();
  }

  async #create(
    requests: readonly TransactionMember[],
    options: CreateOptions,
    record: CommandRecord,
    head: CommandHead,
  ): Promise<Created> {
    const { nodes, options: { ports } } = this.#engine;
    const opened: OpenedJob[] = [];
    const plans: JobPlan[] = [];
    const bitmaps = nodes.bitmapChanges();
    for (const request of requests) {
      const plan = isAction(request)
        ? await this.#change(request, bitmaps, options.mode)
        : await this.#plan(request, opened);
      if (plan !== undefined) plans.push(plan);
      if (plan?.refusal !== undefined) break;
    }
    if (plans.at(-1)?.refusal === undefined) plans.push(...this.#clash(bitmaps));
    const isGroup = options.mode === "grouped" && plans.length > 0;
    const groupId = isGroup ? ports.newId() : null;
    const command: CreateCommand = {
      ...record,
      verb: options.verb,
      commandId: head.commandId,
      plans,
      groupId,
      rollbackId: ports.newId(),
      isStarted: options.isStarted,
      changes: graphEvents(bitmaps.changes),
    };
    return await this.#decide(command, opened, head, bitmaps);
  }

  async #decide(
    command: CreateCommand,
    opened: readonly OpenedJob[],
    head: CommandHead,
    bitmaps: BitmapChanges,
  ): Promise<Created> {
    const { ledger, drivers, nodes } = this.#engine;
    const unused = new Set(opened.keys());
    let isMade = false;
    try {
      this.#engine.assertOpen();
      const decision = decideCreate(command, ledger.idsInUse, ledger.position);
      const { commandId, metadata, isIdempotent } = head;
      const place = bitmaps.changes.length > 0 ? nodes : ledger;
      const answer = this.#engine.answer(decision, commandId, metadata, isIdempotent, place);
      command.plans.forEach((plan, index) => {
        const live = ledger.entryOfRun(plan.runId)?.liveOf(plan.runId);
        const job = opened[index];
        if (live === undefined || job === undefined) return;
        live.driver = job.driver;
        unused.delete(index);
      });
      await answer;
      isMade = true;
      return { groupId: command.groupId, runIds: command.plans.map((plan) => plan.runId) };
    } finally {
      for (const index of unused) {
        await drivers.close({ driver: opened[index]!.driver }).catch(() => {});
      }
      if (isMade) bitmaps.keep();
      else bitmaps.undo();
    }
  }

  /** Does one change of a bitmap; a plan only to refuse it. */
  async #change(
    action: BitmapAction,
    bitmaps: BitmapChanges,
    mode: CompletionMode,
  ): Promise<JobPlan | undefined> {
    if (mode === "grouped") return this.#refusing(noGroup(action.action));
    try {
      await this.#engine.nodes.rebuild();
      await bitmaps.apply(action);
      return undefined;
    } catch (error) {
      return this.#refusing(refusalOf(error));
    }
  }

  /** A job that ended may have taken a node with it since. */
  #clash(bitmaps: BitmapChanges): readonly JobPlan[] {
    try {
      bitmaps.check();
      return [];
    } catch (error) {
      return [this.#refusing(refusalOf(error))];
    }
  }

  /** A member that is there to undo those before it. */
  #refusing(refusal: Refusal): JobPlan {
    const runId = this.#engine.options.ports.newId();
    const ending = { autoFinalize: true, autoDismiss: true };
    return { runId, id: null, jobType: "abort", speed: 0, ...ending, ...NOT_OPENED, refusal };
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
      if (request.refusal !== undefined) {
        return { ...plan, ...NOT_OPENED, refusal: request.refusal };
      }
      const job = await this.#open(request, plan.runId);
      opened.push(job);
      const { parameters, callbacks, isResumable } = job;
      return { ...plan, parameters, callbacks, isResumable };
    } catch (error) {
      const refusal = fileRefusal(error, request) ?? refusalOf(error);
      if (!LATE_CODES.has(refusal.code)) return { ...plan, ...NOT_OPENED, refusal };
      const { parameters = {} } = request;
      return { ...plan, ...NOT_OPENED, parameters, refusal, isRefusedLate: true };
    }
  }

  /**
   * A job that was told to have ended may still let go of a node, or remove a file that it made:
   * whatever failed meanwhile is tried again when it has.
   */
  async #open(request: JobRequest, runId: string): Promise<OpenedJob> {
    const { drivers } = this.#engine;
    const { isClosing } = drivers;
    try {
      return await this.#tryOpen(request, runId);
    } catch (error) {
      const isHeld = error instanceof JoblogError && HELD_CODES.has(error.code);
      const mayBeOver = isHeld && await drivers.closed();
      if (!isClosing && !mayBeOver) throw error;
      await drivers.closed();
      return await this.#tryOpen(request, runId);
    }
  }

  async #tryOpen(request: JobRequest, runId: string): Promise<OpenedJob> {
    const { drivers } = this.#engine;
    const { type, nodes = [], parameters = {} } = request;
    if (nodes.length > 0) {
      await this.#engine.nodes.rebuild();
      await drivers.precheck(request, runId);
      const missing = this.#missingNode(request);
      if (missing !== undefined) throw graphError(missing);
    }
    return await drivers.open(type, parameters, runId);
  }

  /** The first parameter that must name an open node and does not. */
  #missingNode({ type, nodes = [], parameters = {} }: JobRequest): GraphRefusal | undefined {
    const { graph } = this.#engine.nodes;
    const names = nodes.map((parameter) => String(parameters[parameter]));
    const missing = names.find((name) => graph.view.node(name) === undefined);
    if (missing === undefined) return undefined;
    return type === "commit" ? deviceNotFound(missing) : noSuchDevice(missing);
  }
}

/** Who may do what to a node is asked when the id is taken. Source: QEMU 7.2 block_job_create. */
const LATE_CODES: ReadonlySet<string> = new Set(["nodeReadOnly", "permissionConflict"]);

const HELD_CODES: ReadonlySet<string> = new Set([
  "nodeBusy",
  "notRootNode",
  "permissionConflict",
  "duplicateNode",
]);

const NOT_OPENED = { parameters: {}, callbacks: [], isResumable: false } as const;

/** Source: QEMU 7.2 blockdev.c action_check_completion_mode. */
function noGroup(action: string): Refusal {
  const text = `Action '${action}' does not support Transaction property completion-mode = grouped`;
  return { code: "transactionAborted", text };
}

/** True for a change of a bitmap, false for a job. */
export function isAction(member: TransactionMember): member is BitmapAction {
  return "action" in member;
}

/** True if others must not change bitmaps while this is made. */
function meetsBitmaps(member: TransactionMember): boolean {
  return isAction(member) || member.parameters?.["bitmap"] !== undefined;
}

/** The arguments of a creation as they are recorded. */
export function argumentsOf(
  requests: readonly TransactionMember[],
  options: CreateOptions,
): JsonObject {
  const started = options.isStarted ? {} : { start: false };
  if (options.verb === "create") return { ...requests[0] as unknown as JsonObject, ...started };
  const members = requests as unknown as JsonObject[];
  const named = requests.some(isAction) ? { actions: members } : { jobs: members };
  return { ...named, completionMode: options.mode, ...started };
}

/** What a creation made, read from its own events. */
export function createdBy(events: readonly RecordedEvent[]): Created {
  const group = events.find((event) => event.type === "TxnCreated");
  const runIds = events.filter((event) => event.type === "JobCreated")
    .map((event) => String(event.data["runId"]));
  return { groupId: group === undefined ? null : String(group.data["txnId"]), runIds };
}

/** Who asks by nodes is told in the graph's words of a file that cannot be opened. */
function fileRefusal(
  error: unknown,
  { nodes = [], parameters = {} }: JobRequest,
): Refusal | undefined {
  const { target } = parameters;
  const isFile = nodes.length > 0 && !nodes.includes("target") && typeof target === "string";
  const { operation, code, errno } = error as Partial<Record<string, unknown>>;
  // One that another job uses has QEMU's words already.
  if (!isFile || operation !== "open" || errno === undefined || code === "EBUSY") return undefined;
  const text = `Could not open '${target}': ${errnoError(String(code)).text}`;
  return { code: "openFailed", text };
}

/** Drivers refuse with codes of their own; a system error becomes `openFailed`. */
function refusalOf(error: unknown): Refusal {
  const told = (error as { readonly hint?: unknown } | null | undefined)?.hint;
  const hint = typeof told === "string" ? { hint: told } : {};
  if (error instanceof JoblogError) return { code: error.code, text: error.message, ...hint };
  const message = error instanceof Error ? error.message : "";
  return { code: "openFailed", text: message === "" ? jobErrorOf(error).text : message, ...hint };
}
