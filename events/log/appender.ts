/**
 * The appender: the one place where events get their position, and the group commit under it.
 *
 * ```text
 *   append/enqueue -> check at the head -> place in the open group -> schedule
 *   schedule fires -> commit the oldest group -> durable: feed, then waiters -> schedule if more
 * ```
 *
 * Invariants:
 *
 * - appends get their places in the order of the calls, also when one waits for a stream's version;
 * - commits are serial; the next group collects while one commits;
 * - patient appends wait a little for company, and never after somebody waits for a commit;
 * - a group holds at most `maxEvents` events or `maxLength` of text, unless one append is larger;
 * - after a failed commit nothing more is committed: the head contains what the log does not.
 *
 * Called by `event_store.ts` only. Source: DESIGN.md, The log, Appender, Head and durable.
 */
import { type CommandLookup, CommandOutcomes, requireSame } from "./command_outcomes.ts";
import { JoblogError } from "./errors.ts";
import { Feed } from "./feed.ts";
import { Group } from "./group.ts";
import { GroupCommitter, tell } from "./group_committer.ts";
import { checkAppend, placeAppend } from "./placing.ts";
import { readFrontier } from "./proofs.ts";
import { StreamHeads } from "./stream_heads.ts";
import { type AppenderOptions, restFor } from "./appender_options.ts";
import type { LogEnd, StoreBackend } from "./backend.ts";
import type { RecordedEvent } from "./event.ts";
import type { AppendRequest, AppendResult, PendingAppend } from "./store.ts";

/** See the head of this file. */
export class Appender {
  readonly #feed: Feed;
  readonly #clock: { now(): number };
  readonly #schedule: (flush: () => void) => void;
  readonly #scheduleLater: (flush: () => void) => void;
  readonly #maxEvents: number;
  readonly #maxLength: number;
  readonly #heads: StreamHeads;
  readonly #commands: CommandOutcomes;
  readonly #committer: GroupCommitter;
  readonly #groups: Group[] = [];
  readonly #flush = () => void this.#commitNext();
  #position: number;
  #time: number;
  readonly #flushLater = () => {
    this.#scheduledLater = false;
    if (!this.#scheduled) void this.#commitNext();
  };
  #scheduled = false;
  #scheduledLater = false;
  #busy = false;
  #committing: Promise<void> | undefined;
  #gate: Promise<unknown> | undefined;
  #closing = false;
  #failure: Error | undefined;
  readonly #failureListeners = new Set<(error: Error) => void>();

  private constructor(
    feed: Feed,
    commands: CommandOutcomes,
    options: AppenderOptions,
    end: LogEnd,
    heads: StreamHeads,
    committer: GroupCommitter,
  ) {
    this.#feed = feed;
    this.#clock = options.clock;
    this.#schedule = options.schedule ?? ((flush) => void setImmediate(flush));
    this.#scheduleLater = options.scheduleLater ?? this.#schedule;
    this.#maxEvents = options.maxEvents ?? 1_024;
    this.#maxLength = options.maxBytes ?? 1_048_576;
    this.#heads = heads;
    this.#commands = commands;
    this.#committer = committer;
    this.#position = end.position;
    this.#time = end.time;
  }

  /** Makes an appender that goes on where the log ends. */
  static async open(
    backend: StoreBackend,
    feed: Feed,
    lookup: CommandLookup,
    options: AppenderOptions,
  ): Promise<Appender> {
    const end = await backend.end();
    const frontier = await readFrontier(backend, 0, end.position);
    const committer = new GroupCommitter(backend, frontier, () => restFor(options));
    const commands = new CommandOutcomes(lookup, options.maxCommands ?? 8_192, () => feed.end);
    const heads = new StreamHeads(backend, options.maxStreams ?? 100_000, () => feed.end);
    return new Appender(feed, commands, options, end, heads, committer);
  }

  /** Position of the last event given a place. */
  get headPosition(): number {
    return this.#position;
  }

  /** The error that stopped the appender. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** See `EventStore.onFailure`. */
  onFailure(listener: (error: Error) => void): () => void {
    this.#failureListeners.add(listener);
    return () => void this.#failureListeners.delete(listener);
  }

  /** See `EventStore.onReserveReleased`. */
  onReserveReleased(listener: () => void): () => void {
    return this.#committer.onReserveReleased(listener);
  }

  /** See `EventStore.prime`. */
  prime(stream: string): Promise<number> {
    return this.#heads.prime(stream);
  }

