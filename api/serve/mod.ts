/**
 * Joins the fronts in one process: the HTTP app on the socket beside a log, and on TCP if asked.
 *
 * - On the socket the peer is whoever may enter its folder: the same user. On TCP only the loopback
 *   interface is for use without a proxy that checks who asks.
 * - Stopping ends all event streams first: a graceful stop would wait on them for ever.
 *
 * @example Serve a log to the command line of the same user
 * ```ts ignore
 * const served = await serveSocket("jobs.db", service);
 * await served.stop();
 * ```
 *
 * @module
 */
import { chmod } from "node:fs/promises";
import { createApp } from "../http/app.ts";
import { listenFault } from "../listen_fault.ts";
import { JoblogError, type Service } from "../service.ts";
import { claimAddress, releaseAddress } from "./address.ts";
import { serveOnBun } from "./bun.ts";
import { serveOnDeno } from "./deno.ts";
import type { Answer, Place, Server } from "./server.ts";

export { findAddress, SOCKET_PATH_BYTES_MAX, socketFolder } from "./address.ts";

/** Milliseconds after which a stop no longer waits for requests under way. */
export const STOP_MS_MAX = 2_000;

/** A front that is served. */
export interface Served {
  /** Where: the path of a socket, or a URL. */
  readonly address: string;
  /** Ends streams, answers what is under way, frees the place. Safe to call twice. */
  stop(): Promise<void>;
}

function listen(place: Place, answer: Answer): Promise<Server> {
  return "Deno" in globalThis ? serveOnDeno(place, answer) : serveOnBun(place, answer);
}

/** Header by which a program of the same user says who sits before it. */
const ACTOR_HEADER = "x-joblog-actor";

/** On the socket the peer is the same user: it may say by which name it wants to be recorded. */
function localOrigin(request: Request) {
  const name = request.headers.get(ACTOR_HEADER);
  if (name === null || !/^[\w.@-]{1,64}$/.test(name)) return { actor: "local" };
  return { actor: name, via: "cli" } as const;
}

async function stopped(server: Server, streams: AbortController): Promise<void> {
  streams.abort();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, STOP_MS_MAX);
  });
  await Promise.race([server.stop(), late]);
  clearTimeout(timer);
}

/**
 * Serves the HTTP front on the socket beside a log. Only the holder of the writer's token calls it.
 *
 * @throws {JoblogError} code "socketUnusable"
 */
export async function serveSocket(log: string, service: Service): Promise<Served> {
  const path = await claimAddress(log);
  const streams = new AbortController();
  const app = createApp({ service, signal: streams.signal });
  let server: Server;
  try {
    server = await listen({ path }, (request) => app.fetch(request, localOrigin(request)));
    await chmod(path, 0o600);
  } catch (error) {
    const { state } = listenFault("unix", error);
    throw new JoblogError("socketUnusable", `Cannot listen on "${path}": ${state}`, {
      subject: path,
      cause: error,
    });
  }
  let done: Promise<void> | undefined;
  return {
    address: path,
    stop: () => done ??= stopped(server, streams).then(() => releaseAddress(log)),
  };
}

/**
 * Serves the HTTP front on TCP.
 *
 * @param place host and port; port 0 = any free one
 * @throws {JoblogError} code "socketUnusable" when the port cannot be had
 */
export async function serveTcp(
  place: { readonly host: string; readonly port: number },
  service: Service,
): Promise<Served> {
  const streams = new AbortController();
  const { host } = place;
  // A page of another site may make a browser ask here under a name of its own.
  const isLoopback = /^(127\.|::1$|localhost$)/.test(host);
  const hosts = new Set(["localhost", "127.0.0.1", "[::1]", host]);
  const app = createApp({ service, signal: streams.signal, ...(isLoopback ? { hosts } : {}) });
  let server: Server;
  try {
    server = await listen(
      place,
      (request, peer) => app.fetch(request, { actor: `http:${peer.address ?? "unknown"}` }),
    );
  } catch (error) {
    const where = `${host}:${place.port}`;
    const { state, hint } = listenFault("tcp", error);
    throw new JoblogError("socketUnusable", `Cannot listen on "${where}": ${state}`, {
      subject: where,
      hint,
      cause: error,
    });
  }
  let done: Promise<void> | undefined;
  const name = host.includes(":") ? `[${host}]` : host;
  return {
    address: `http://${name}:${server.port}`,
    stop: () => done ??= stopped(server, streams),
  };
}
