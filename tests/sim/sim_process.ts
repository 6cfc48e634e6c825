/**
 * One process of a simulated world: it opens the log, runs the engine, and closes, fails or dies.
 */
import { type EventStore, JoblogError, openEventStore } from "../../events/log/mod.ts";
import type { JobState, TxnState } from "../../events/job/mod.ts";
import { Engine } from "../../engine/run/engine.ts";
import { type CloseMode, Joblog } from "../../engine/run/mod.ts";
import { PATIENCE_MS } from "../../events/log/appender_options.ts";
import type { Chance } from "./chance.ts";
import { NO_SNAPSHOT, type SimDisk } from "./disk.ts";
import type { DriverWorld } from "./driver_world.ts";
import { SimDrivers } from "./drivers.ts";
import type { Life } from "./life.ts";

/** Where a process stands. */
export type ProcessState = "opening" | "open" | "closing" | "closed" | "unopened";

/** See the head of this file. */
export class SimProcess {
  /** Its life. */
  readonly life: Life;
  /** True if it runs jobs. */
  readonly isRunning: boolean;
  /** Where it stands; meaningless once it is dead. */
  state: ProcessState = "opening";
  readonly #world: DriverWorld;
  readonly #drivers: SimDrivers;
  #store: EventStore | undefined;
  #engine: Engine | undefined;
  #joblog: Joblog | undefined;
  #closeMode: CloseMode | undefined;

  /**
   * @param world what its drivers are checked against
   * @param isRunning whether it runs jobs
   */
  constructor(world: DriverWorld, isRunning: boolean) {
    this.#world = world;
    this.life = world.life;
    this.isRunning = isRunning;
    this.#drivers = new SimDrivers(world);
  }

  /** The engine's face. */
  get joblog(): Joblog {
    return this.#joblog!;
  }

  /** Its store. */
  get store(): EventStore {
    return this.#store!;
  }

  /** Why its engine stopped, if it did. */
  get failure(): Error | undefined {
    return this.#engine?.failure;
  }

  /** How it was closed. */
  get closeMode(): CloseMode | undefined {
    return this.#closeMode;
  }

  /** True once it takes commands. */
  get isOpen(): boolean {
    return !this.life.isDead && this.state === "open";
  }

  /** True once nothing more will come from it. */
  get isOver(): boolean {
    return this.life.isDead || this.state === "closed" || this.state === "unopened";
  }

