/**
 * A connection to a QMP server that keeps what comes in its order.
 *
 * - Commands are sent without waiting for each other; replies come in the order of the commands.
 * - Looks are commands whose replies are not kept: nobody but the proof has asked for them.
 */
import { connect, type Socket } from "node:net";
import type { Command, Json } from "./script.ts";

/** A line that a server sent. */
export interface Message {
  readonly return?: Json;
  readonly error?: { readonly class: string; readonly desc: string };
  readonly event?: string;
  readonly data?: { readonly [name: string]: Json };
}

interface Awaited {
  readonly isLook: boolean;
  readonly take: (message: Message) => void;
}

/** The server is gone, or silent for too long. */
export class ServerLost extends Error {
  override readonly name = "ServerLost";
}

/** Silence that counts as a hang, in milliseconds. */
const SILENT_MS = 15_000;

/** See the head of this file. */
export class Monitor {
  readonly #socket: Socket;
  readonly #awaited: Awaited[] = [];
  #kept: Message[] = [];
  #rest = "";
  #wakes: (() => void)[] = [];
  #fail: (error: Error) => void = () => {};
  readonly #lost: Promise<never>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#lost = new Promise((_, reject) => this.#fail = reject);
    this.#lost.catch(() => {});
    socket.setEncoding("utf8");
    socket.on("data", (text) => this.#take(String(text)));
    socket.on("error", (error) => this.#fail(new ServerLost(error.message)));
    socket.on("close", () => this.#fail(new ServerLost("the connection is closed")));
  }

  /** Connects, reads the greeting and negotiates. */
  static async open(path: string): Promise<Monitor> {
    const socket = connect(path);
    await new Promise<void>((done, fail) => {
      socket.once("connect", () => done());
      socket.once("error", fail);
    });
    const monitor = new Monitor(socket);
    await monitor.look([{ execute: "qmp_capabilities" }]);
    return monitor;
  }

  /** Sends commands at once; their replies are kept, in line with events. */
  async run(commands: readonly Command[]): Promise<readonly Message[]> {
    return await this.#send(commands, false);
  }

  /** Sends commands whose replies are not kept. */
  async look(commands: readonly Command[]): Promise<readonly Message[]> {
    return await this.#send(commands, true);
  }

  /** Takes what was kept since this was called last. */
  kept(): readonly Message[] {
    return this.#kept.splice(0);
  }

  /** What is kept, without taking it. */
  get pending(): readonly Message[] {
    return this.#kept;
  }

  /** Waits until something more comes, at most so long. */
  async news(ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((done) => timer = setTimeout(done, ms));
    const next = new Promise<void>((done) => this.#wakes.push(done));
    try {
      await Promise.race([next, late, this.#lost]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends it. */
  close(): void {
    this.#socket.destroy();
  }

  async #send(commands: readonly Command[], isLook: boolean): Promise<readonly Message[]> {
    const replies = commands.map(() =>
      new Promise<Message>((take) => this.#awaited.push({ isLook, take }))
    );
    this.#socket.write(commands.map((command) => JSON.stringify(command)).join("\n") + "\n");
    let timer: ReturnType<typeof setTimeout> | undefined;
    const silent = new Promise<never>((_, fail) => {
      timer = setTimeout(() => fail(new ServerLost("no reply comes")), SILENT_MS);
    });
    try {
      return await Promise.race([Promise.all(replies), this.#lost, silent]);
    } finally {
      clearTimeout(timer);
    }
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split("\r\n");
    this.#rest = lines.pop()!;
    for (const line of lines) this.#sort(JSON.parse(line) as Message & { readonly QMP?: Json });
    for (const wake of this.#wakes.splice(0)) wake();
  }

  #sort(message: Message & { readonly QMP?: Json }): void {
    if (message.QMP !== undefined) return;
    if (message.event !== undefined) {
      this.#kept.push(message);
      return;
    }
    const awaited = this.#awaited.shift();
    if (awaited === undefined) return this.#fail(new ServerLost("a reply that nobody asked for"));
    if (!awaited.isLook) this.#kept.push(message);
    awaited.take(message);
  }
}
