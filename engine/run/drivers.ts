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
import type { NodeSession, SessionOwner } from "../graph/mod.ts";
import { Claims } from "./claims.ts";
import type { LiveDriver } from "./entry.ts";

/** What the opening of drivers needs. */
export interface DriverPlace {
  /** Kinds of jobs. */
  readonly drivers: { get(type: string): Driver };
  /** Folder against which relative file names resolve. */
  readonly baseFolder: string;
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
  readonly #claims = new Claims();
  readonly #closings = new Set<Promise<void>>();
  readonly #openSession: (owner: SessionOwner) => NodeSession;
  /** Sessions of the drivers that asked for one. */
  readonly #sessions = new WeakMap<DriverJob, NodeSession>();

  /**
   * @param place kinds of jobs and the base folder
   * @param openSession makes a job's way into the graph of nodes
   */
  constructor(place: DriverPlace, openSession: (owner: SessionOwner) => NodeSession) {
    this.#place = place;
    this.#openSession = openSession;
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
    const lend = () => session ??= this.#openSession({ runId, type });
    try {
      const opened = await driver.open(parameters, this.#context(isRecovery, lend));
      if (session !== undefined) this.#sessions.set(opened, session);
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

  /** Closes a job's driver, once its run has ended. Safe to call twice. */
  async close(live: { driver: DriverJob | undefined }): Promise<void> {
    const { driver } = live;
    live.driver = undefined;
    const session = driver && this.#sessions.get(driver);
    if (driver === undefined || driver.close === undefined && session === undefined) return;
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

  /** A job that has concluded may still be closing its files: that is waited for. */
  async #claim(subject: string, use: Use): Promise<(() => void) | undefined> {
    const release = this.#claims.claim(subject, use);
    if (release !== undefined || this.#closings.size === 0) return release;
    await Promise.allSettled(this.#closings);
    return this.#claims.claim(subject, use);
  }

  #context(isRecovery: boolean, lend: () => NodeSession): OpenContext {
    const { baseFolder } = this.#place;
    return {
      isRecovery,
      baseFolder,
      claim: (subject, use) => this.#claim(subject, use),
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
