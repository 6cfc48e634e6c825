/**
 * What a command is run with, and what it gives back.
 */
import type { CommandContext, LiveJobs, Service } from "../service.ts";
import type { Arguments } from "./arguments.ts";
import type { Closings } from "./closings.ts";
import type { Ring } from "./ring.ts";
import type { Settling } from "./settling.ts";

/** The version of the server, in the shape of QEMU's. */
export interface QmpVersion {
  /** Three numbers; they are those of joblog. */
  readonly qemu: { readonly micro: number; readonly minor: number; readonly major: number };
  /** What it really is. */
  readonly package: string;
}

/** What leaves no record is counted. */
export interface QmpCounts {
  /** Connections that were accepted. */
  connections: number;
  /** Commands that change something; each of them is in the log. */
  commands: number;
  /** Commands that only ask. */
  queries: number;
  /** Inputs that were no command. */
  malformed: number;
}

/** What all connections of one server share. */
export interface QmpWorld {
  /** The facade. */
  readonly service: Service;
  /** Its engine. */
  readonly live: LiveJobs;
  /** The last events. */
  readonly ring: Ring;
  /** Jobs that a command waits for. */
  readonly closings: Closings;
  /** For the greeting. */
  readonly version: QmpVersion;
  /** Counts. */
  readonly counts: QmpCounts;
  /** Cancels all jobs by force and closes the log; resolves when everything is recorded. */
  quit(): Promise<void>;
}

/** One connection, as its commands are recorded. */
export interface Connection {
  /** Who asks, and in which conversation. */
  readonly context: CommandContext;
}

/** A command that was checked. */
export interface Call {
  /** Shared. */
  readonly world: QmpWorld;
  /** Who asks. */
  readonly connection: Connection;
  /** Its arguments, as the contract has them. */
  readonly args: Arguments;
}

/** What a command returns. */
export interface Replied {
  /** Goes out as `return`. */
  readonly value: unknown;
  /** Events up to here go out before it. */
  readonly position: number;
  /** How it waits for what the command sets off. @default not at all */
  readonly settling?: Settling | undefined;
}

/** Runs one command. */
export interface Handler {
  /** True if it changes something, and so leaves a record of its own. */
  readonly changes: boolean;
  /** Runs it; what it throws is the error of the reply. */
  run(call: Call): Replied | Promise<Replied>;
}
