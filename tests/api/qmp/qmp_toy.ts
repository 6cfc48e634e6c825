/** A QMP server over a log in memory, with toy jobs of QEMU's types, and clients of it. */

import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type QmpOptions, type QmpServer, serveQmp } from "../../../api/qmp/mod.ts";
import { Service } from "../../../api/service.ts";
import { Joblog, processIdentity, systemPorts } from "../../../engine/run/mod.ts";
import { openEventStore } from "../../../events/log/mod.ts";
import { createMemoryLog } from "../../../events/store/memory/mod.ts";
import { Toys, type ToyScript } from "../../support/toy_drivers.ts";

/** One line that a server sent. */
// deno-lint-ignore no-explicit-any
export type Message = { readonly [member: string]: any };

/** A client that keeps all lines in the order of their arrival. */
export class QmpClient {
  /** Lines so far. */
  readonly lines: Message[] = [];
  /** The socket. */
  readonly socket: Socket;
  /** Text that is no whole line yet. */
  rest = "";
  /** True once the server has ended the connection. */
  isEnded = false;
  readonly #waiters = new Set<() => void>();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding("utf8");
    socket.on("data", (text) => this.#take(String(text)));
    socket.on("error", () => {});
    for (const name of ["end", "close"] as const) {
      socket.on(name, () => {
        this.isEnded = true;
        this.#wake();
      });
    }
  }

  /** Connects and reads the greeting; negotiates unless told not to. */
  static async open(path: string, negotiate = true): Promise<QmpClient> {
    const socket = connect({ path, allowHalfOpen: true });
    const client = new QmpClient(socket);
    await new Promise<void>((done, fail) => {
      socket.once("connect", () => done());
      socket.once("error", fail);
    });
    await client.until(() => client.lines.length > 0);
    if (negotiate) await client.run("qmp_capabilities");
    return client;
  }

  /** Sends bytes. */
  send(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Sends a command and waits for its reply. */
  async run(execute: string, args?: object, id?: unknown): Promise<Message> {
    const count = this.replies.length;
    this.send(JSON.stringify({ execute, arguments: args, id }));
    await this.until(() => this.replies.length > count);
    return this.replies[count]!;
  }

  /** What came as replies. */
  get replies(): readonly Message[] {
    return this.lines.filter((line) => "return" in line || "error" in line);
  }

  /** Replies and events in short: `=` and an error's text or `ok`; or the event with its status. */
  get story(): readonly string[] {
    return this.lines.slice(1).map((line) => {
      if ("return" in line) return "= ok";
      if ("error" in line) return `= ${line["error"].desc}`;
      const { status, id, device } = line["data"];
      return status === undefined ? `${device ?? id} ${line["event"]}` : `${id} ${status}`;
    });
  }

  /** Waits until a status event of a job came. */
  status(id: string, status: string): Promise<void> {
    return this.until(() => this.story.includes(`${id} ${status}`));
  }

  /** Waits until something holds; it is looked at whenever something comes. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (this.isEnded) throw new Error(`The connection is over: ${this.story.join(", ")}`);
      await new Promise<void>((resolve) => this.#waiters.add(resolve));
    }
  }

  /** Waits until the server has ended the connection. */
  async ended(): Promise<void> {
    while (!this.isEnded) await new Promise<void>((resolve) => this.#waiters.add(resolve));
  }

  #take(text: string): void {
    const lines = (this.rest + text).split("\r\n");
    this.rest = lines.pop()!;
    for (const line of lines) this.lines.push(JSON.parse(line) as Message);
    this.#wake();
  }

  #wake(): void {
    for (const waiter of this.#waiters) waiter();
    this.#waiters.clear();
  }
}

/** A server with everything around it. */
export class QmpToy {
  /** What the jobs do. */
  readonly toys: Toys;
  /** The engine. */
  readonly joblog: Joblog;
  /** The server. */
  readonly server: QmpServer;
  /** Path of its socket. */
  readonly path: string;
  readonly #folder: string;
  readonly #clients: QmpClient[] = [];

  private constructor(toys: Toys, joblog: Joblog, server: QmpServer, folder: string) {
    this.toys = toys;
    this.joblog = joblog;
    this.server = server;
    this.path = server.addresses[0]!;
    this.#folder = folder;
  }

  /** Opens one. */
  static async open(options: Partial<QmpOptions> = {}): Promise<QmpToy> {
    const folder = mkdtempSync(join(tmpdir(), "joblog-qmp-"));
    const toys = new Toys();
    const ports = systemPorts();
    const joblog = await Joblog.open({
      store: await openEventStore(createMemoryLog().open(), { clock: ports }),
      ports,
      drivers: toys,
      identity: processIdentity(),
      baseFolder: folder,
    });
    const refused = async (error: unknown): Promise<never> => {
      await joblog.close();
      rmSync(folder, { recursive: true, force: true });
      throw error;
    };
    const server = await serveQmp({
      service: new Service({ reader: joblog.reader, joblog }),
      version: "1.2.3",
      package: "a toy",
      socket: join(folder, "qmp.sock"),
      quit: () => joblog.close({ jobs: "cancel" }),
      ...options,
    }).catch(refused);
    return new QmpToy(toys, joblog, server, folder);
  }

  /** A client of it. */
  async client(negotiate = true): Promise<QmpClient> {
    const client = await QmpClient.open(this.path, negotiate);
    this.#clients.push(client);
    return client;
  }

  /** Starts a job, of type stream unless told otherwise. */
  async start(id: string, script: ToyScript = {}, more: object = {}): Promise<void> {
    await this.joblog.start({ type: "stream", id, parameters: { name: id, ...script }, ...more });
  }

  /** Closes everything. */
  async close(): Promise<void> {
    for (const client of this.#clients) client.socket.destroy();
    await this.server.stop();
    await this.joblog.close({ jobs: "cancel" });
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
