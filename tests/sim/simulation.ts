/**
 * The world of one run: a disk, processes one after the other, clients and subscribers, and what
 * chance lets happen to them.
 */
import { openEventReader } from "../../events/log/mod.ts";
import { Chance } from "./chance.ts";
import { Clients } from "./clients.ts";
import { SimDisk } from "./disk.ts";
import { Facts } from "./facts.ts";
import { Judge } from "./judge.ts";
import { type Latency, Life } from "./life.ts";
import { type Action, weightsOf } from "./mixture.ts";
import { SimPorts, SimTime, untilQuiet } from "./sim_ports.ts";
import { SimProcess } from "./sim_process.ts";
import { Subscribers } from "./subscribers.ts";

/** Units of one settling; more means that something turns in circles. */
const UNITS_MAX = 200_000;

/** See the head of this file. */
export class Simulation {
  /** Told of breaches. */
  readonly judge: Judge;
  /** What is durable. */
  readonly facts: Facts;
  /** Where the log is. */
  readonly disk: SimDisk;
  /** Who sends commands. */
  readonly clients: Clients;
  /** Who follows the log. */
  readonly subscribers: Subscribers;
  /** How often things happened. */
  readonly tally = { processes: 0, crashes: 0, closes: 0, failures: 0, seconds: 0 };
  /** Draws everything. */
  readonly chance: Chance;
  readonly #time = new SimTime();
  readonly #weights: readonly (readonly [number, Action])[];
  readonly #latency: Latency;
  #process: SimProcess;
  #zombie: SimProcess | undefined;

  /**
   * @param seed decides everything
   * @param tell listens to the story
   */
  constructor(seed: number, tell?: (line: string) => void) {
    this.chance = new Chance(seed);
    this.judge = new Judge(tell);
    this.facts = new Facts(this.judge);
    this.disk = new SimDisk(this.facts, this.judge);
    this.clients = new Clients(this.chance, this.facts, this.judge);
    const reader = openEventReader(this.disk.log.openReadOnly());
    this.subscribers = new Subscribers(this.chance, this.facts, this.judge, reader);
    this.#weights = weightsOf(this.chance);
    this.#latency = this.chance.pick(["none", "turns", "timers"]);
    this.#process = this.#open();
  }

  /** The process of now. */
  get process(): SimProcess {
    return this.#process;
  }

  /** Acts so often, or until a promise is broken. */
  async act(actions: number): Promise<void> {
    for (let count = 0; count < actions && this.judge.breach === undefined; count++) {
      await this.#act(this.chance.weighted(this.#weights));
      await this.#tidyUp();
    }
  }