  /** See `EventStore.enqueue`. */
  enqueue(request: AppendRequest): PendingAppend {
    this.#checkOpen();
    const known = this.#commands.known(request);
    if (known !== undefined) {
      return { events: known.events, durable: this.#commands.durable(known), repeated: true };
    }
    const { group, placed } = this.#place(request);
    return { events: placed, durable: group.durable, repeated: false };
  }

  /** See `EventStore.append`. */
  append(request: AppendRequest): Promise<AppendResult> {
    try {
      this.#checkOpen();
      if (this.#gate === undefined && this.#isReady(request)) return this.#appendNow(request);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#appendInTurn(request);
  }

  /** See `EventStore.flush`. */
  async flush(): Promise<void> {
    await this.#gate;
    if (this.#failure !== undefined) throw this.#failure;
    const last = this.#groups.at(-1);
    if (last === undefined) return;
    last.isUrgent = true;
    this.#arm();
    await last.durable;
  }

  /** Commits what is queued, without waiting for the schedule, and takes nothing more. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#gate;
    while (this.#failure === undefined && this.#groups.length > 0) await this.#commitNext();
  }

  #checkOpen(): void {
    if (this.#failure !== undefined) {
      throw new JoblogError("logClosed", "Cannot append: an earlier commit failed", {
        hint: "Open the log again; what was not durable is lost, and nobody was told of it.",
        cause: this.#failure,
      });
    }
    if (this.#closing) throw new JoblogError("logClosed", "Cannot append: the log is closed");
  }

  /** Whether an append can be placed without reading anything. */
  #isReady(request: AppendRequest): boolean {
    if (request.commandId !== undefined && !this.#commands.has(request.commandId)) return false;
    for (const part of request.streams) if (!this.#heads.knows(part.stream)) return false;
    return true;
  }

  #appendNow(request: AppendRequest): Promise<AppendResult> {
    const known = this.#commands.known(request);
    if (known !== undefined) {
      const result = { events: known.events, repeated: true };
      return this.#commands.isDurable(known) ? Promise.resolve(result) : known.group.wait(result);
    }
    const { group, placed } = this.#place(request);
    return group.wait({ events: placed, repeated: false });
  }

  /** Reads what is needed at once, and places the append when all before it have theirs. */
  async #appendInTurn(request: AppendRequest): Promise<AppendResult> {
    const before = this.#gate;
    const streams = new Set(request.streams.map((part) => part.stream));
    const read = Promise.all([
      this.#commands.past(request.commandId),
      ...[...streams].map((stream) => this.#heads.prime(stream)),
    ]);
    const placed = Promise.allSettled([before, read]).then(async () => {
      const [past] = await read;
      if (this.#failure !== undefined) this.#checkOpen();
      // Read again what was forgotten while this append waited for those before it.
      for (const stream of streams) if (!this.#heads.knows(stream)) await this.prime(stream);
      if (past !== undefined && !this.#commands.has(request.commandId!)) {
        return { done: Promise.resolve({ events: requireSame(request, past), repeated: true }) };
      }
      // Wrapped, because the turn passes on when the append has its place, not when it is durable.
      return { done: this.#appendNow(request) };
    });
    const turn = placed.catch(() => {}).then(() => {
      if (this.#gate === turn) this.#gate = undefined;
    });
    this.#gate = turn;
    return (await placed).done;
  }

  #place(request: AppendRequest): { group: Group; placed: readonly RecordedEvent[] } {
    const checked = checkAppend(request, this.#heads);
    const time = Math.max(this.#time, Math.floor(this.#clock.now()));
    if (!Number.isSafeInteger(time)) {
      throw new JoblogError("invalidArgument", `Cannot append: the clock says ${time}`);
    }
    const group = this.#groupFor(checked.count, checked.length);
    group.isUrgent ||= request.isPatient !== true;
    const placed = placeAppend(request, checked, this.#heads, group, this.#position, time);
    if (request.commandId !== undefined) {
      const id = request.commandId;
      const firstPosition = this.#position + 1;
      group.commands.push({ id, firstPosition, lastPosition: this.#position + placed.length });
      this.#commands.set(id, { events: placed, group });
    }
    this.#position += placed.length;
    this.#time = time;
    this.#arm();
    return { group, placed };
  }

  #groupFor(count: number, length: number): Group {
    // The group that is being committed is closed; it stays at the front until it is durable.
    const last = this.#groups.length > (this.#busy ? 1 : 0) ? this.#groups.at(-1) : undefined;
    if (
      last !== undefined && last.records.length + count <= this.#maxEvents &&
      last.length + length <= this.#maxLength
    ) {
      return last;
    }
    // A group that nothing more fits into has nothing to wait for.
    if (last !== undefined) last.isUrgent = true;
    const group = new Group();
    this.#groups.push(group);
    return group;
  }

  #arm(): void {
    if (this.#scheduled || this.#busy) return;
    if (this.#groups.some((group) => group.isUrgent)) {
      this.#scheduled = true;
      this.#schedule(this.#flush);
    } else if (!this.#scheduledLater) {
      this.#scheduledLater = true;
      this.#scheduleLater(this.#flushLater);
    }
  }

  /** Commits the oldest group; a call during a commit waits for that one. */
  #commitNext(): Promise<void> {
    this.#scheduled = false;
    if (this.#committing !== undefined) return this.#committing;
    const group = this.#groups[0];
    if (group === undefined || this.#failure !== undefined) return Promise.resolve();
    this.#busy = true;
    this.#committing = this.#committer.commit(group).then((error) => {
      this.#busy = false;
      this.#committing = undefined;
      if (error === undefined) this.#settle(group);
      else this.#die(error);
    });
    return this.#committing;
  }

  #settle(group: Group): void {
    this.#groups.shift();
    this.#feed.publish(group.events, group.records);
    group.resolve();
    if (this.#groups.length > 0) this.#arm();
  }

  #die(error: Error): void {
    this.#failure = error;
    const groups = this.#groups.splice(0);
    tell(this.#failureListeners, error);
    for (const group of groups) group.reject(error);
  }
}
