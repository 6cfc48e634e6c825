/**
 * Opens and closes drivers, for new jobs and for jobs of an earlier process.
 */
import type { JsonObject } from "../../events/log/event.ts";
import {
  type CallbackName,
  type JobError,
  jobErrorOf,
  type JobState,
} from "../../events/job/mod.ts";
import type { Driver, DriverJob, OpenContext, Use } from "../drivers/driver.ts";
import type { Graph, NodeSession, SessionOwner } from "../graph/mod.ts";
import type { LiveDriver } from "./entry.ts";
import type { JobRequest } from "./requests.ts";

/** What the opening of drivers needs. */
export interface DriverPlace {
  /** Kinds of jobs. */
  readonly drivers: { get(type: string): Driver };
  /** Folder against which relative file names resolve. */
  readonly baseFolder: string;
}

/** The graph of nodes, as drivers meet it. */
export interface NodePlace {
  /** The nodes, and who uses which image file. */
  readonly graph: Pick<Graph, "locks">;
  /** What one opening of a driver does with the graph. */
  session(owner: SessionOwner): NodeSession;
}

const CALLBACKS: readonly CallbackName[] = ["complete", "prepare", "commit", "abort", "clean"];

/** A driver that was opened for a new job. */
export interface OpenedJob {
  /** Checked parameters. */
  readonly parameters: JsonObject;
  /** The driver's callbacks. */
  readonly driver: DriverJob;
  /** Their names. */
  readonly callbacks: readonly CallbackName[];
  /** True if it can go on from a checkpoint. */
  readonly isResumable: boolean;
}

/** Opens and closes drivers. */
export class Drivers {
  readonly #place: DriverPlace;
  readonly #closings = new Set<Promise<void>>();
  readonly #nodes: NodePlace;
  /** Sessions of the drivers that asked for one. */
  readonly #sessions = new WeakMap<DriverJob, () => NodeSession | undefined>();

  /**
   * @param place kinds of jobs and the base folder
   * @param nodes a job's way into the graph of nodes
   */
  constructor(place: DriverPlace, nodes: NodePlace) {
    this.#place = place;
    this.#nodes = nodes;
  }

  /**
   * Checks the parameters of a new job and opens its driver.
   *
   * @throws {JoblogError} code "unknownJobType" when no driver has this type
   * @throws {JoblogError} code "invalidParameter" when the driver refuses the parameters
   * @throws whatever the driver's `open` rejects with
   */
  async open(type: string, input: JsonObject, runId: string): Promise<OpenedJob> {
    const driver = this.#place.drivers.get(type);
    const parameters = driver.parameters(input);
    const opened = await this.#open(driver, parameters, { runId, type }, false);
    const callbacks = CALLBACKS.filter((name) => opened[name] !== undefined);
    return { parameters, driver: opened, callbacks, isResumable: driver.isResumable === true };
  }

  /**
   * What a driver refuses before its parameters are checked.
   *
   * @throws {JoblogError} as the driver's `precheck`
   */
  async precheck(
    { type, parameters = {}, nodes = [] }: JobRequest,
    runId: string,
  ): Promise<void> {
    const driver = this.#place.drivers.get(type);
    if (driver.precheck === undefined) return;
    const session = this.#nodes.session({ runId, type });
    try {
      driver.precheck(parameters, session, nodes);
    } finally {
      await session.release();
    }
  }

  /** Opens the driver of a job that an earlier process left. */
  async reopen(job: JobState): Promise<DriverJob> {
    const driver = this.#place.drivers.get(job.type);
    return await this.#open(driver, job.parameters, job, true);
  }

  /** A session that the driver asked for ends with the driver, or with its failure to open. */
  async #open(
    driver: Driver,
    parameters: JsonObject,
    { runId, type }: SessionOwner,
    isRecovery: boolean,
  ): Promise<DriverJob> {
    let session: NodeSession | undefined;
    const lend = () => session ??= this.#nodes.session({ runId, type });
    try {
      const context = this.#context(isRecovery, lend, () => session?.used);
      const opened = await driver.open(parameters, context);
      // A driver may ask for its session as late as in its run.
      this.#sessions.set(opened, () => session);
      return opened;
    } catch (error) {
      await (session as NodeSession | undefined)?.release();
      throw error;
    }
  }

  /** Opens a job's driver unless it is open. */
  async ensure(live: LiveDriver, job: JobState): Promise<DriverJob> {
    live.driver ??= await this.reopen(job);
    return live.driver;
  }

  /** Forgets a driver that has nothing to close. Returns false if it has to be closed. */
  dropUnheld(live: { driver: DriverJob | undefined }): boolean {
    const { driver } = live;
    const session = driver && this.#sessions.get(driver)?.();
    if (driver?.close !== undefined || session !== undefined) return false;
    live.driver = undefined;
    return true;
  }

  /** Closes a job's driver, once its run has ended. Safe to call twice. */
  async close(live: { driver: DriverJob | undefined }): Promise<void> {
    const { driver } = live;
    if (driver === undefined || this.dropUnheld(live)) return;
    live.driver = undefined;
    const session = this.#sessions.get(driver)?.();
    const closing = closeBoth(driver, session);
    this.#closings.add(closing);
    try {
      await closing;
    } finally {
      this.#closings.delete(closing);
    }
  }

  /** Any thrown value as an error with an errno. */
  errorOf(thrown: unknown): JobError {
    return jobErrorOf(thrown);
  }

  /** True while drivers are being closed. */
  get isClosing(): boolean {
    return this.#closings.size > 0;
  }

  /**
   * Waits for drivers that are being closed: a job that has concluded may still hold its files.
   *
   * @returns true if there were any
   */
  async closed(): Promise<boolean> {
    if (this.#closings.size === 0) return false;
    await Promise.allSettled(this.#closings);
    return true;
  }

  async #claim(
    subject: string,
    use: Use,
    used: () => ReadonlySet<string> | undefined,
  ): Promise<(() => void) | undefined> {
    const claim = () => this.#nodes.graph.locks.claim(subject, use, used());
    try {
      const release = claim();
      if (release !== undefined) return release;
    } catch (error) {
      if (this.#closings.size === 0) throw error;
    }
    return await this.closed() ? claim() : undefined;
  }

  #context(
    isRecovery: boolean,
    lend: () => NodeSession,
    used: () => ReadonlySet<string> | undefined,
  ): OpenContext {
    const { baseFolder } = this.#place;
    return {
      isRecovery,
      baseFolder,
      claim: (subject, use) => this.#claim(subject, use, used),
      get nodes() {
        return lend();
      },
    };
  }
}

/** What a driver has taken is given back after its last call, whatever came of that. */
async function closeBoth(driver: DriverJob, session: NodeSession | undefined): Promise<void> {
  try {
    await driver.close?.();
  } finally {
    await session?.release();
  }
}
