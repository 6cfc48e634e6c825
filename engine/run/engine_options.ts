/**
 * What an engine is made of.
 */
import type { EventStore } from "../../events/log/store.ts";
import type { Driver } from "../drivers/driver.ts";
import type { Ports, ProcessIdentity } from "./ports.ts";

/** Where the engine finds kinds of jobs. */
export interface DriverLookup {
  /** The driver of a type. @throws {JoblogError} code "unknownJobType" when there is none */
  get(type: string): Driver;
  /** All types. */
  readonly types: readonly string[];
}

/** What an engine is made of. */
export interface EngineOptions {
  /** The log, open for writing; the engine closes it. */
  readonly store: EventStore;
  /** Time, turns and ids. */
  readonly ports: Ports;
  /** Kinds of jobs. */
  readonly drivers: DriverLookup;
  /** Who this process is. */
  readonly identity: ProcessIdentity;
  /** Folder against which relative file names resolve. */
  readonly baseFolder: string;
  /** False = takes verbs and runs closing callbacks, but no job. @default true */
  readonly isRunning?: boolean;
}
