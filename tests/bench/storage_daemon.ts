/**
 * QEMU's own storage daemon, driven over QMP: the other side of measurements.
 *
 * One daemon works on the images of one round; it is started before and stopped after what is
 * measured.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";

interface Message {
  readonly event?: string;
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
}

/** How long the daemon may take to open its socket. */
const START_MS = 5_000;

/** A running daemon. */
export class StorageDaemon {
  readonly #child: ChildProcess;
  readonly #socket: Socket;
  readonly #messages: Message[] = [];
  #text = "";
  #wake: (() => void) | undefined;

  private constructor(child: ChildProcess, socket: Socket) {
    this.#child = child;
    this.#socket = socket;
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => this.#take(text));
  }

  /** Starts one and negotiates. */
  static async start(folder: string): Promise<StorageDaemon> {
    const path = join(folder, "qmp.sock");
    const chardev = `socket,path=${path},server=on,wait=off,id=m`;
    const args = ["--chardev", chardev, "--monitor", "chardev=m"];
    const child = spawn("qemu-storage-daemon", args, { stdio: "inherit" });
    for (let waitedMs = 0; !existsSync(path); waitedMs += 10) {
      if (waitedMs > START_MS) throw new Error("Cannot reach the storage daemon: no socket");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", () => resolve());
      socket.once("error", reject);
    });
    const daemon = new StorageDaemon(child, socket);
    await daemon.send("qmp_capabilities");
    return daemon;
  }

  /** Sends a command and waits for its reply. */
  async send(execute: string, args?: object): Promise<unknown> {
    const command = args === undefined ? { execute } : { execute, arguments: args };
    this.#socket.write(`${JSON.stringify(command)}\n`);
    const reply = await this.#next((message) => "return" in message || "error" in message);
    if (reply.error !== undefined) throw new Error(`${execute}: ${reply.error.desc}`);
    return reply.return;
  }

  /** Opens an image as a node. */
  async add(name: string, filename: string, driver = "raw"): Promise<void> {
    await this.send("blockdev-add", {
      driver,
      "node-name": name,
      file: { driver: "file", filename },
    });
  }

  /** Waits for an event. */
  async event(name: string): Promise<void> {
    await this.#next((message) => message.event === name);
  }

  /** Ends it. */
  async stop(): Promise<void> {
    const exited = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#socket.destroy();
    this.#child.kill("SIGTERM");
    await exited;
  }

  async #next(isWanted: (message: Message) => boolean): Promise<Message> {
    for (;;) {
      const index = this.#messages.findIndex(isWanted);
      if (index >= 0) return this.#messages.splice(index, 1)[0]!;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  #take(text: string): void {
    this.#text += text;
    const lines = this.#text.split("\n");
    this.#text = lines.pop() ?? "";
    for (const line of lines) {
      if (line.trim() !== "") this.#messages.push(JSON.parse(line) as Message);
    }
    this.#wake?.();
  }
}