  async #act(action: Action): Promise<void> {
    const { chance, disk, judge } = this;
    const { life } = this.#process;
    if (this.#process.isOver) return void (this.#process = this.#open());
    switch (action) {
      case "unit":
        return await this.#unit();
      case "time":
        return this.#passTime();
      case "check":
        return this.#process.check();
      case "eio":
        return void disk.commitErrors.push("EIO");
      case "enospc":
        disk.commitErrors.push("ENOSPC");
        if (chance.isOneIn(4)) disk.commitErrors.push("ENOSPC");
        return;
      case "snapshot":
        return void (disk.snapshotErrors += 1);
      case "crash":
        judge.tell(`process ${life.no} is about to die`);
        return life.lightFuse(chance.between(1, 40));
    }
    if (!this.#process.isOpen) return;
    if (action === "command") this.clients.sendAny(this.#process.joblog, life);
    if (action === "subscriber") this.subscribers.act(this.#process.store, life);
    if (action === "close") this.#process.close(chance.isOneIn(3) ? "cancel" : "park");
    if (action === "second" && this.#zombie === undefined) this.#second();
    await untilQuiet();
  }

  async #unit(): Promise<void> {
    if (this.#zombie !== undefined && this.chance.isOneIn(3)) await this.#zombie.life.ports.step();
    const { ports } = this.#process.life;
    if (await ports.step()) return;
    const untilMs = ports.untilTimerMs;
    if (untilMs !== undefined) this.#time.elapsedMs += untilMs;
  }

  #passTime(): void {
    const { chance } = this;
    if (chance.isOneIn(20)) this.#time.skewMs = chance.between(-5_000, 5_000);
    this.#time.elapsedMs += chance.isOneIn(10) ? chance.below(5_000) : chance.below(30);
  }

  #open(isRunning = !this.chance.isOneIn(6)): SimProcess {
    this.tally.processes += 1;
    const no = this.tally.processes;
    const ports = new SimPorts(this.#time, this.chance);
    const life = new Life(no, ports, this.chance, this.#latency);
    const { facts, judge } = this;
    const process = new SimProcess({ life, facts, judge }, isRunning);
    judge.tell(`process ${no} opens${isRunning ? "" : " without running jobs"}`);
    process.open(this.disk, this.chance);
    return process;
  }

  /** Another process takes the log over; the old one does not know yet. */
  #second(): void {
    this.tally.seconds += 1;
    this.#zombie = this.#process;
    this.#zombie.life.excuse = "fenced";
    this.subscribers.release();
    this.#process = this.#open();
  }

  /** Looks after processes that have ended, or that have to. */
  async #tidyUp(): Promise<void> {
    const process = this.#process;
    if (process.life.isDead) {
      this.tally.crashes += 1;
      this.judge.tell(`process ${process.life.no} is dead`);
      this.subscribers.release();
      this.#process = this.#open();
    } else if (process.state === "closed") {
      await this.closed(process);
      this.#process = this.#open();
    }
    const { failure, isOpen } = this.#process;
    if (failure !== undefined && isOpen && this.chance.isOneIn(5)) {
      this.tally.failures += 1;
      this.#process.check();
      this.#process.close("park");
      await untilQuiet();
    }
    await this.#endZombie();
  }

  async #endZombie(): Promise<void> {
    const zombie = this.#zombie;
    if (zombie === undefined) return;
    if (zombie.isOpen && this.chance.isOneIn(30)) {
      zombie.close("park");
      await untilQuiet();
    }
    if (!zombie.isOver) return;
    await this.settle(zombie);
    if (!zombie.life.isDead) this.clients.checkAnswered(zombie.life);
    this.#zombie = undefined;
  }

  /** A process has closed as it should. */
  async closed(process: SimProcess): Promise<void> {
    await this.settle(process);
    this.tally.closes += 1;
    // A fuse may have burnt down on what came after.
    if (!process.life.isDead) {
      process.checkClosed();
      this.clients.checkAnswered(process.life);
      process.life.die();
    }
    this.subscribers.release();
  }

  /** Lets a process go on until only a command could change anything. */
  async settle(process = this.#process): Promise<void> {
    const { ports } = process.life;
    await untilQuiet();
    for (let count = 0; count < UNITS_MAX; count++) {
      if (this.judge.breach !== undefined) return;
      if (await ports.step()) continue;
      const untilMs = ports.untilTimerMs;
      if (untilMs === undefined) return;
      this.#time.elapsedMs += untilMs;
    }
    this.judge.fail("the process never comes to rest");
  }

  /** All faults stop; a process that runs jobs is there afterwards, and is at rest. */
  async calm(): Promise<void> {
    this.disk.commitErrors.length = 0;
    this.disk.snapshotErrors = 0;
    const processes = [this.#zombie, this.#process].filter((process) => process !== undefined);
    for (const process of processes) {
      process.life.putOutFuse();
      await this.settle(process);
      if (!process.isOver && (process === this.#zombie || !this.#isUsable)) {
        await this.close(process, "park");
      } else if (process.state === "closed" && !process.life.isDead) await this.closed(process);
    }
    this.#zombie = undefined;
    this.subscribers.release();
    if (this.#process.isOver) await this.reopen();
    this.#process.check();
  }

  get #isUsable(): boolean {
    const { isOpen, isRunning, failure } = this.#process;
    return isOpen && isRunning && failure === undefined;
  }

  /** Opens the log for running, without faults. */
  async reopen(): Promise<void> {
    this.#process = this.#open(true);
    await this.settle();
    this.judge.check(this.#process.isOpen, "the log cannot be opened");
  }

  /** Closes a process and looks at what it left. */
  async close(process: SimProcess, mode: "park" | "cancel"): Promise<void> {
    if (process.state === "open") process.close(mode);
    await this.settle(process);
    this.judge.check(process.state === "closed", "closing does not end");
    if (this.judge.breach === undefined) await this.closed(process);
  }
}
