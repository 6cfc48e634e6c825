/**
 * `joblog qmp`: runs jobs for QMP clients until a client or a signal ends it.
 *
 * `quit` of a client cancels all jobs by force, as in QEMU; a signal parks what can go on later.
 */
import { EXIT } from "../errors.ts";
import { usageError } from "./arguments.ts";
import type { OpenedLog, QmpPlaces } from "./host.ts";
import type { Invocation } from "./invocation.ts";
import { JoblogError, type Service } from "../service.ts";

/** Options of `joblog qmp`. */
export interface QmpOptions {
  /** Path of the unix socket. */
  readonly socket: string;
  /** Host and port. */
  readonly tcp?: { readonly host: string; readonly port: number };
  /** File of the log; wins over the common option. */
  readonly store?: string;
}

/**
 * Host and port, such as `127.0.0.1:4444` or `[::1]:4444`; port 0 = any.
 *
 * @throws {JoblogError} code "usage"
 */
export function placeOf(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([\da-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match !== null && port <= 65_535) return { host: match[1] ?? match[2]!, port };
  throw usageError("tcp", "is no host and port such as 127.0.0.1:4444", text);
}

/** Opens the log, serves it, and stays until it is told to end. */
export async function serveQmp(invocation: Invocation, options: QmpOptions): Promise<number> {
  const { logs, terminal } = invocation.host;
  const log = options.store ?? invocation.log;
  const end = Promise.withResolvers<void>();
  const unlisten = terminal.onInterrupt(() => end.resolve());
  const opened = await logs.openWriter(log, true);
  try {
    const beside = await logs.serveSocket(log, opened.service);
    try {
      const { socket, tcp } = options;
      const places: QmpPlaces = { socket, ...(tcp === undefined ? {} : { tcp }) };
      let isQuitting = false;
      const close: OpenedLog["close"] = (jobs) => {
        isQuitting = true;
        return opened.close(jobs);
      };
      const server = await logs.serveQmp(places, { service: opened.service, close });
      const { addresses } = server;
      invocation.tell({ addresses, log }, () => `listening on ${addresses.join(" and ")}\n`);
      const quitted = server.quitted.then(() => end.resolve());
      try {
        await Promise.race([end.promise, quitted, untilIll(opened.service, () => isQuitting)]);
      } finally {
        await server.stop();
      }
    } finally {
      await beside.stop();
    }
  } finally {
    await opened.close();
    unlisten();
  }
  return EXIT.ok;
}

/** Milliseconds between two looks at the log. */
const LOOK_MS = 500;

/** Watches over the log: a server whose log failed is of no more use. */
async function untilIll(service: Service, isQuitting: () => boolean): Promise<void> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS).unref());
    // A log that was closed on purpose is not ill; what follows is the end itself.
    if (isQuitting()) return await new Promise(() => {});
    const isHealthy = await service.health().then((health) => health.isHealthy, isQuitting);
    if (isHealthy) continue;
    throw new JoblogError("commitFailed", "Cannot go on: the log could not be written");
  }
}
