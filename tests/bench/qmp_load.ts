/**
 * Servers of QMP to be measured, and clients that ask as fast as they are answered.
 *
 * A client reads no more of a line than what it begins with: what a server sends is the same for
 * both, and reading all of it would measure the client.
 */
import { Buffer } from "node:buffer";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../api/cli/main.ts", import.meta.url));
const START_MS = 30_000;
const LINE_END = 10;
/** As much of a line as tells a reply from an event. */
const HEAD_LENGTH = 9;

/** Who is measured. */
export type ServerName = "qemu" | "joblog";

/** A command, ready to be sent. */
export function commandText(execute: string, args?: object): string {
  return `${JSON.stringify({ execute, arguments: args })}\n`;
}

/** One connection. */
export class LoadClient {
  readonly #socket: Socket;
  #head = "";
  #wanted = 0;
  #waiter: PromiseWithResolvers<void> | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (bytes) => this.#take(bytes as Buffer));
    socket.on("error", (error) => this.#waiter?.reject(error));
    socket.on("close", () => this.#waiter?.reject(new Error("The connection is over")));
  }

  /** Connects and negotiates. */
  static async open(path: string): Promise<LoadClient> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    const client = new LoadClient(socket);
    await client.send(commandText("qmp_capabilities"));
    return client;
  }

  /** Sends commands and waits for their replies; rejects when one is an error. */
  async send(text: string, count = 1): Promise<void> {
    this.#wanted = count;
    this.#waiter = Promise.withResolvers<void>();
    this.#socket.write(text);
    await this.#waiter.promise;
  }

  /** Breaks the connection off. */
  close(): void {
    this.#waiter = undefined;
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      const end = bytes.indexOf(LINE_END, at);
      const lineEnd = end < 0 ? bytes.length : end;
      const room = HEAD_LENGTH - this.#head.length;
      if (room > 0) this.#head += bytes.toString("latin1", at, Math.min(lineEnd, at + room));
      if (end < 0) return;
      this.#line(this.#head);
      this.#head = "";
      at = end + 1;
    }
  }

  #line(head: string): void {
    if (head === '{"error":') this.#waiter?.reject(new Error("A command was refused"));
    if (head === '{"return"' && --this.#wanted === 0) this.#waiter?.resolve();
  }
}

/** With all permissions, as Deno keeps programs with fewer from `/dev/shm`. */
function joblogCommand(folder: string, socket: string): readonly string[] {
  const flags = "deno" in process.versions ? ["run", "--allow-all"] : [];
  const args = ["qmp", "--store", join(folder, "jobs.db"), "--socket", socket];
  return [process.execPath, ...flags, MAIN, ...args];
}

/** QEMU serves one connection on each of its monitors. */
function qemuCommand(sockets: readonly string[]): readonly string[] {
  const monitors = sockets.flatMap((path, index) => [
    "--chardev",
    `socket,path=${path},server=on,wait=off,id=m${index}`,
    "--monitor",
    `chardev=m${index}`,
  ]);
  return ["qemu-storage-daemon", ...monitors];
}

/** A server in a folder of its own. */
export class LoadedServer {
  /** Who it is. */
  readonly name: ServerName;
  /** Its connections: the first one, and the others after `connect`. */
  readonly clients: LoadClient[];
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #sockets: readonly string[];

  private constructor(
    name: ServerName,
    parts: { child: ChildProcess; folder: string; sockets: readonly string[]; first: LoadClient },
  ) {
    this.name = name;
    this.clients = [parts.first];
    this.#child = parts.child;
    this.#folder = parts.folder;
    this.#sockets = parts.sockets;
  }

  /** Starts one that is to have so many connections; the first one is there. */
  static async start(name: ServerName, below: string, count: number): Promise<LoadedServer> {
    const folder = mkdtempSync(join(below, "joblog-qmp-"));
    const places = Array.from({ length: count }, (_, index) => join(folder, `s${index}`));
    const isQemu = name === "qemu";
    const sockets = isQemu ? places : places.fill(places[0]!);
    const [program, ...args] = isQemu ? qemuCommand(sockets) : joblogCommand(folder, sockets[0]!);
    const child = spawn(program!, args, { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
    try {
      const first = await connected(sockets[0]!, child);
      return new LoadedServer(name, { child, folder, sockets, first });
    } catch (error) {
      await removed(child, folder);
      throw error;
    }
  }

  /** Opens its other connections. */
  async connect(): Promise<void> {
    this.clients.push(...await Promise.all(this.#sockets.slice(1).map(LoadClient.open)));
  }

  /** Ends it with everything that it has. */
  async stop(): Promise<void> {
    for (const client of this.clients) client.close();
    await removed(this.#child, this.#folder);
  }
}

async function connected(path: string, child: ChildProcess): Promise<LoadClient> {
  const end = performance.now() + START_MS;
  for (;;) {
    try {
      return await LoadClient.open(path);
    } catch (error) {
      if (performance.now() > end || child.exitCode !== null) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function removed(child: ChildProcess, folder: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }
  rmSync(folder, { recursive: true, force: true });
}
