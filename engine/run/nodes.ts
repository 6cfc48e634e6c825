/**
 * Commands about nodes and bitmaps, with their records, and the ways in for guests.
 *
 * Every command that arrives here leaves exactly one `VerbAccepted` or `VerbRefused` in the stream
 * `graph`, in one append with what it changed. Its text is QEMU's.
 */
import type { EventMetadata, JsonObject } from "../../events/log/event.ts";
import { JoblogError } from "../../events/log/errors.ts";
import { type BitmapName, GRAPH_STREAM, jobErrorOf, type NodeVerb } from "../../events/job/mod.ts";
import {
  type BitmapRequest,
  type BitmapVerb,
  type Edge,
  type GraphChange,
  graphRefusalOf,
  type NodeInfo,
  nodeInfos,
  type Recorder,
} from "../graph/mod.ts";
import type { Commands } from "./commands.ts";
import type { Engine } from "./engine.ts";
import { graphEvents } from "./graph_host.ts";
import type { CommandContext, CommandHead, CommandRecord } from "./requests.ts";

/** A bitmap to merge into another: by name on the same node, or on any node. */
export type MergeSource = string | BitmapName;

/** Codes of errors after which there is no record to be made: the log itself has failed. */
const LOG_FAILED: ReadonlySet<string> = new Set(["logClosed", "commitFailed", "fenced"]);

/** The nodes of one engine. */
export class Nodes {
  readonly #engine: Engine;
  readonly #commands: Commands;

  /** Takes commands for one engine. */
  constructor(engine: Engine, commands: Commands) {
    this.#engine = engine;
    this.#commands = commands;
  }

  /** All nodes, oldest first; durable, with what only the open node can say. */
  list(): readonly NodeInfo[] {
    const { graph, durable } = this.#engine.nodes;
    return nodeInfos(durable, graph);
  }

  /** Resolves when jobs that have ended have let go of their nodes. */
  async settled(): Promise<void> {
    await this.#engine.drivers.closed();
  }

