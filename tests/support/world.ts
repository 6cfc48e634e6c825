/**
 * An engine on virtual time over a log in memory, with toy drivers: the bench of the shell's tests.
 *
 * - `crash` leaves the engine where it stands; `reopen` takes its log up again, as a new process
 *   would. `copyAfter(n)` is the world that a crash after the n-th commit leaves behind.
 * - With `maxEvents: 1` each append is a commit of its own, so that a crash can fall between any
 *   two of them.
 */
import {
  type CommitBatch,
  type EventStore,
  openEventReader,
  openEventStore,
  type StoreBackend,
} from "../../events/log/mod.ts";
import { evolveJob, INITIAL_JOB, type JobEvent, type JobState } from "../../events/job/mod.ts";
import { createMemoryLog, type MemoryLog } from "../../events/store/memory/mod.ts";
import { type Job, Joblog, type JobRequest } from "../../engine/run/mod.ts";
import { Engine } from "../../engine/run/engine.ts";
import { readDirectory } from "../../engine/run/directory.ts";
import { QmpTrace } from "./qmp_trace.ts";
import { Toys, type ToyScript } from "./toy_drivers.ts";
import { VirtualClock, VirtualPorts } from "./virtual_ports.ts";

/** How a world is opened. */
export interface WorldOptions {
  /** Events of a commit at most. @default 512 */
  readonly maxEvents?: number;
  /** Streams that the appender remembers. @default 100,000 */
  readonly maxStreams?: number;
  /** Stands between the store and the log in memory. */
  readonly wrap?: (backend: StoreBackend) => StoreBackend;
  /** False = takes verbs only. @default true */
  readonly isRunning?: boolean;
  /** Kinds of jobs that are not toys. */
  readonly drivers?: { get(type: string): ReturnType<Toys["get"]> };
}

/** What a settled promise came to. */
export type Outcome<T> =
  | { readonly value: T }
  | { readonly error: Error & { readonly code?: string } };

/** See the head of this file. */
export class World {
  /** The driver kinds and what they were called for. */
  readonly toys: Toys;
  /** Time, turns and ids of this process. */
  readonly ports: VirtualPorts;
  /** The log, which outlives the process. */
  readonly log: MemoryLog;
  /** Every commit of all processes of this log. */
  readonly batches: CommitBatch[];
  readonly #options: WorldOptions;
  #engine: Engine | undefined;
  #joblog: Joblog | undefined;
  #store: EventStore | undefined;

  private constructor(
    options: WorldOptions,
    clock: VirtualClock,
    log: MemoryLog,
    batches: CommitBatch[],
    toys: Toys,
  ) {
    this.#options = options;
    this.ports = new VirtualPorts(clock);
    this.log = log;
    this.batches = batches;
    this.toys = toys;
  }

  /** Opens an engine over an empty log. */
  static async open(options: WorldOptions = {}): Promise<World> {
    const log = createMemoryLog({ logId: "0".repeat(32) });
    return await new World(options, new VirtualClock(), log, [], new Toys()).#start();
  }

  /** The engine. */
  get joblog(): Joblog {
    return this.#joblog!;
  }

  /** What is behind the engine's face, for tests of what nobody outside can do. */
  get engine(): Engine {
    return this.#engine!;
  }

  /** Its store. */
  get store(): EventStore {
    return this.#store!;
  }

