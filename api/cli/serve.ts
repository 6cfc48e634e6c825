/**
 * `joblog serve` and `joblog qmp`: run jobs and answer until a signal or a QMP client ends it.
 *
 * The socket beside the log is always served, so that the command line finds the writer. A signal
 * parks what can go on later; `quit` of a QMP client cancels all jobs by force, as in QEMU.
 */
import { EXIT } from "../errors.ts";
import { JoblogError, type Service } from "../service.ts";
import { usageError } from "./arguments.ts";
import type { Logs, OpenedLog, QmpPlaces, ServedQmp } from "./host.ts";
import type { Invocation } from "./invocation.ts";

/** Where `joblog serve` listens. */
export interface ServeOptions {
  /** Address. */
  readonly host: string;
  /** Port; 0 = any. */
  readonly port: number;
  /** Path of a unix socket for QMP clients. */
  readonly qmp?: string;
}

/** Options of `joblog qmp`. */
export interface QmpOptions {
  /** Path of the unix socket. */
  readonly socket: string;
  /** Host and port. */
  readonly tcp?: { readonly host: string; readonly port: number };
  /** File of the log, as the common option names it. */
  readonly log?: string;
  /** The same; if both are given they must be equal. */
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

/** What is served of one log. */
interface Fronts {
  readonly log: string;
  readonly http?: { readonly host: string; readonly port: number };
  readonly qmp?: QmpPlaces;
}

/** An open log, with a note of whether a client has told it to end. */
interface Watched {
  readonly opened: OpenedLog;
  isQuitting: boolean;
}

function startQmp(logs: Logs, places: QmpPlaces, watched: Watched): Promise<ServedQmp> {
  const { opened } = watched;
  const close: OpenedLog["close"] = (jobs) => {
    watched.isQuitting = true;
    return opened.close(jobs);
  };
  return logs.serveQmp(places, { service: opened.service, close });
}

/** Serves what is asked for until `ended`; a front that was started is stopped in any case. */
async function serveFronts(
  invocation: Invocation,
  { log, http, qmp }: Fronts,
  watched: Watched,
  ended: Promise<void>,
): Promise<void> {
  const { logs } = invocation.host;
  const { service } = watched.opened;
  const stops: (() => Promise<void>)[] = [];
  try {
    const beside = await logs.serveSocket(log, service);
    stops.push(() => beside.stop());
    const tcp = http && await logs.serveTcp(http.host, http.port, service);
    if (tcp !== undefined) stops.push(() => tcp.stop());
    const monitor = qmp && await startQmp(logs, qmp, watched);
    if (monitor !== undefined) stops.push(() => monitor.stop());
    const places = {
      ...(tcp === undefined ? {} : { url: tcp.address }),
      ...(monitor === undefined ? {} : { qmp: monitor.addresses }),
      socket: beside.address,
    };
    const all = [tcp?.address, ...monitor?.addresses ?? [], beside.address];
    const names = all.filter((name) => name !== undefined);
    invocation.tell(places, () => `listening on ${names.join(" and ")}\n`);
    const isOver = () => watched.isQuitting;
    await Promise.race([ended, untilIll(service, isOver), ...monitor ? [monitor.quitted] : []]);
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}

async function run(invocation: Invocation, fronts: Fronts): Promise<number> {
  const { logs, terminal } = invocation.host;
  const end = Promise.withResolvers<void>();
  const unlisten = terminal.onInterrupt(() => end.resolve());
  const opened = await logs.openWriter(fronts.log, true);
  try {
    await serveFronts(invocation, fronts, { opened, isQuitting: false }, end.promise);
  } finally {
    await opened.close();
    unlisten();
  }
  return EXIT.ok;
}

/** `joblog serve`: runs jobs and serves HTTP, and QMP if asked. */
export async function serve(invocation: Invocation, options: ServeOptions): Promise<number> {
  const { host, port, qmp } = options;
  return await run(invocation, {
    log: invocation.log,
    http: { host, port },
    ...(qmp === undefined ? {} : { qmp: { socket: qmp } }),
  });
}

/** `joblog qmp`: runs jobs and serves QMP. */
export async function serveQmp(invocation: Invocation, options: QmpOptions): Promise<number> {
  const { socket, tcp, store } = options;
  const qmp = { socket, ...(tcp === undefined ? {} : { tcp }) };
  if (store === "") throw usageError("store", "names no file", "");
  if (store !== undefined && options.log !== undefined && store !== options.log) {
    throw usageError("store", `is not the log that --log names, "${options.log}"`, store);
  }
  return await run(invocation, { log: store ?? invocation.log, qmp });
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