  /** Begins to open the log. */
  open(disk: SimDisk, chance: Chance): void {
    this.#open(disk, chance).then(
      () => this.#become("open"),
      (error: unknown) => this.#openFailed(error),
    );
  }

  async #open(disk: SimDisk, chance: Chance): Promise<void> {
    const { life } = this;
    const { ports } = life;
    this.#store = await openEventStore(disk.open(life), {
      clock: ports,
      schedule: ports.schedule,
      scheduleLater: (flush) => void ports.setTimer(PATIENCE_MS, flush),
      maxEvents: chance.pick([1, 2, 16, 512]),
      maxStreams: chance.pick([2, 5, 100_000]),
      maxCommands: chance.pick([2, 8_192]),
      feed: { maxEvents: chance.pick([1, 4, 4_096]) },
    });
    this.#engine = new Engine({
      store: this.#store,
      ports,
      drivers: this.#drivers,
      identity: { version: "0", runtime: "simulated", pid: life.no },
      baseFolder: "/",
      isRunning: this.isRunning,
    });
    this.#joblog = await Joblog.over(this.#engine);
  }

  #become(state: ProcessState): void {
    if (this.life.isDead) return;
    this.state = state;
    this.#world.judge.tell(`process ${this.life.no} is ${state}`);
  }

  #openFailed(error: unknown): void {
    if (this.life.isDead) return;
    const { judge } = this.#world;
    judge.check(this.life.excuse !== undefined, () => `the log cannot be opened: ${error}`);
    this.#become("unopened");
    this.life.die();
  }

  /** Begins to close. */
  close(jobs: CloseMode): void {
    this.state = "closing";
    this.life.isClosing = true;
    this.#closeMode = jobs;
    this.#world.judge.tell(`process ${this.life.no} closes: ${jobs}`);
    this.joblog.close({ jobs }).then(
      () => this.#become("closed"),
      (error: unknown) => this.#closeFailed(error),
    );
  }

  /** A last snapshot that cannot be kept is told of, and the log is closed all the same. */
  #closeFailed(error: unknown): void {
    if (this.life.isDead) return;
    const isTold = error instanceof JoblogError && error.message === NO_SNAPSHOT;
    if (isTold) this.#become("closed");
    else this.#world.judge.fail(`closing fails: ${error}`);
  }

  /** The engine's durable transactions are those of the log, and it stopped only with a reason. */
  check(): void {
    const { judge, facts } = this.#world;
    const { life, failure } = this;
    if (life.isDead || this.#joblog === undefined) return;
    if (failure !== undefined) {
      const { code } = failure as JoblogError;
      if (code === "fenced") life.excuse ??= "fenced";
      life.isClosing = true;
      judge.check(life.excuse !== undefined, () => `the engine stops without a reason: ${failure}`);
    }
    if (life.untold > 0 || life.excuse === "fenced") return;
    const txns = this.#engine!.ledger.entries.map(({ durable }) => durable);
    const live = JSON.stringify(txns.filter(({ position }) => position > 0));
    const folded = JSON.stringify(facts.directory.txns);
    judge.check(live === folded, () => `live is not the fold: ${live} and ${folded}`);
  }

  /** After a clean close: everything is closed, and the log says so. */
  checkClosed(): void {
    const { judge, facts } = this.#world;
    judge.check(this.#drivers.areClosed, "a driver is not closed");
    judge.check(this.life.ports.untilTimerMs === undefined, "a timer is left after close");
    if (this.failure !== undefined || this.life.excuse === "fenced") return;
    // Its own commit may have met a full disk, which pauses what is left.
    const last = facts.events.findLast(({ type }) => !/^(LogSpaceLow|JobPauseReq)/.test(type));
    judge.check(last?.type === "EngineClosed", "the end is not EngineClosed");
    const { txns } = facts.directory;
    if (this.closeMode === "cancel") {
      // Without running jobs an end may take a next opening.
      judge.check(txns.length === 0 || !this.isRunning, "jobs are left after cancel");
      return;
    }
    for (const job of txns.flatMap(({ jobs }) => jobs)) {
      const canStay = job.isResumable || job.hasRunReturned || !job.isStarted || !this.isRunning;
      judge.check(canStay, `job ${job.id} is left by park and cannot go on`);
    }
  }

  /** Every job that stands still has a reason to. */
  checkQuiet(): void {
    this.#drivers.checkQuiet();
    for (const txn of this.#world.facts.directory.txns) {
      for (const job of txn.jobs) {
        const text = `job ${job.id} is ${job.status} for no reason`;
        this.#world.judge.check(mayRest(job, txn), text);
      }
    }
  }
}

/** Whether a job may stand where it stands until somebody sends a command. */
function mayRest(job: JobState, { jobs, isFinalizing }: TxnState): boolean {
  const hangs = job.parameters["hangs"] === true && !job.isForceCancelled;
  switch (job.status) {
    case "created":
      return !job.isStarted;
    case "running":
      return hangs;
    case "paused":
    case "standby":
      return job.isUserPaused;
    case "ready":
      return hangs || (!job.isCancelRequested && !job.isCompleteRequested);
    case "waiting":
      return jobs.some(({ hasRunReturned }) => !hasRunReturned);
    case "pending":
      return !isFinalizing && jobs.some(({ autoFinalize }) => !autoFinalize);
    default:
      return job.status === "concluded" || job.status === "null";
  }
}