  /**
   * Opens a node, and those that its definition has in place.
   *
   * @param options QEMU's option object, such as `{"driver":"raw","node-name":"x","file":{...}}`
   * @returns its name, when it is open and recorded
   * @throws {JoblogError} as `Graph.add`
   */
  async add(options: JsonObject, context: CommandContext = {}): Promise<string> {
    const name = String(options["node-name"] ?? "");
    await this.#command("blockdev-add", name, options, context, async (record) => {
      await this.#engine.nodes.graph.add(options, record);
    });
    return name;
  }

  /** Deletes a node. @throws {JoblogError} as `Graph.remove` */
  remove(name: string, context: CommandContext = {}): Promise<void> {
    const { nodes: { graph }, drivers } = this.#engine;
    return this.#command("blockdev-del", name, {}, context, async (record) => {
      try {
        await graph.remove(name, record);
      } catch (error) {
        // A job that was told to have ended may still let go of it.
        if (graphRefusalOf(error) === undefined || !await drivers.closed()) throw error;
        await graph.remove(name, record);
      }
    });
  }

  /** Gives nodes other options. @throws {JoblogError} as `Graph.reopen` */
  reopen(options: readonly JsonObject[], context: CommandContext = {}): Promise<void> {
    const subject = options.map((each) => String(each["node-name"] ?? "")).join(",");
    const { graph } = this.#engine.nodes;
    const args = { options };
    return this.#command(
      "blockdev-reopen",
      subject,
      args,
      context,
      (record) => graph.reopen(options, record),
      options.length,
    );
  }

  /** Adds a dirty bitmap. @throws {JoblogError} as `decideBitmapAdd` */
  addBitmap(request: BitmapRequest, context: CommandContext = {}): Promise<void> {
    return this.#bitmap("add", request, context);
  }

  /** Removes, clears, enables or disables one. @throws {JoblogError} as `decideBitmapVerb` */
  bitmap(verb: BitmapVerb, name: BitmapName, context: CommandContext = {}): Promise<void> {
    return this.#bitmap(verb, name, context);
  }

  #bitmap(verb: "add" | BitmapVerb, request: BitmapRequest, context: CommandContext) {
    const { node, bitmap, ...rest } = request;
    const { graph } = this.#engine.nodes;
    const args = { bitmap, ...rest };
    return this.#command(
      `block-dirty-bitmap-${verb}`,
      node,
      args,
      context,
      (record) => graph.bitmap(verb, request, record),
    );
  }

  /** Sets the bits of some bitmaps in another one. @throws {JoblogError} as `decideBitmapMerge` */
  mergeBitmaps(
    target: BitmapName,
    sources: readonly MergeSource[],
    context: CommandContext = {},
  ): Promise<void> {
    const { node, bitmap } = target;
    const { graph } = this.#engine.nodes;
    const args = { bitmap, sources };
    return this.#command(
      "block-dirty-bitmap-merge",
      node,
      args,
      context,
      (record) => graph.mergeBitmaps(target, sources, record),
    );
  }

  /**
   * Lets a guest, or any writer that is no job, write through a node. Not recorded, as what is
   * written is not. Close the edge when it is done.
   *
   * @throws {JoblogError} as `Graph.writer`; code "permissionConflict", too, while a job is
   * unfinished and this process runs none: nobody would tell the job of what is written
   */
  async writer(name: string): Promise<Edge> {
    this.#engine.assertOpen();
    this.#assertNoJobRests(name);
    await this.#engine.nodes.rebuild();
    return await this.#afterClosings(() => this.#engine.nodes.graph.writer(name));
  }

  #assertNoJobRests(name: string): void {
    const { isRunning, ledger } = this.#engine;
    if (isRunning) return;
    const jobs = ledger.entries.flatMap(({ durable }) => durable.jobs);
    const resting = jobs.find((job) => job.isStarted && !job.hasRunReturned);
    if (resting === undefined) return;
    const why = `job '${resting.id}' is unfinished, and no jobs run here`;
    throw new JoblogError("permissionConflict", `Cannot write through node '${name}': ${why}`, {
      subject: name,
      hint: "Let this process run jobs, or end the job first.",
    });
  }

  /** As `writer`, for reading only. */
  async reader(name: string): Promise<Edge> {
    this.#engine.assertOpen();
    await this.#engine.nodes.rebuild();
    return await this.#afterClosings(() => this.#engine.nodes.graph.reader(name));
  }

  /** Does what was refused once more if jobs that are over were still closing their files. */
  async #afterClosings<T>(work: () => T | Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const isRefused = error instanceof JoblogError && error.code === "permissionConflict";
      if (!isRefused || !await this.#engine.drivers.closed()) throw error;
      return await work();
    }
  }

  async #command(
    verb: NodeVerb,
    subject: string,
    args: object,
    context: CommandContext,
    work: (record: Recorder) => Promise<void>,
    recordCount = 1,
  ): Promise<void> {
    const record = { verb, subject, arguments: args as JsonObject };
    // Refused by a lock it has changed nothing yet, unless it is one of several changes.
    const again = (accept: Recorder) => this.#afterClosings(() => work(accept));
    const run = (head: CommandHead) =>
      this.#engine.nodes.turns.run(() =>
        this.#run(record, head, recordCount === 1 ? again : work, recordCount)
      );
    await this.#commands.once(record, context, run, () => undefined);
  }

  async #run(
    record: CommandRecord,
    head: CommandHead,
    work: (record: Recorder) => Promise<void>,
    recordCount: number,
  ): Promise<void> {
    this.#engine.assertOpen();
    const { nodes } = this.#engine;
    await nodes.rebuild();
    const { commandId, metadata } = head;
    const options = head.isIdempotent ? { commandId } : {};
    let left = recordCount;
    const accept: Recorder = (changes) => {
      left -= 1;
      // The changes before the last are the command's, too, but its record is still to come.
      if (left > 0) return nodes.append(graphEvents(changes), withoutCause(metadata));
      return nodes.append(
        [...graphEvents(changes), accepted(record, commandId)],
        metadata,
        options,
      );
    };
    try {
      await work(accept);
      if (recordCount === 0) await accept([] as readonly GraphChange[]);
    } catch (error) {
      if (left <= 0 || isOfLog(error)) throw error;
      const refusal = graphRefusalOf(error) ??
        { code: "openFailed", text: jobErrorOf(error).text };
      const data = { ...record, commandId, code: refusal.code, text: refusal.text };
      const refused = { stream: GRAPH_STREAM, type: "VerbRefused", data } as const;
      await nodes.append([refused], metadata, options);
      throw error;
    }
  }
}

function accepted(record: CommandRecord, commandId: string) {
  const data = { ...record, commandId };
  return { stream: GRAPH_STREAM, type: "VerbAccepted", data } as const;
}

function withoutCause({ causationId: _cause, ...rest }: EventMetadata): EventMetadata {
  return rest;
}

function isOfLog(error: unknown): boolean {
  return error instanceof JoblogError && LOG_FAILED.has(error.code);
}
