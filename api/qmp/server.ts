/**
 * The QMP server: listens, and gives each connection a session.
 *
 * - Over a unix socket, which only its owner can reach, and over TCP, which asks nobody who he is
 *   and is for the loopback interface.
 * - Who asks is the connection: `qmp:unix:<n>` or `qmp:<address>:<port>`. All that came in over one
 *   connection has one correlation id.
 * - `quit` and `stop` write what is still to be told before connections are ended.
 *
 * Source: QEMU 7.2 chardev/char-socket.c; monitor/qmp.c.
 */
import { createServer, type Server, type Socket } from "node:net";
import { JoblogError, type Service } from "../service.ts";
import type { QmpCounts, QmpVersion, QmpWorld } from "./call.ts";
import type { FramerLimits } from "./json/framer.ts";
import { listenFault } from "../listen_fault.ts";
import { listening, listenUnix, type Place } from "./place.ts";
import { Closings } from "./closings.ts";
import { Ring } from "./ring.ts";
import { Session } from "./session.ts";

/** How a QMP server is made. */
export interface QmpOptions {
  /** The facade over a running engine. */
  readonly service: Service;
  /** Version of joblog, such as `0.1.0`. */
  readonly version: string;
  /** What it is, for the greeting, such as `joblog 0.1.0 on deno 2.9.6`. */
  readonly package: string;
  /** Path of the unix socket. */
  readonly socket?: string;
  /** Host and port of TCP; port 0 = any. */
  readonly tcp?: { readonly host: string; readonly port: number };
  /** Cancels all jobs by force and closes the log, for `quit`. */
  quit(): Promise<void>;
  /** What differs from QEMU's limits of one input. */
  readonly limits?: Partial<FramerLimits>;
}

/** A QMP server that listens. */
export interface QmpServer {
  /** Where: the path of the socket, then `host:port`. */
  readonly addresses: readonly string[];
  /** What was counted so far. */
  readonly counts: Readonly<QmpCounts>;
  /** Resolves when a client has told it to quit, and all jobs are over. */
  readonly quitted: Promise<void>;
  /** Takes no new connections, ends those that are there. Safe to call twice. */
  stop(): Promise<void>;
}

/** Milliseconds after which an end no longer waits for who does not read. */
const END_MS_MAX = 1_000;

function versionOf(version: string, of: string): QmpVersion {
  const [major = 0, minor = 0, micro = 0] = version.split(".").map(Number);
  return { qemu: { micro, minor, major }, package: of };
}

class Listener implements QmpServer {
  readonly counts: QmpCounts = { connections: 0, commands: 0, queries: 0, malformed: 0 };
  readonly addresses: string[] = [];
  readonly quitted: Promise<void>;
  readonly #servers: Server[] = [];
  readonly #places: Place[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #world: QmpWorld;
  readonly #options: QmpOptions;
  #stopped: Promise<void> | undefined;
  #quitting: Promise<void> | undefined;

  constructor(options: QmpOptions) {
    const { live } = options.service;
    if (live === undefined) {
      throw new JoblogError("logReadOnly", "Cannot serve QMP: the log is open for reading only");
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.quitted = promise;
    this.#options = options;
    const ring = new Ring(live);
    this.#world = {
      service: options.service,
      live,
      ring,
      closings: new Closings(live, ring),
      version: versionOf(options.version, options.package),
      counts: this.counts,
      quit: () => {
        this.#quitting ??= options.quit();
        // The reply goes out first, in the turns that follow.
        void this.#quitting.then(() => setTimeout(resolve, 0), () => setTimeout(resolve, 0));
        return this.#quitting;
      },
    };
    // A ring that cannot go on has nothing more to tell; whoever runs the log says why.
    this.#world.ring.over.catch(() => {});
  }

  async listen(): Promise<void> {
    const { socket, tcp } = this.#options;
    try {
      if (socket !== undefined) {
        const place = await listenUnix(this.#server(() => "unix"), socket);
        this.#places.push(place);
        this.addresses.push(place.path);
      }
      if (tcp !== undefined) {
        const server = this.#server((peer) => `${peer.remoteAddress}:${peer.remotePort}`);
        await this.#listenTcp(server, tcp);
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async #listenTcp(server: Server, { host, port }: { host: string; port: number }): Promise<void> {
    try {
      await listening(server, port, host);
    } catch (error) {
      const { state, hint } = listenFault("tcp", error);
      throw new JoblogError("socketUnusable", `Cannot listen on "${host}:${port}": ${state}`, {
        subject: `${host}:${port}`,
        hint,
        cause: error,
      });
    }
    const address = server.address();
    const actual = typeof address === "object" && address !== null ? address.port : port;
    this.addresses.push(`${host}:${actual}`);
  }

  #server(nameOf: (socket: Socket) => string): Server {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.counts.connections += 1;
      const name = nameOf(socket);
      const actor = name === "unix" ? `qmp:unix:${this.counts.connections}` : `qmp:${name}`;
      this.#serve(socket, actor);
    });
    this.#servers.push(server);
    return server;
  }

  #serve(socket: Socket, actor: string): void {
    this.#sockets.add(socket);
    const correlationId = `qmp-${crypto.randomUUID()}`;
    const context = { actor, via: "qmp", correlationId } as const;
    const peer = {
      write: (text: string) => socket.write(text),
      setReading: (isReading: boolean) => {
        if (isReading === socket.isPaused()) isReading ? socket.resume() : socket.pause();
      },
      end: () => void socket.end(),
    };
    const session = new Session(this.#world, peer, { context }, this.#options.limits);
    socket.on("data", (bytes: Uint8Array) => session.push(bytes));
    socket.on("drain", () => session.drained());
    socket.on("end", () => session.endInput());
    // What went wrong with a connection ends it, and nothing else.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      session.close();
      this.#sockets.delete(socket);
    });
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    for (const server of this.#servers) server.close();
    await Promise.all(this.#places.map((place) => place.remove()));
    await Promise.all([...this.#sockets].map(ended));
    this.#world.ring.close();
  }
}

/** Ends a connection when the other side has read everything, by force when it does not. */
function ended(socket: Socket): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(() => socket.destroy(), END_MS_MAX);
    socket.once("close", () => {
      clearTimeout(timer);
      done();
    });
    if (socket.destroyed) {
      clearTimeout(timer);
      return done();
    }
    socket.end(() => socket.destroy());
  });
}

/**
 * Serves QMP.
 *
 * @throws {JoblogError} code "socketUnusable" when a place cannot be had, "logReadOnly" when there
 * is no engine behind the service
 */
export async function serveQmp(options: QmpOptions): Promise<QmpServer> {
  const listener = new Listener(options);
  await listener.listen();
  return listener;
}