  /** Opens the log again, whatever became of this engine. */
  async reopen(options: Partial<WorldOptions> = {}): Promise<World> {
    const all = { ...this.#options, ...options };
    return await new World(all, this.ports.clock, this.log, this.batches, this.toys).#start();
  }

  /** The world after a crash behind the n-th commit, opened again. */
  async copyAfter(commits: number, options: Partial<WorldOptions> = {}): Promise<World> {
    const log = createMemoryLog({ logId: "0".repeat(32) });
    const backend = log.open();
    const batches = this.batches.slice(0, commits);
    for (const batch of batches) await backend.commit({ ...batch, token: backend.token });
    await backend.close();
    const clock = new VirtualClock();
    clock.nowMs = this.ports.clock.nowMs;
    for (let count = 0; count < 1_000; count++) clock.newId();
    const all = { ...this.#options, ...options };
    return await new World(all, clock, log, [...batches], new Toys()).#start();
  }

  async #start(): Promise<World> {
    const { wrap = (backend: StoreBackend) => backend, isRunning = true } = this.#options;
    const { maxEvents = 512, maxStreams = 100_000, drivers } = this.#options;
    const backend = wrap(recording(this.log.open(), this.batches));
    const { schedule } = this.ports;
    const bounds = { clock: this.ports, schedule, scheduleLater: schedule, maxEvents, maxStreams };
    this.#store = await openEventStore(backend, bounds);
    const lookup = drivers === undefined ? this.toys : { ...drivers, types: [] };
    this.#engine = new Engine({
      store: this.#store,
      ports: this.ports,
      drivers: { get: (type) => lookup.get(type), types: lookup.types },
      identity: { version: "0", runtime: "virtual", pid: 1 },
      baseFolder: "/",
      isRunning,
    });
    this.#joblog = await this.done(Joblog.over(this.#engine));
    await this.ports.settle();
    return this;
  }

  /** Settles, and gives what a promise came to; fails if it is still pending. */
  async outcome<T>(promise: Promise<T>): Promise<Outcome<T>> {
    let outcome: Outcome<T> | undefined;
    promise.then((value) => outcome = { value }, (error) => outcome = { error });
    await this.ports.settle();
    if (outcome === undefined) throw new Error("The promise is still pending");
    return outcome;
  }

  /** True if a promise is pending once all is settled. */
  async isPending(promise: Promise<unknown>): Promise<boolean> {
    let isPending = true;
    const note = () => void (isPending = false);
    promise.then(note, note);
    await this.ports.settle();
    return isPending;
  }

  /** Settles, and gives the value of a promise. */
  async done<T>(promise: Promise<T>): Promise<T> {
    const outcome = await this.outcome(promise);
    if ("error" in outcome) throw outcome.error;
    return outcome.value;
  }

  /** Settles, and gives the text that a promise was refused with. */
  async refusal(promise: Promise<unknown>): Promise<string> {
    const outcome = await this.outcome(promise);
    if ("error" in outcome) return outcome.error.message;
    throw new Error("It was not refused");
  }

  /** Starts a toy job; its id is also its name in the notes. */
  start(id: string, script: ToyScript = {}, more: Partial<JobRequest> = {}): Promise<Job> {
    return this.done(this.joblog.start(toy(id, script, more)));
  }

  /** The newest state of an id in the log, dismissed ones included. */
  async stateOf(id: string): Promise<JobState> {
    const live = this.joblog.jobs().find((job) => job.id === id);
    if (live !== undefined) return live;
    const events = await this.events();
    const created = events.findLast(({ type, data }) =>
      type === "JobCreated" && (data as { readonly id: string | null }).id === id
    );
    return events.filter(({ stream }) => stream === created?.stream).reduce(evolveJob, INITIAL_JOB);
  }

  /** Everything recorded. */
  async events(): Promise<readonly JobEvent[]> {
    const events: JobEvent[] = [];
    for await (const event of this.store.readAll()) events.push(event as unknown as JobEvent);
    return events;
  }

  /** Unfinished transactions as a read-only fold of the log has them, as JSON text. */
  async folded(): Promise<string> {
    const directory = await readDirectory(openEventReader(this.log.openReadOnly()));
    return JSON.stringify(directory.txns);
  }

  /** The same as the engine has them, durably. */
  live(): string {
    const txns = this.engine.ledger.entries.map(({ durable }) => durable);
    return JSON.stringify(txns.filter(({ position }) => position > 0));
  }

  /** Types of the events of one job, steps and totals left out. */
  async typesOf(job: { readonly runId: string }): Promise<readonly string[]> {
    const events = (await this.events()).filter(({ stream }) => stream === `job-${job.runId}`);
    return events.map(({ type }) => type)
      .filter((type) => type !== "StepTaken" && type !== "ProgressTotalChanged");
  }

  /** What QEMU would have sent, replies (`= ...`) included. */
  async wire(): Promise<readonly string[]> {
    const trace = new QmpTrace();
    return (await this.events()).flatMap((event) => trace.linesOf(event));
  }

  /** What QEMU would have sent without its replies, from a line on. */
  async sent(from = 0): Promise<readonly string[]> {
    return (await this.wire()).filter((line) => !line.startsWith("=")).slice(from);
  }

  /** Closes the engine. */
  close(jobs: "park" | "cancel" = "cancel"): Promise<void> {
    return this.done(this.joblog.close({ jobs }));
  }
}

/** A request for a toy job. */
export function toy(
  id: string | null,
  script: ToyScript = {},
  more: Partial<JobRequest> = {},
): JobRequest {
  const parameters = { name: id ?? "internal", ...script } as unknown as JobRequest["parameters"];
  return { type: "toy", id, parameters: parameters!, ...more };
}

function recording(backend: StoreBackend, batches: CommitBatch[]): StoreBackend {
  return new Proxy(backend, {
    get(target, name) {
      if (name === "commit") {
        return async (batch: CommitBatch) => {
          await target.commit(batch);
          batches.push(batch);
        };
      }
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
