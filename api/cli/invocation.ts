/**
 * One run of the program: the world, the options that all commands have, and how results are told.
 */
import type { Service } from "../service.ts";
import { usageError } from "./arguments.ts";
import { shellWord } from "./call.ts";
import type { Host } from "./host.ts";
import { withConnection } from "./connection.ts";
import type { Connection } from "./connection.ts";

/** Options of every command. */
export interface GlobalOptions {
  /** File of the log. */
  readonly log?: string;
  /** Results as JSON. */
  readonly json?: boolean;
}

/** The log when nobody names one. */
export const DEFAULT_LOG = "joblog.db";

/** What a command works with. */
export class Invocation {
  /** The world. */
  readonly host: Host;
  /** File of the log. */
  readonly log: string;
  /** True if results are told as JSON. */
  readonly json: boolean;

  /** @param options of the command and of the program */
  constructor(host: Host, options: GlobalOptions) {
    this.host = host;
    this.log = options.log ?? (host.terminal.environment["JOBLOG_LOG"] || DEFAULT_LOG);
    if (this.log === "") throw usageError("log", "names no file", "");
    this.json = options.json === true;
  }

  /** Tells a result: as JSON, one value a line, or in words. */
  tell(value: unknown, words: () => string): void {
    this.host.terminal.out(this.json ? `${JSON.stringify(value)}\n` : words());
  }

  /** Tells something that is no result. */
  note(text: string): void {
    this.host.terminal.err(`${text}\n`);
  }

  /** A command on the same log, as the user can type it. */
  callOf(command: string): string {
    return `${this.host.terminal.program} --log ${shellWord(this.log)} ${command}`;
  }

  /** Asks the log, without writing. */
  async ask<T>(question: (service: Service) => Promise<T>): Promise<T> {
    const opened = await this.host.logs.openReader(this.log);
    try {
      return await question(opened.service);
    } finally {
      await opened.close();
    }
  }

  /** Commands whoever writes the log; see `withConnection`. */
  command<T>(run: boolean, use: (connection: Connection) => Promise<T>): Promise<T> {
    return withConnection(this.host, this.log, run, use);
  }
}
