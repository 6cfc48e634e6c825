/**
 * Finds who takes a command: the live writer of the log over its socket, or, if there is none, this
 * process, which then becomes the writer.
 *
 * - A writer may come or go meanwhile: who finds the log held and nobody listening looks again for
 *   {@linkcode PATIENCE_MS}. A command is sent at most once.
 */
import { JoblogError, type Service } from "../service.ts";
import { type Commands, NobodyListens, remoteCommands } from "./client.ts";
import type { Host, OpenedLog } from "./host.ts";

/** How long a writer that comes or goes is waited for. */
export const PATIENCE_MS = 5_000;

const PAUSE_MS = 40;

/** Whoever takes commands, and the log for reading. */
export interface Connection {
  /** Takes commands. */
  readonly commands: Commands;
  /** Answers queries. */
  readonly service: Service;
  /** True if this process is the writer. */
  readonly isOwn: boolean;
  /** Ends it; as the writer, parks resumable jobs. */
  close(): Promise<void>;
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}

function localCommands(service: Service, user: string): Commands {
  const context = { actor: user, via: "cli" } as const;
  return {
    create: (body) => service.create(body, context),
    verb: (id, verb, body) => service.verb(id, verb, body, context),
  };
}

async function own(host: Host, log: string, run: boolean): Promise<Connection> {
  const opened = await host.logs.openWriter(log, run);
  const commands = localCommands(opened.service, host.terminal.user);
  if (!run) return { commands, service: opened.service, isOwn: true, close: opened.close };
  try {
    const served = await host.logs.serveSocket(log, opened.service);
    const close = async () => {
      await served.stop();
      await opened.close();
    };
    return { commands, service: opened.service, isOwn: true, close };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

function unreachable(log: string, cause: unknown): JoblogError {
  const text = `Cannot send to the writer of log "${log}": it does not listen beside the log`;
  return new JoblogError("writerUnreachable", text, {
    subject: log,
    hint: "Another program has opened the log for itself: use it, or end it.",
    cause,
  });
}

/**
 * Does something with whoever takes commands.
 *
 * @param run true: this process runs jobs if it becomes the writer; false: it takes verbs only
 * @param use is called once per attempt; an attempt that found nobody listening sent nothing
 * @throws {JoblogError} code "writerUnreachable", and what opening or the command throws
 */
export async function withConnection<T>(
  host: Host,
  log: string,
  run: boolean,
  use: (connection: Connection) => Promise<T>,
): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      const connection = await connect(host, log, run);
      try {
        return await use(connection);
      } finally {
        await connection.close();
      }
    } catch (error) {
      const isComing = error instanceof NobodyListens ||
        (error instanceof JoblogError && error.code === "logLocked");
      if (!isComing) throw error;
      if (Date.now() > deadline) throw unreachable(log, error);
    }
    await pause();
  }
}

async function connect(host: Host, log: string, run: boolean): Promise<Connection> {
  if (!host.logs.isWriterAlive(log)) return await own(host, log, run);
  const address = await host.logs.findAddress(log);
  const commands = remoteCommands(address, host.terminal.user);
  const { service, close }: OpenedLog = await host.logs.openReader(log);
  return { commands, service, isOwn: false, close };
}
